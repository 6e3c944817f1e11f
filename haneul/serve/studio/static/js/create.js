// The first room: say what happens, see what the model understood, choose among several, go on from one.
import { json, media, mine, order, post, upload } from "./api.js";
import { dial } from "./camera.js";
import { calmly, fill, h, icon, keep, kept, newSeed } from "./dom.js";
import { language, t } from "./i18n.js";
import { isOpen, jobs } from "./jobs.js";
import { button, card, choice, complain, explain, field, note, refusal, refusedCode, remove, segments, varying } from "./parts.js";
import { reading } from "./reading.js";

const SIZES = ["896x512", "512x896", "676x676", "784x588", "1036x442", "640x360", "1280x720", "1920x1080", "1080x1920"];
const PLAIN = {
  prompt: "", seconds: 4, size: "896x512", count: 4, seed: "", camera: "", steps: "", guidance: "", negative: "",
  remember: "", expand: true, mode: "generate", strength: 0.5, given: null, same: false,
};

/** What is being written; it stays when the page is left. */
const draft = () => ({ ...PLAIN, ...kept("draft", {}) });

/** Another room's wish: fills the page. */
export function begin(changes) {
  keep("draft", { ...draft(), ...changes });
  location.hash = "#/create";
}

export async function show(place, _given, signal) {
  const now = draft();
  const save = () => keep("draft", now);
  let seed = now.seed === "" ? newSeed() : Number(now.seed);
  const set = (name, value) => { now[name] = value; save(); look(); };

  // ---- the prompt
  const mirror = h("div", { class: "mirror", "aria-hidden": "true" });
  const words = h("textarea", {
    id: "prompt", rows: 3, maxlength: 4000, value: now.prompt, placeholder: t("create.placeholder"), spellcheck: "true", "aria-label": t("create.prompt"),
    on: {
      input: () => { set("prompt", words.value); paint([]); },
      scroll: () => { mirror.scrollTop = words.scrollTop; },
      keydown: (event) => { if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) { event.preventDefault(); make(); } },
    },
  });

  /** The same text under the one that is written, with a wave under each unknown word. */
  function paint(unknown) {
    const text = words.value;
    if (!unknown.length) return mirror.replaceChildren(text);
    const all = unknown.map((entry) => entry.word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).sort((a, b) => b.length - a.length);
    const parts = text.split(new RegExp(`(${all.join("|")})`, "iu"));
    mirror.replaceChildren(...parts.map((part, i) => (i % 2 ? h("mark", {}, part) : part)));
  }

  const read = reading({
    swap: (word, by) => { words.value = words.value.replace(new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu"), by); words.dispatchEvent(new Event("input")); words.focus(); },
    remember: (text) => { set("remember", text); },
    reseed: () => { seed = newSeed(); if (now.seed !== "") { seedBox.value = now.seed = String(seed); save(); } look(); },
    same: (on) => { now.same = on; save(); },
    state: () => now,
  });

  let asked = 0;
  const look = calmly(async () => {
    const number = ++asked;
    if (!now.prompt.trim()) { read.clear(); return paint([]); }
    read.busy();
    try {
      const found = await post(`${mine}/prompt`, { prompt: now.prompt, remember: now.remember, seed, camera: now.camera, expand: now.expand && !given() }, { signal });
      if (number !== asked) return;
      read.show(found);
      paint(found.unknown);
    } catch (error) {
      if (number === asked) read.fail(explain(error));
    }
  }, 400);

  // ---- what is given
  const given = () => now.given;
  const shelf = h("div", { hidden: true });
  const picker = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp,video/mp4,video/webm,video/quicktime", hidden: true, on: { change: () => { if (picker.files[0]) take(picker.files[0]); picker.value = ""; } } });

  async function take(file) {
    note(t("create.given.reading", { name: file.name }));
    try {
      const kept_ = await upload(file);
      const film = file.type.startsWith("video/");
      now.given = { file_id: kept_.id, name: kept_.filename, kind: film ? "video" : "picture" };
      now.mode = film ? "remix" : "generate";
      save();
      shelve(URL.createObjectURL(file));
      look();
    } catch (error) { complain(error); }
  }

  async function shelve(url = null) {
    const has = given();
    shelf.hidden = !has;
    if (!has) { fill(shelf); modes(); return; }
    if (!url && has.video_id) url = await media(has.video_id, "thumbnail").catch(() => null);
    const film = has.kind === "video" && !has.video_id;
    const seen = !url ? icon("picture") : film ? h("video", { src: url, muted: true, autoplay: true, loop: true, playsInline: true }) : h("img", { src: url, alt: "" });
    fill(shelf, h("div", { class: "given" }, seen,
      h("div", { class: "grow" }, h("strong", {}, has.name), h("p", { class: "soft small" }, t(has.kind === "video" ? "create.given.video" : "create.given.picture"))),
      button(null, () => { now.given = null; now.mode = "generate"; save(); shelve(); look(); }, { kind: "plain little", symbol: "close", title: t("create.given.away") })));
    modes();
  }

  // ---- what else can be chosen
  const modeBox = h("div", {});
  function modes() {
    const has = given();
    const able = !has ? ["generate", "loop"] : has.kind === "picture" ? ["generate"] : ["remix", "extend", "before"];
    if (!able.includes(now.mode)) now.mode = able[0];
    fill(modeBox, able.length > 1 ? segments(t("create.mode"), able.map((name) => [name, t(`create.mode.${name}`)]), now.mode, (name) => { set("mode", name); modes(); }) : null);
    strengthBox.hidden = now.mode !== "remix";
    sizeBox.hidden = Boolean(has && has.kind === "video");
    secondsBox.hidden = now.mode === "remix";
  }

  const custom = h("input", { type: "text", inputmode: "numeric", placeholder: "896x512", pattern: "\\d+x\\d+", value: now.size, on: { input: () => { now.size = custom.value.trim().toLowerCase().replace("×", "x"); save(); } } });
  const customBox = field(t("create.size.own"), custom, { hidden: SIZES.includes(now.size) });
  const sizeBox = field(t("create.size"), choice([...SIZES.map((size) => [size, sizeName(size)]), ["own", t("create.size.own")]], SIZES.includes(now.size) ? now.size : "own", (value) => {
    customBox.hidden = value !== "own";
    if (value !== "own") { now.size = value; custom.value = value; save(); }
  }, { id: "size" }), { class: "field whole" });
  const seconds = h("input", { type: "number", id: "seconds", min: 0.2, max: 120, step: 0.1, value: now.seconds, on: { input: () => { now.seconds = Number(seconds.value) || 4; save(); } } });
  const secondsBox = field(t("create.seconds"), seconds);
  const strength = h("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: now.strength, on: { input: () => { now.strength = Number(strength.value); save(); } } });
  const strengthBox = field(t("vary.strength"), strength);
  const count = choice([["1", "1"], ["2", "2"], ["4", "4"], ["9", "9"]], String(now.count), (value) => { now.count = Number(value); save(); }, { id: "count" });
  const seedBox = h("input", { type: "text", inputmode: "numeric", pattern: "\\d*", id: "seed", placeholder: t("create.seed.any"), value: now.seed, on: { input: () => { now.seed = seedBox.value.replace(/\D/g, ""); seed = now.seed === "" ? newSeed() : Number(now.seed); save(); look(); } } });
  const steps = h("input", { type: "number", min: 1, max: 200, placeholder: t("create.usual"), value: now.steps, on: { input: () => { now.steps = steps.value; save(); } } });
  const guidance = h("input", { type: "number", min: 1, max: 20, step: 0.1, placeholder: t("create.usual"), value: now.guidance, on: { input: () => { now.guidance = guidance.value; save(); } } });
  const negative = h("input", { type: "text", value: now.negative, on: { input: () => { now.negative = negative.value; save(); } } });
  const expand = h("input", { type: "checkbox", checked: now.expand, on: { change: () => set("expand", expand.checked) } });
  const go = button(t("create.go"), () => make(), { kind: "main", symbol: "create" });
  go.id = "make";
  const trouble = h("div", { hidden: true });

  const say = h("section", { class: "card say", "aria-label": t("create.prompt"), on: {
    dragover: (event) => { event.preventDefault(); say.classList.add("over"); },
    dragleave: (event) => { if (!say.contains(event.relatedTarget)) say.classList.remove("over"); },
    drop: (event) => { event.preventDefault(); say.classList.remove("over"); const file = event.dataTransfer.files[0]; if (file) take(file); },
  } },
  h("div", { class: "write" }, mirror, words),
  h("div", { class: "under" }, shelf, trouble, h("div", { class: "row apart" },
    h("div", { class: "row tight" }, button(t("create.give"), () => picker.click(), { kind: "plain", symbol: "picture" }), picker, modeBox),
    h("div", { class: "row tight" }, h("span", { class: "soft tiny keys" }, h("kbd", {}, "Ctrl"), " ", h("kbd", {}, "↵")), go))));

  const options = h("section", { class: "card stack" },
    h("h2", {}, t("create.how")),
    h("div", { class: "controls" }, sizeBox, customBox, secondsBox, strengthBox, field(t("create.count"), count)),
    h("details", { open: Boolean(now.camera) }, h("summary", {}, t("camera.title")), dial(now.camera, () => Number(now.seconds), (path) => set("camera", path))),
    h("details", {}, h("summary", {}, t("create.more")), h("div", { class: "stack" },
      h("div", { class: "controls" }, field(t("create.seed"), seedBox), field(t("create.steps"), steps), field(t("create.guidance"), guidance)),
      field(t("create.negative"), negative),
      h("label", { class: "check" }, expand, t("create.expand")))));

  const results = h("div", { class: "grid four" });
  const stopAll = button(t("create.stop"), () => stop(), { kind: "plain little", symbol: "close" });
  const stoppable = () => { stopAll.hidden = !kept("takes", []).some((id) => jobs.known.has(id) && isOpen(jobs.known.get(id).video)); };
  const takes = h("section", { class: "stack", "aria-label": t("create.takes"), hidden: true },
    h("div", { class: "row apart" }, h("h2", {}, t("create.takes")), h("div", { class: "row tight" },
      stopAll,
      button(t("create.clear"), () => { keep("takes", []); takesNow(); }, { kind: "plain little" }))), results);

  fill(place, h("div", { class: "head" }, h("div", {}, h("h1", {}, t("create.title")), h("p", {}, t("create.about")))),
    h("div", { class: "stack" }, say, h("div", { class: "two" }, read.element, options), takes));
  paint([]);
  shelve();
  look();

  // ---- making
  function wish() {
    const told = {};
    for (const name of ["steps", "guidance"]) if (now[name] !== "" && now[name] !== null) told[name] = Number(now[name]);
    for (const name of ["negative", "camera", "remember"]) if (now[name]) told[name] = now[name];
    if (!now.expand) told.expand = false;
    return { prompt: now.prompt.trim(), ...told };
  }

  async function make() {
    if (!now.prompt.trim()) { words.focus(); return note(t("create.empty")); }
    go.disabled = true;
    fill(trouble).hidden = true;
    try {
      const has = given(), first = now.seed === "" ? seed : Number(now.seed);
      const ref = has && (has.video_id ? { video_id: has.video_id } : { file_id: has.file_id });
      let made;
      if (now.mode === "remix" || now.mode === "extend" || now.mode === "before") {
        const path = now.mode === "remix" ? "remix" : "extend";
        const own = path === "remix" ? { strength: Number(now.strength) } : { seconds: Number(now.seconds), backward: now.mode === "before" };
        made = await each(path, now.count, (n) => ({ ...wish(), clip: ref, ...own, seed: first + n }));
      } else {
        const body = { ...wish(), seconds: Number(now.seconds), size: now.size, loop: now.mode === "loop", seed: first, count: Number(now.count) };
        if (now.same && read.caption() && !body.remember) body.remember = read.caption();
        if (ref) body.image = ref;
        made = (await order(`${mine}/variations`, body)).data;
      }
      begun(made);
      if (now.seed === "") seed = newSeed();
    } catch (error) {
      const code = refusedCode(error.message);
      trouble.hidden = false;
      fill(trouble, code ? refusal(code, error.message) : h("p", { class: "note bad", role: "alert" }, icon("warn"), explain(error)));
    } finally { go.disabled = false; }
  }

  async function each(path, n, body) {
    const made = [];
    for (let i = 0; i < n; i++) made.push(await order(`${mine}/${path}`, body(i)));
    return made;
  }

  function begun(made) {
    for (const video of made) jobs.add(video);
    keep("takes", [...made.map((video) => video.id), ...kept("takes", [])].slice(0, 27));
    takesNow();
    takes.scrollIntoView({ behavior: "smooth", block: "nearest" });
    const go_on = () => post(`${mine}/queue/resume`, {}).then((now_) => jobs.hold(now_), complain);
    if (jobs.resting) note(t(jobs.held.paused ? "queue.paused" : "queue.paused.everybody"), jobs.held.paused ? [t("queue.resume"), go_on] : null);
  }

  async function vary(job) {
    const how = await varying();
    if (!how) return;
    try {
      const first = newSeed();
      begun(await each("remix", how.count, (n) => ({ ...wish(), prompt: job.video.prompt ?? now.prompt, clip: { video_id: job.id }, strength: how.strength, seed: first + n })));
    } catch (error) { complain(error); }
  }

  async function stop() {
    for (const id of kept("takes", [])) {
      const job = jobs.known.get(id);
      if (job && isOpen(job.video)) await post(`${mine}/videos/${id}/cancel`).catch(complain);
    }
  }

  // ---- what came of it
  const cards = new Map();
  async function takesNow() {
    const ids = kept("takes", []);
    takes.hidden = !ids.length;
    const found = await Promise.all(ids.map((id) => jobs.get(id).catch((error) => (error.status === 404 ? null : undefined))));
    if (signal.aborted) return;
    const there = found.filter(Boolean);
    if (found.includes(null)) keep("takes", ids.filter((_, i) => found[i] !== null));
    for (const job of there) if (!cards.has(job.id)) cards.set(job.id, made(job));
    fill(results, there.map((job) => cards.get(job.id)));
    takes.hidden = !there.length;
    stoppable();
  }

  function made(job) {
    const vary_ = button(null, () => vary(job), { kind: "plain little", symbol: "vary", title: t("vary.title") });
    const cancel = button(null, () => post(`${mine}/videos/${job.id}/cancel`).catch(complain), { kind: "plain little", symbol: "close", title: t("job.cancel") });
    const away = button(null, () => remove(job.id).catch(complain), { kind: "plain little", symbol: "bin", title: t("clip.delete") });
    const shown = card(job, { actions: [vary_, cancel, away] });
    const plain = shown.show;
    shown.show = (changed) => {
      plain(changed);
      const open = isOpen(changed.video);
      cancel.hidden = !open;
      away.hidden = open;
      vary_.hidden = changed.video.status !== "completed";
    };
    shown.show(job);
    return shown;
  }

  jobs.addEventListener("change", ({ detail }) => {
    if (detail.deleted) {
      if (cards.delete(detail.id)) { keep("takes", kept("takes", []).filter((id) => id !== detail.id)); takesNow(); }
    } else cards.get(detail.id)?.show(detail);
    stoppable();
  }, { signal });
  await takesNow();
}

function sizeName(size) {
  const [w, hh] = size.split("x").map(Number);
  const known = { "896x512": "wide", "512x896": "tall", "676x676": "square", "784x588": "classic", "1036x442": "cinema" }[size];
  return known ? `${t(`size.${known}`)} · ${w} × ${hh}` : `${w} × ${hh}`;
}
