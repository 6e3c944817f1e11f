// The house: which room is shown, in which language and light, and whether the service answers.
import { ask, forgetKey, hasKey, json, link, mine, whenKeyIsNeeded } from "./api.js";
import { fill, h, icon, keep, kept } from "./dom.js";
import { LANGUAGES, choose, language, preferred, speak, t } from "./i18n.js";
import { jobs } from "./jobs.js";
import { button, dialog, explain, field, note } from "./parts.js";

const ROOMS = {
  create: () => import("./create.js"),
  library: () => import("./library.js"),
  clip: () => import("./clip.js"),
  edit: () => import("./edit.js"),
  board: () => import("./board.js"),
  play: () => import("./play.js"),
  compare: () => import("./compare.js"),
  glass: () => import("./glass.js"),
  queue: () => import("./queue.js"),
  admin: () => import("./admin.js"),
};
const NAV = ["create", "library", "edit", "board", "play", "compare", "glass", "queue"];
const HIDDEN = { clip: "library", admin: "queue" }; // rooms that belong to another one's entry

const room = document.getElementById("room");
let leave = null;
let counted = null;
const KNOCK = 2000; // milliseconds
let playable = false; // whether there is a model to play
let up = true; // whether the service answered the last time
let failed = false; // whether the room at hand could not be shown

export function theme(now = kept("theme", "auto")) {
  if (now === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = now;
}

/** The whole frame, in the language at hand. */
export function frame() {
  document.getElementById("skip").textContent = t("skip");
  const nav = document.getElementById("nav");
  nav.setAttribute("aria-label", t("nav"));
  fill(nav, NAV.map((name) => h("a", { href: `#/${name}`, data: { room: name }, hidden: name === "play" && !playable }, icon(name), h("span", { class: "name" }, t(`room.${name}`)), name === (NAV.includes("queue") ? "queue" : "create") ? (counted = h("span", { class: "count", hidden: true })) : null)));
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const other = Object.keys(LANGUAGES).find((name) => name !== language);
  const light = button(null, () => { keep("theme", dark() ? "light" : "dark"); theme(); frame(); }, { kind: "plain little", symbol: dark() ? "sun" : "moon", title: t(dark() ? "theme.light" : "theme.dark") });
  const tongue = h("button", { type: "button", class: "button plain little", lang: other, on: { click: () => change(other) } }, icon("language"), LANGUAGES[other]);
  fill(document.getElementById("state"), h("p", { class: "about", id: "about", role: "status" }), h("div", { class: "tools" }, tongue, light,
    hasKey() ? button(t("key.forget"), () => { forgetKey(); location.reload(); }, { kind: "plain little" }) : null));
  count();
  here();
  state();
}

/** Another language, at once. */
export async function change(name) {
  await choose(name);
  frame();
  await show();
}

function count() {
  if (!counted) return;
  const open = jobs.open.length;
  counted.hidden = open === 0;
  counted.textContent = String(open);
  counted.setAttribute("aria-label", t("jobs.open", { n: open }));
}

function here() {
  const name = route()[0];
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.room === (HIDDEN[name] ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return name in ROOMS ? [name, ...rest] : ["create"];
}

let showing = 0;
async function show() {
  const mine_ = ++showing;
  const [name, ...given] = route();
  leave?.abort();
  leave = new AbortController();
  failed = false;
  const { signal } = leave;
  here();
  try {
    const module = await ROOMS[name]();
    if (mine_ !== showing) return;
    const place = h("div", { class: "room", data: { room: name } });
    fill(room, place);
    document.title = `${t(`room.${HIDDEN[name] ?? name}`)} · Haneul`;
    await module.show(place, given, signal);
  } catch (error) {
    if (signal.aborted || mine_ !== showing) return;
    failed = true;
    fill(room, h("div", { class: "empty" }, icon("warn"), h("h1", {}, t("error.title")), h("p", {}, explain(error)), button(t("error.again"), () => show(), { kind: "main" })));
  }
}

/** What whoever is in any room should know. */
function state() {
  const about = document.getElementById("about");
  if (about) about.textContent = up ? (jobs.resting ? t("state.paused") : "") : t("link.down");
}

/** Asks until somebody answers: an idle page would not notice. */
async function knock() {
  while (!up) {
    await new Promise((done) => { setTimeout(done, KNOCK); addEventListener("online", done, { once: true }); });
    if (!up) await ask("/healthz").catch(() => {});
  }
}

function answers(now) {
  note(t(now ? "link.up" : "link.down"));
  up = now;
  state();
  if (!up) knock();
  else if (failed) show();
}

function play({ available }) {
  playable = available;
  document.querySelector('nav a[data-room="play"]').hidden = !available;
}

function askForKey(wrong) {
  return dialog((close) => {
    const given = h("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true, placeholder: "hnl_…" });
    return h("form", { method: "dialog", on: { submit: (event) => { event.preventDefault(); close(given.value.trim()); } } },
      h("h2", {}, t("key.title")), h("p", { class: "soft" }, t("key.about")),
      wrong ? h("p", { class: "note bad", role: "alert" }, icon("warn"), t("key.wrong")) : null,
      field(t("key.label"), given), h("div", { class: "row end" }, button(t("key.enter"), null, { kind: "main", type: "submit" })));
  }, { label: t("key.title") });
}

async function begin() {
  theme();
  await speak(preferred());
  whenKeyIsNeeded(askForKey);
  frame();
  addEventListener("hashchange", () => { show().then(() => { scrollTo(0, 0); room.focus({ preventScroll: true }); }); });
  document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); room.focus(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", frame);
  link.addEventListener("down", () => answers(false));
  link.addEventListener("up", () => answers(true));
  jobs.addEventListener("change", count);
  jobs.addEventListener("held", state);
  jobs.start();
  await show();
  for (const load of Object.values(ROOMS)) load().catch(() => {}); // so that a network that is cut later closes no door
  json(`${mine}/play`).then(play, () => {});
  json(`${mine}/storage`).then((now) => { if (!now.workers) note(t("link.loading")); }, () => {});
}

begin(); // not awaited here: rooms import this module, and would wait for one that waits for them
