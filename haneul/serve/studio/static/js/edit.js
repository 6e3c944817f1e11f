// The editor: trim, go on before or after, loop, retake a span, inpaint a box, blend with another clip; before and after.
import { json, media, mine, order } from "./api.js";
import { calmly, fill, h, icon, kept, keep } from "./dom.js";
import { number, t } from "./i18n.js";
import { isOpen, jobs } from "./jobs.js";
import { button, complain, explain, face, field, note, refusal, refusedCode, segments } from "./parts.js";
import { chooser } from "./chooser.js";
import { player, strip } from "./player.js";

const TOOLS = ["trim", "extend", "loop", "retake", "inpaint", "blend"];
const LEAST = 0.1;

export async function show(place, [id], signal) {
  id ??= kept("editing", null);
  if (!id) return pick(place, signal);
  let clip;
  try {
    clip = await json(`${mine}/library/${encodeURIComponent(id)}`, { signal });
  } catch (error) {
    if (error.status !== 404) throw error;
    keep("editing", null);
    return pick(place, signal);
  }
  if (clip.video.status !== "completed") return pick(place, signal);
  keep("editing", id);
  const length = (clip.frames ?? 1) / (clip.fps ?? 24);
  const now = { tool: kept("tool", "trim"), start: 0, end: length, box: [0.3, 0.3, 0.7, 0.7], prompt: clip.video.prompt ?? "", seconds: 2, back: false, other: null, hold: 0.25 };
  const before = kept("edit", null); // how this clip stood when the page was left, closed or loaded again
  if (before?.id === id) Object.assign(now, before.form);

  const view = player(clip, { moved: (seconds) => { head.style.setProperty("left", `${(100 * seconds) / length}%`); } });
  const head = h("i", { class: "head-line" });
  const canvas = h("canvas", { "aria-hidden": "true" });
  const span = h("div", { class: "span" });
  const grips = ["start", "end"].map((name) => h("input", { type: "range", class: `grip ${name}`, min: 0, max: clip.frames ?? 1, step: 1, value: name === "start" ? 0 : clip.frames ?? 1, "aria-label": t(`edit.${name}`), on: { input: (event) => {
    const value = Number(event.target.value) / (clip.fps ?? 24);
    if (name === "start") now.start = Math.min(value, now.end - LEAST); else now.end = Math.max(value, now.start + LEAST);
    spanned();
    view.seek(Math.round((name === "start" ? now.start : now.end) * view.fps) - (name === "end" ? 1 : 0));
  } } }));
  const told = h("output", { class: "soft small" });
  const film = h("div", { class: "film" }, canvas, span, head, grips);
  strip(clip, canvas).catch(() => {});

  function spanned() {
    const fps = clip.fps ?? 24;
    grips[0].value = Math.round(now.start * fps);
    grips[1].value = Math.round(now.end * fps);
    span.style.setProperty("left", `${(100 * now.start) / length}%`);
    span.style.setProperty("width", `${(100 * (now.end - now.start)) / length}%`);
    told.textContent = t("edit.span", { a: number(now.start, 2), b: number(now.end, 2), n: number(now.end - now.start, 2) });
  }

  // ---- the box on the frame
  const box = h("div", { class: "box", tabindex: "0", role: "group", "aria-label": t("edit.box") }, h("i", { class: "corner" }));
  function boxed() {
    const [l, tt, r, b] = now.box;
    for (const [name, value] of [["left", l], ["top", tt], ["width", r - l], ["height", b - tt]]) box.style.setProperty(name, `${100 * value}%`);
  }
  const held = (l, tt, r, b) => {
    const clamp = (v) => Math.min(1, Math.max(0, v));
    if (r - l >= 0.05 && b - tt >= 0.05) now.box = [l, tt, r, b].map(clamp);
    boxed();
  };
  box.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    box.focus();
    const frame = view.screen.getBoundingClientRect(), from = [event.clientX, event.clientY], old = [...now.box], resize = event.target.classList.contains("corner");
    box.setPointerCapture(event.pointerId);
    const move = (to) => {
      let dx = (to.clientX - from[0]) / frame.width, dy = (to.clientY - from[1]) / frame.height;
      if (resize) return held(old[0], old[1], Math.min(1, old[2] + dx), Math.min(1, old[3] + dy));
      dx = Math.min(1 - old[2], Math.max(-old[0], dx));
      dy = Math.min(1 - old[3], Math.max(-old[1], dy));
      held(old[0] + dx, old[1] + dy, old[2] + dx, old[3] + dy);
    };
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerup", () => box.removeEventListener("pointermove", move), { once: true });
  });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const [dx, dy] = step.map((value) => value * 0.02), [l, tt, r, b] = now.box;
    if (event.shiftKey) held(l, tt, Math.min(1, r + dx), Math.min(1, b + dy));
    else if (l + dx >= -1e-9 && r + dx <= 1 + 1e-9 && tt + dy >= -1e-9 && b + dy <= 1 + 1e-9) held(l + dx, tt + dy, r + dx, b + dy);
  });

  // A press beside the box brings it there.
  view.screen.addEventListener("click", (event) => {
    if (!box.isConnected || box.contains(event.target)) return;
    event.stopPropagation();
    const frame = view.screen.getBoundingClientRect(), [l, tt, r, b] = now.box, [w, hh] = [r - l, b - tt];
    const x = Math.min(1 - w, Math.max(0, (event.clientX - frame.left) / frame.width - w / 2)), y = Math.min(1 - hh, Math.max(0, (event.clientY - frame.top) / frame.height - hh / 2));
    held(x, y, x + w, y + hh);
    remember();
  }, { capture: true });
  const grow = (by) => {
    const [l, tt, r, b] = now.box, [dx, dy] = [((r - l) * by) / 2, ((b - tt) * by) / 2];
    held(Math.max(0, l - dx), Math.max(0, tt - dy), Math.min(1, r + dx), Math.min(1, b + dy));
    remember();
  };
  const sizes = () => h("div", { class: "row tight" }, button(t("edit.larger"), () => grow(0.2), { kind: "little", symbol: "plus" }), button(t("edit.smaller"), () => grow(-0.2), { kind: "little" }));
  /** The ends of the span by the moment that is shown. */
  const here = () => h("div", { class: "row tight" }, ...["start", "end"].map((name) => button(t(`edit.${name}.here`), () => {
    const value = (view.at() + (name === "end" ? 1 : 0)) / view.fps;
    if (name === "start") now.start = Math.max(0, Math.min(value, now.end - LEAST)); else now.end = Math.min(length, Math.max(value, now.start + LEAST));
    spanned();
    remember();
  }, { kind: "little" })));

  // ---- the tools
  const form = h("div", { class: "stack" }), trouble = h("div", {});
  const words = () => h("textarea", { rows: 3, value: now.prompt, maxlength: 4000, on: { input: (event) => { now.prompt = event.target.value; } } });
  const seconds = () => field(t("create.seconds"), h("input", { type: "number", min: 0.3, max: 60, step: 0.1, value: now.seconds, on: { input: (event) => { now.seconds = Number(event.target.value); } } }));
  const ref = { video_id: id };
  const tools = {
    trim: { fields: () => [here()], ask: () => ["assemble", { cuts: [{ clip: ref, start: now.start, end: Math.min(now.end, length) }], title: clip.video.prompt ?? "" }] },
    extend: { fields: () => [here(), field(t("edit.say"), words()), segments(t("edit.side"), [["after", t("create.mode.extend")], ["before", t("create.mode.before")]], now.back ? "before" : "after", (side) => { now.back = side === "before"; }), seconds()],
      ask: () => ["extend", { prompt: now.prompt, clip: ref, seconds: now.seconds, backward: now.back, start: now.start, ...(now.end < length ? { end: now.end } : {}) }] },
    loop: { fields: () => [field(t("edit.say"), words()), seconds()], ask: () => ["loop", { prompt: now.prompt, clip: ref, seconds: now.seconds }] },
    retake: { fields: () => [here(), field(t("edit.say"), words())], ask: () => ["retake", { prompt: now.prompt, clip: ref, start: now.start, end: now.end }] },
    inpaint: { fields: () => [sizes(), field(t("edit.say"), words())], ask: () => ["inpaint", { prompt: now.prompt, clip: ref, box: now.box }] },
    blend: { fields: () => {
      const shown = h("p", { class: "soft small" }, now.other ? now.other.video.prompt ?? now.other.id : t("edit.other.none"));
      return [h("div", { class: "row" }, button(t("edit.other"), async () => {
        now.other = (await chooser({ title: t("edit.other"), without: id })) ?? now.other;
        if (now.other) shown.textContent = now.other.video.prompt ?? now.other.id;
      }, { symbol: "library" }), shown), seconds(), field(t("edit.say"), words())];
    }, ask: () => {
      if (!now.other) throw new TypeError("other");
      return ["blend", { prompt: now.prompt, first: ref, second: { video_id: now.other.id }, seconds: now.seconds, hold: now.hold }];
    } },
  };

  function tool(name) {
    now.tool = name;
    keep("tool", name);
    film.classList.toggle("spanning", ["trim", "retake", "extend"].includes(name));
    for (const grip of grips) grip.disabled = !["trim", "retake", "extend"].includes(name);
    if (name === "inpaint") { view.screen.append(box); boxed(); view.video.pause(); } else box.remove();
    fill(trouble);
    fill(form, h("p", { class: "soft small" }, t(`edit.${name}.about`)), tools[name].fields(), trouble, h("div", { class: "row end" }, button(t(`edit.${name}.go`), make, { kind: "main", symbol: name === "trim" ? "cut" : "create" })));
  }

  async function make() {
    fill(trouble);
    try {
      if (now.tool === "blend" && !now.other) return note(t("edit.other.none"));
      const [path, body] = tools[now.tool].ask();
      const video = await order(`${mine}/${path}`, body);
      jobs.add(video, path);
      follow(video.id);
    } catch (error) {
      const code = refusedCode(error.message);
      fill(trouble, code ? refusal(code, error.message) : h("p", { class: "note bad", role: "alert" }, icon("warn"), explain(error)));
    }
  }

  // ---- what came of it, beside what was
  const result = h("section", { class: "stack", "aria-label": t("edit.result"), hidden: true });
  let following = null;
  const remember = calmly(() => {
    const { tool: _tool, other: _other, ...form } = now; // the tool is kept for all clips, the other clip is not
    keep("edit", { id, form, made: following });
  }, 150);
  for (const event of ["input", "change", "pointerup", "keyup"]) place.addEventListener(event, remember, { signal });

  function follow(made, show_ = true) {
    following = made;
    remember();
    result.hidden = false;
    const shown = face(jobs.known.get(made), {});
    fill(result, h("h2", {}, t("edit.result")), h("div", { class: "clip" }, shown));
    if (show_) result.scrollIntoView({ behavior: "smooth", block: "nearest" });
    const told_ = ({ detail }) => {
      if (detail.id !== made || made !== following) return;
      if (detail.deleted) { result.hidden = true; return; }
      shown.show(detail);
      if (!isOpen(detail.video) && detail.video.status === "completed") compare(made).catch(complain);
    };
    jobs.addEventListener("change", told_, { signal });
    told_({ detail: jobs.known.get(made) });
  }

  async function compare(made) {
    const after = await json(`${mine}/library/${made}`, { signal });
    const one = await media(id), two = await media(made);
    const before = h("video", { src: one, muted: true, loop: true, playsInline: true, "aria-label": t("edit.before") }), now_ = h("video", { src: two, muted: true, loop: true, playsInline: true, "aria-label": t("edit.after") });
    const pane = h("div", { class: "pane" }, before, h("div", { class: "over" }, now_));
    pane.style.setProperty("--at", "50%");
    const [w, hh] = after.video.size.split("x").map(Number);
    pane.style.setProperty("aspect-ratio", `${w} / ${hh}`);
    const slide = h("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": t("edit.slide"), on: { input: () => pane.style.setProperty("--at", `${slide.value}%`) } });
    const run = button(t("player.play"), () => { for (const video of [before, now_]) { if (video.paused) { video.play().catch(() => {}); } else video.pause(); } }, { symbol: "play" });
    now_.addEventListener("seeked", () => { if (Math.abs(before.currentTime - now_.currentTime) > 0.1 && now_.currentTime < before.duration) before.currentTime = now_.currentTime; });
    fill(result, h("h2", {}, t("edit.result")), pane, h("div", { class: "row apart small soft" }, h("span", {}, t("edit.after")), h("span", {}, t("edit.before"))), slide,
      h("div", { class: "row" }, run, h("a", { class: "button", href: `#/clip/${made}` }, t("edit.open")), h("a", { class: "button main", href: `#/edit/${made}` }, icon("edit"), t("edit.goon"))));
  }

  fill(place, h("div", { class: "head" }, h("div", {}, h("p", {}, h("a", { href: `#/clip/${id}` }, t("edit.back"))), h("h1", {}, t("edit.title")), h("p", {}, clip.video.prompt ?? "")), button(t("edit.another"), () => { keep("editing", null); location.hash = "#/edit"; pick(place, signal); }, { symbol: "library" })),
    h("div", { class: "two" }, h("div", { class: "stack" }, view.element, film, told, result),
      h("section", { class: "card stack" }, segments(t("edit.tool"), TOOLS.map((name) => [name, t(`edit.${name}`)]), now.tool, tool, { kind: "tools" }), form)));
  spanned();
  tool(TOOLS.includes(now.tool) ? now.tool : "trim");
  if (before?.id === id && before.made) jobs.get(before.made).then(() => { if (!signal.aborted) follow(before.made, false); }, () => {}); // deleted since
  await view.ready.catch(complain);
}

/** Before there is a clip to edit. */
async function pick(place, signal) {
  const list = h("div", {});
  fill(place, h("div", { class: "head" }, h("div", {}, h("h1", {}, t("edit.title")), h("p", {}, t("edit.choose")))), list);
  const { shelf } = await import("./chooser.js");
  await shelf(list, { signal, take: (clip) => { location.hash = `#/edit/${clip.id}`; } });
}
