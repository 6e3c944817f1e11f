// The public API, and nothing else. A key, where one is needed, lives as long as this tab.
import { token } from "./dom.js";

let asking = null;
let askKey = async () => null;
const KEY = "haneul.key";
const SMALL = 8000; // characters; browsers carry 64 KiB in all beyond the end of a page
export const link = new EventTarget(); // "down" and "up": whether the service answers
let up = true;

/** Notes whether the service answered; who listens is told of a change. */
export function answered(now) {
  if (now === up) return;
  up = now;
  link.dispatchEvent(new Event(now ? "up" : "down"));
}

export class Refused extends Error {
  constructor(status, body, wait) {
    super(body?.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = body?.code ?? null;
    this.param = body?.param ?? null;
    this.wait = wait;
  }
}

/** Sets who is asked for a key. */
export function whenKeyIsNeeded(ask) {
  askKey = ask;
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const forgetKey = () => sessionStorage.removeItem(KEY);

function headers(given = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...given, authorization: `Bearer ${key}` } : given;
}

async function newKey(wrong) {
  asking ??= askKey(wrong).finally(() => (asking = null));
  const key = await asking;
  if (key) sessionStorage.setItem(KEY, key);
  return Boolean(key);
}

/** One request; asks for a key where one is needed, and again for what takes longer than an answer may. Throws Refused, or TypeError when nobody answers. */
export async function ask(path, { method = "GET", body, form, signal, headers: more, keepalive = false } = {}) {
  for (let turns = 1; ; turns++) {
    const sent = headers({ prefer: "respond-async", ...(body === undefined ? {} : { "content-type": "application/json" }), ...more });
    const used = sent.authorization, text = body === undefined ? undefined : JSON.stringify(body);
    const outlives = keepalive || (method !== "GET" && !form && (text?.length ?? 0) < SMALL); // the page, should it be closed now
    let answer;
    try {
      answer = await fetch(path, { method, signal, keepalive: outlives, headers: sent, body: form ?? text });
    } catch (error) {
      if (error.name !== "AbortError") answered(false);
      throw error;
    }
    answered(true);
    if (answer.status === 401) {
      const now = headers().authorization;
      if ((now && now !== used) || (await newKey(Boolean(used)))) continue;
    }
    if (answer.status === 202 && answer.headers.has("preference-applied") && turns < 20) { // it goes on: asked again
      await new Promise((done) => setTimeout(done, 1000 * (Number(answer.headers.get("retry-after")) || 2)));
      signal?.throwIfAborted();
      continue;
    }
    if (!answer.ok || answer.headers.has("preference-applied")) {
      const told = await answer.json().catch(() => null);
      throw new Refused(answer.status, told?.error, Number(answer.headers.get("retry-after")) || null);
    }
    return answer;
  }
}

export const json = async (path, options) => (await ask(path, options)).json();
export const post = (path, body, options) => json(path, { method: "POST", body, ...options });
export const mine = "/v1/haneul";

const unanswered = new Map(); // what was asked for without an answer -> its idempotency key

/** Asks for something that is to be made once. Where no answer came, nobody knows whether it was accepted; asked for again, it is the same. */
export async function order(path, body) {
  const what = path + JSON.stringify(body), key = unanswered.get(what) ?? token();
  unanswered.set(what, key);
  try {
    const found = await post(path, body, { headers: { "idempotency-key": key } });
    unanswered.delete(what);
    return found;
  } catch (error) {
    if (error instanceof Refused && error.status < 500) unanswered.delete(what);
    throw error;
  }
}

/** Server-sent events, as [name, data], until the server ends them. */
export async function* events(path, signal) {
  const answer = await ask(path, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let name = "message";
      const data = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).trim());
      }
      if (data.length) yield [name, JSON.parse(data.join("\n"))];
    }
  }
}

const blobs = new Map();

/** The address of a video's content for <video> and <img>. These cannot send a key, so with one the content is fetched
 * first; the last hundred are kept. */
export async function media(id, variant = "video") {
  const path = `/v1/videos/${encodeURIComponent(id)}/content?variant=${variant}`;
  if (!hasKey()) return path;
  if (!blobs.has(path)) {
    blobs.set(path, ask(path).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob)));
    if (blobs.size > 100) {
      const [oldest, url] = blobs.entries().next().value;
      blobs.delete(oldest);
      url.then((made) => URL.revokeObjectURL(made), () => {});
    }
  }
  return blobs.get(path).catch((error) => {
    blobs.delete(path);
    throw error;
  });
}

/** Uploads a picture or video, to be referred to by its id. */
export function upload(file) {
  const form = new FormData();
  form.append("purpose", "vision");
  form.append("file", file, file.name);
  return json("/v1/files", { method: "POST", form });
}

/** Saves an answer as a file of the user's. */
export async function download(path, name) {
  const url = URL.createObjectURL(await (await ask(path)).blob());
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
