// A player that is exact to the frame, driven by the keyboard too.
import { media } from "./api.js";
import { h } from "./dom.js";
import { number, t } from "./i18n.js";
import { button } from "./parts.js";

/** Plays a finished clip; `clip` has id, fps, frames. `moved` is told of every moment that is shown. */
export function player(clip, { moved = () => {}, loop = true, autoplay = false } = {}) {
  const fps = clip.fps ?? 24, frames = Math.max(1, clip.frames ?? 1);
  const video = h("video", { muted: true, loop, playsInline: true, preload: "auto", autoplay, "aria-label": clip.video?.prompt ?? "" });
  const [w, hh] = (clip.video?.size ?? "16x9").split("x").map(Number);
  // As wide as the picture and no wider, so that a place on the screen is a place in the picture.
  const screen = h("div", { class: "screen", style: { "--ratio": w / hh, "aspect-ratio": `${w} / ${hh}` } }, video);
  const bar = h("input", { type: "range", min: 0, max: frames - 1, step: 1, value: 0, "aria-label": t("player.moment") });
  const clock = h("output", {});
  const start = button(null, () => toggle(), { kind: "plain", symbol: "play", title: t("player.play") });
  const round = button(null, () => { video.loop = !video.loop; round.setAttribute("aria-pressed", String(video.loop)); }, { kind: "plain", symbol: "loop", title: t("player.loop"), pressed: loop });
  const at = () => Math.min(frames - 1, Math.max(0, Math.floor(video.currentTime * fps + 1e-3)));

  function tell() {
    const n = at();
    bar.value = n;
    bar.setAttribute("aria-valuetext", t("player.frame", { n: n + 1, of: frames }));
    clock.textContent = `${number(n / fps, 2)} s · ${n + 1}/${frames}`;
    moved(n / fps, n);
  }

  /** Shows one frame: its middle is asked for, so that rounding cannot show its neighbour. */
  function seek(n) {
    video.pause();
    video.currentTime = (Math.min(frames - 1, Math.max(0, n)) + 0.5) / fps;
    tell();
  }

  function toggle() {
    if (video.paused) video.play().catch(() => {});
    else video.pause();
  }

  bar.addEventListener("input", () => seek(Number(bar.value)));
  for (const event of ["timeupdate", "seeked", "loadeddata"]) video.addEventListener(event, tell);
  for (const [event, symbol, name] of [["play", "pause", "player.pause"], ["pause", "play", "player.play"]]) {
    video.addEventListener(event, () => {
      const made = button(null, null, { symbol });
      start.replaceChildren(...made.childNodes);
      start.title = t(name);
      start.setAttribute("aria-label", t(name));
    });
  }
  const follow = () => { if (!video.isConnected) return; if (!video.paused) tell(); video.requestVideoFrameCallback(follow); };
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(follow);
  video.addEventListener("click", toggle);
  const element = h("div", { class: "player", on: { keydown: (event) => {
    if (event.target.matches("input:not([type=range]), textarea, select")) return;
    const step = { ArrowLeft: -1, ArrowRight: 1, ",": -1, ".": 1 }[event.key];
    if (step && event.target !== bar) { event.preventDefault(); seek(at() + step); }
    if (event.key === " " && !event.target.matches("button, summary")) { event.preventDefault(); toggle(); }
  } } }, screen, h("div", { class: "transport" }, start,
    button(null, () => seek(at() - 1), { kind: "plain", symbol: "back", title: t("player.back") }),
    button(null, () => seek(at() + 1), { kind: "plain", symbol: "on", title: t("player.on") }), bar, clock, round));
  const ready = media(clip.id).then((url) => { video.src = url; });
  return { element, video, screen, seek, at, fps, frames, ready, toggle };
}

/** Little pictures of a clip from its sprite sheet, in a row. */
export async function strip(clip, canvas) {
  const url = await media(clip.id, "spritesheet");
  const sheet = new Image();
  sheet.src = url;
  await sheet.decode();
  const count = Math.min(12, clip.frames ?? 12), columns = Math.min(4, count), rows = Math.ceil(count / columns);
  const w = sheet.naturalWidth / columns, hh = sheet.naturalHeight / rows;
  const pen = canvas.getContext("2d");
  canvas.width = 1200;
  canvas.height = 90;
  const each = canvas.width / count;
  for (let i = 0; i < count; i++) {
    const scale = Math.max(each / w, canvas.height / hh);
    const cw = each / scale, ch = canvas.height / scale;
    pen.drawImage(sheet, (i % columns) * w + (w - cw) / 2, Math.floor(i / columns) * hh + (hh - ch) / 2, cw, ch, i * each, 0, each, canvas.height);
  }
}
