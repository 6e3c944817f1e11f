// Play: a world that goes on as keys are held.
import { ask, json, mine, post } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { maybe, number, t, word } from "./i18n.js";
import { jobs } from "./jobs.js";
import { button, complain, dialog, explain, note, refusal, refusedCode } from "./parts.js";
import { inOrder, slot } from "./reading.js";

const KEYS = { ArrowLeft: "left", KeyA: "left", ArrowRight: "right", KeyD: "right", ArrowUp: "go", KeyW: "go" };
const MAP = 20; // metres to the border of the map
const WORTH = 24; // pictures, two seconds: whoever leaves more is asked whether they are to be saved
const TRIES = 8; // to find a world again whose pictures stopped coming

/** Draws what the model is told of the country: what stands around, the rider in the middle, ahead up. */
function drawMap(map, near) {
  const pen = map.getContext("2d"), half = map.width / 2, metre = half / MAP;
  pen.clearRect(0, 0, map.width, map.height);
  for (const [ahead, left, reach] of near) {
    const away = Math.hypot(ahead, left);
    if (away > MAP) continue;
    pen.globalAlpha = 0.95 - 0.6 * (away / MAP);
    pen.fillStyle = "#fff";
    pen.beginPath();
    pen.arc(half - left * metre, half - ahead * metre, Math.max(reach, 0.5) * metre, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
  pen.fillStyle = "#ffd166";
  pen.beginPath();
  for (const [x, y] of [[0, -9], [6, 7], [0, 4], [-6, 7]]) pen.lineTo(half + x, half + y);
  pen.fill();
  map.dataset.things = String(near.length);
}

/** Records of a world: [what is told, picture], until the server ends them. */
async function* records(path, signal) {
  const reader = (await ask(path, { signal })).body.getReader();
  let rest = new Uint8Array(0);
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const all = new Uint8Array(rest.length + value.length);
    all.set(rest);
    all.set(value, rest.length);
    let at = 0;
    while (all.length - at >= 8) {
      const view = new DataView(all.buffer, at), told = view.getUint32(0), picture = view.getUint32(4);
      if (all.length - at < 8 + told + picture) break;
      yield [JSON.parse(new TextDecoder().decode(all.subarray(at + 8, at + 8 + told))), all.subarray(at + 8 + told, at + 8 + told + picture)];
      at += 8 + told + picture;
    }
    rest = all.slice(at);
  }
}

export async function show(place, [asked, seed], signal) {
  const head = h("div", { class: "head" }, h("div", {}, h("h1", {}, t("play.title")), h("p", {}, t("play.about"))));
  const here = await json(`${mine}/play?soon=true`, { signal });
  if (!here.available) {
    return fill(place, head, h("div", { class: "card empty" }, icon("play"), h("h2", {}, t("play.none")), h("p", {}, t("play.none.about")), h("p", { class: "small mono" }, here.reason)));
  }

  // ---------------------------------------------------------------------------------------------- what is there
  const prompt = h("input", { type: "text", id: "ride", maxlength: 500, value: asked ?? "", placeholder: t("play.placeholder"), autocomplete: "off" });
  const begin = button(t("play.begin"), null, { kind: "main", type: "submit", symbol: "play" });
  const samples = h("div", { class: "chips samples", role: "group", "aria-label": t("play.samples") }, ["car", "robot", "bird", "camera"].filter((kind) => kind in here.riders).map((kind) =>
    h("button", { type: "button", class: "chip", on: { click: () => { prompt.value = t(`play.sample.${kind}`); start(); } } }, t(`play.sample.${kind}`))));
  const form = h("form", { class: "ride", on: { submit: (event) => { event.preventDefault(); start(); } } }, h("label", { class: "gone", for: "ride" }, t("play.prompt")), prompt, begin);
  const canvas = h("canvas", { width: 448, height: 256, role: "img", "aria-label": t("play.canvas") });
  const map = h("canvas", { class: "map", width: 144, height: 144, role: "img", "aria-label": t("play.map"), title: t("play.map") });
  const over = h("div", { class: "over" });
  const stage = h("div", { class: "screen live", tabindex: "0", role: "group", "aria-label": t("play.stage") }, canvas, map, over);
  const said = h("div", { class: "chips" }), problem = h("div", { role: "alert" });
  const figures = h("p", { class: "figures-line soft tiny", "aria-hidden": "true" });
  const save = button(t("play.save"), () => keepRide(), { symbol: "down" }), stop = button(t("play.stop"), () => halt(), { symbol: "close" });
  const pads = Object.fromEntries([["left", "left"], ["go", "ahead"], ["right", "right"]].map(([name, symbol]) => [name, pad(name, symbol)]));
  const tools = h("div", { class: "row apart" }, h("div", { class: "row tight" }, save, stop), figures);
  fill(place, head, h("div", { class: "stack playing" }, h("section", { class: "card stack" }, form, samples, problem), stage, h("div", { class: "pads" }, pads.left, pads.go, pads.right), tools, said,
    h("p", { class: "soft small keys-line" }, h("kbd", {}, "←"), " ", h("kbd", {}, "↑"), " ", h("kbd", {}, "→"), " ", t("play.or"), " ", h("kbd", {}, "A"), " ", h("kbd", {}, "W"), " ", h("kbd", {}, "D"), " · ", t("play.told"))));

  // ---------------------------------------------------------------------------------------------------- its state
  let world = null, looking = null, unsaved = 0, saved = 0, busy = false; // pictures since the last save, which was of this one
  let count = 0, drawn = [], delays = [];
  const held = new Set(), sent = new Map();
  const pen = canvas.getContext("2d", { alpha: false });

  function shown(state, text = "", ...more) {
    stage.dataset.state = state;
    place.dataset.state = state;
    fill(over, text ? h("p", {}, text) : null, ...more);
    over.hidden = state === "on";
    save.disabled = stop.disabled = !world;
    if (state !== "on") figures.textContent = "";
    for (const one of Object.values(pads)) one.disabled = state !== "on";
  }

  /** Sends what is held now, if it is another than before. */
  function tell(when) {
    for (const [name, one] of Object.entries(pads)) one.classList.toggle("held", held.has(name));
    if (!world) return;
    count++;
    sent.set(count, when);
    const steer = (held.has("right") ? 1 : 0) - (held.has("left") ? 1 : 0), go = held.has("go") ? 1 : 0;
    post(`${mine}/play/${world.id}/keys`, { number: count, steer, go }).then((now) => { if (!now.taken && now.number > count) count = now.number; }, () => {}); // another tab may be ahead; the pictures tell what is wrong
  }

  function hold(name, on, when = performance.now()) {
    if (held.has(name) === on || (on && stage.dataset.state !== "on")) return;
    if (on) held.add(name); else held.delete(name);
    tell(when);
  }

  function letGo() {
    if (!held.size) return;
    held.clear();
    tell(performance.now());
  }

  /** A place on the screen that is held as a key is: by finger, mouse, space or enter. */
  function pad(name, symbol) {
    const press = (on) => (event) => {
      if (event.type.startsWith("key") && event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (on && event.pointerId !== undefined) event.currentTarget.setPointerCapture(event.pointerId);
      hold(name, on, event.timeStamp);
    };
    const off = press(false);
    return h("button", { type: "button", class: "pad", "aria-label": t(`play.${name}`), on: { pointerdown: press(true), pointerup: off, pointercancel: off, lostpointercapture: off, keydown: press(true), keyup: off, blur: () => hold(name, false), contextmenu: (event) => event.preventDefault() } }, icon(symbol));
  }

  /** What is seen of speed, quietly: pictures in the last two seconds, and the median of the last delays. */
  function measure(told) {
    const now = performance.now();
    drawn = [...drawn.filter((at) => now - at < 2000), now];
    for (const [key, at] of sent) {
      if (key > told.keys) continue;
      if (key === told.keys) delays = [...delays.slice(-8), now - at];
      sent.delete(key);
    }
    const span = now - drawn[0], fps = span > 600 ? ((drawn.length - 1) / span) * 1000 : 0;
    const middle = [...delays].sort((a, b) => a - b)[Math.floor(delays.length / 2)];
    figures.textContent = [fps ? t("play.fps", { n: number(fps, 1) }) : null, middle === undefined ? null : t("play.delay", { n: number(middle, 0) })].filter(Boolean).join(" · ");
    Object.assign(stage.dataset, { fps: fps.toFixed(2), delay: middle === undefined ? "" : middle.toFixed(0), last: (delays.at(-1) ?? 0).toFixed(0), frames: String(told.number) });
  }

  // --------------------------------------------------------------------------------------------------- its pictures
  async function look() {
    looking?.abort();
    const ends = (looking = new AbortController());
    const mineWorld = world;
    let tries = 0;
    while (world === mineWorld && !ends.signal.aborted) {
      try {
        for await (const [told, bytes] of records(`${mine}/play/${mineWorld.id}/pictures`, ends.signal)) {
          if (told.end) return over_(told);
          if (!bytes.length) continue;
          tries = 0;
          const picture = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
          if (ends.signal.aborted) return;
          if (canvas.width !== picture.width || canvas.height !== picture.height) Object.assign(canvas, { width: picture.width, height: picture.height });
          pen.drawImage(picture, 0, 0);
          picture.close();
          drawMap(map, told.near);
          if (stage.dataset.state !== "on") shown("on");
          unsaved = told.number - saved;
          requestAnimationFrame(() => measure(told)); // by then it is on the screen, or about to be
        }
      } catch (error) {
        if (ends.signal.aborted) return;
        if (error.status) return lost(error);
      }
      if (ends.signal.aborted || ++tries > TRIES) break;
      shown("lost", t("play.lost"));
      letGo();
      await new Promise((done) => setTimeout(done, 400 * tries));
      try {
        const now = await json(`${mine}/play/${mineWorld.id}`, { signal: ends.signal });
        if (now.status === "ended") return over_({ end: now.reason, message: now.message });
        tell(performance.now()); // that the keys were let go did not arrive
      } catch (error) {
        if (ends.signal.aborted) return;
        if (error.status) return lost(error);
      }
    }
    if (!ends.signal.aborted) over_({ end: "lost" });
  }

  const lost = (error) => over_({ end: error.status === 404 ? "gone" : "lost", message: error.message });

  function over_(told) {
    world = null;
    unsaved = 0;
    letGo();
    sent.clear();
    const code = told.end === "refused" ? told.code : null;
    shown("over", code ? t("play.end.refused", { what: maybe(`screen.${code}.title`, code) }) : maybe(`play.end.${told.end}`, told.message ?? ""), again());
    fill(said);
    if (told.end === "idle" || told.end === "closed") json(`${mine}/play`, { signal }).then((now) => offer(now.unsaved[0]), () => {});
  }

  const again = () => button(t("play.another"), () => start(), { kind: "main", symbol: "play" });

  /** Offers to save a ride that ended without being stopped, if there is one. */
  function offer(id) {
    if (!id || world || busy) return;
    const keep = button(t("play.save"), async () => {
      keep.disabled = true;
      if (!(await saveOf(id))) keep.disabled = false;
      else if (!world && !busy) shown("over", t("play.saved"), again());
    }, { symbol: "down" });
    shown("over", t("play.aside"), again(), keep);
  }

  async function start() {
    if (busy) return;
    if (world && !(await left())) return;
    busy = true;
    begin.disabled = true;
    fill(problem);
    shown("loading", t("play.loading"), h("span", { class: "drift" }));
    try {
      const body = { prompt: prompt.value.trim(), ...(seed && prompt.value.trim() === (asked ?? "").trim() ? { seed: Number(seed) } : {}) };
      const now = await post(`${mine}/play`, body, { signal });
      enter(now);
      stage.focus();
    } catch (error) {
      if (signal.aborted) return;
      shown("idle", t("play.idle"));
      const code = refusedCode(error.message);
      fill(problem, code ? refusal(code, error.message) : h("p", { class: "note warn" }, icon("warn"), explain(error)));
    } finally {
      busy = false;
      begin.disabled = false;
    }
  }

  function enter(now) {
    world = now;
    count = 0;
    drawn = [];
    delays = [];
    unsaved = saved = 0;
    if (!prompt.value) prompt.value = now.prompt;
    const parts = (of, filled) => inOrder(Object.entries(of)).map(([name, value]) => h("span", { class: filled ? "chip filled" : "chip" }, h("span", {}, slot(name)), h("b", {}, word(value))));
    fill(said, parts(now.said, false), parts(now.added, true), now.warnings.map((line) => h("span", { class: "chip warn" }, line)));
    shown("loading", t("play.loading"));
    look();
  }

  /** Whether a ride, going on or put aside, is being drawn as a video now. */
  async function saveOf(id) {
    try {
      const video = await post(`${mine}/play/${id}/save`, {});
      jobs.add(video, "play");
      note(t("play.saved"), [t("play.open"), () => { location.hash = `#/clip/${video.id}`; }]);
      return true;
    } catch (error) {
      complain(error);
      return false;
    }
  }

  async function keepRide() {
    if (!world) return false;
    save.disabled = true;
    const until = Number(stage.dataset.frames ?? 0), done = await saveOf(world.id);
    if (done) [saved, unsaved] = [until, 0];
    save.disabled = !world;
    return done;
  }

  /** Ends the world at hand, perhaps saved; false where it is to go on. */
  async function left() {
    if (unsaved > WORTH) {
      letGo();
      const how = await dialog((close) => h("form", { method: "dialog", on: { submit: (event) => { event.preventDefault(); close("save"); } } }, h("h2", {}, t("play.leave")), h("p", { class: "soft" }, t("play.leave.about")),
        h("div", { class: "row end" }, button(t("cancel"), () => close(), { kind: "plain" }), button(t("play.leave.drop"), () => close("drop"), {}), button(t("play.leave.save"), null, { kind: "main", type: "submit", symbol: "down" }))), { label: t("play.leave") });
      if (!how || (how === "save" && !(await keepRide()))) return false;
    }
    const gone = world;
    looking?.abort();
    world = null;
    if (gone) await ask(`${mine}/play/${gone.id}`, { method: "DELETE" }).catch(() => {});
    return true;
  }

  async function halt() {
    if (world && (await left())) over_({ end: "stopped" });
  }

  // -------------------------------------------------------------------------------------------------- what is held
  addEventListener("keydown", (event) => {
    const name = KEYS[event.code];
    if (!name && event.code !== "ArrowDown") return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, dialog")) return;
    if (stage.dataset.state !== "on") return;
    event.preventDefault(); // the page must not move away
    if (name && !event.repeat) hold(name, true, event.timeStamp);
  }, { signal });
  addEventListener("keyup", (event) => { const name = KEYS[event.code]; if (name) hold(name, false, event.timeStamp); }, { signal });
  addEventListener("blur", letGo, { signal });
  addEventListener("beforeunload", (event) => { if (world && unsaved > WORTH) event.preventDefault(); }, { signal });
  stage.addEventListener("pointerdown", () => stage.focus({ preventScroll: true }));

  // A tab that nobody sees lets its world rest, and finds it again when it is seen soon.
  document.addEventListener("visibilitychange", () => {
    if (!world) return;
    if (document.hidden) {
      letGo();
      looking?.abort();
      shown("resting", t("play.resting", { n: here.resting_ends }));
    } else look();
  }, { signal });
  signal.addEventListener("abort", () => {
    letGo();
    looking?.abort();
    if (world && unsaved > WORTH) note(t("play.waits", { n: here.resting_ends }), [t("play.save"), () => keepRide()]);
  });

  shown("idle", t("play.idle"));
  if (here.worlds.length) {
    try {
      const now = await json(`${mine}/play/${here.worlds[0]}`, { signal });
      if (now.status === "running") {
        enter(now);
        count = Date.now(); // above all numbers that were sent before
      }
    } catch (error) { if (!signal.aborted) complain(error); }
  }
  offer(here.unsaved[0]);
  if (asked && !world) begin.focus();
}
