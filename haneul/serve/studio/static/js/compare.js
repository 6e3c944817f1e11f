// Which of the two? And what came of all these judgements.
import { ask, download, json, media, mine, post } from "./api.js";
import { fill, h, icon, s } from "./dom.js";
import { maybe, number, t } from "./i18n.js";
import { stars } from "./clip.js";
import { button, complain, note } from "./parts.js";

export async function show(place, _given, signal) {
  const stage = h("section", { class: "card stack", "aria-label": t("compare.which") }), figures = h("section", { class: "card stack" });
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let pair = [], last = null, busy = false;

  async function next() {
    const found = await json(`${mine}/feedback/pair`, { signal });
    pair = found.pair;
    if (!pair.length) return fill(stage, h("div", { class: "empty" }, icon("compare"), h("h2", {}, t("compare.none")), h("p", {}, t("compare.none.about")), h("a", { class: "button main", href: "#/create" }, t("room.create"))));
    if (Math.random() < 0.5) pair.reverse(); // which side somebody likes must not count
    const films = await Promise.all(pair.map(async (clip, i) => {
      const video = h("video", { muted: true, loop: true, playsInline: true, autoplay: !calm.matches, "aria-label": t(i ? "compare.right" : "compare.left") });
      try { video.src = await media(clip.id); } catch (error) { complain(error); }
      return h("div", { class: "stack tight" }, h("div", { class: "screen" }, video), h("div", { class: "row apart" }, stars(clip, () => measure()), h("a", { class: "small", href: `#/clip/${clip.id}` }, t("edit.open"))));
    }));
    fill(stage, h("p", { class: "sentence" }, pair[0].video.prompt ?? ""), h("div", { class: "sides" }, films),
      h("div", { class: "row votes" }, button(null, () => stage.querySelectorAll("video").forEach((video) => { if (video.paused) video.play().catch(() => {}); else video.pause(); }), { kind: "plain", symbol: "play", title: t("player.toggle") }), button(t("compare.first"), () => vote("first"), { kind: "main", symbol: "left" }), button(t("compare.same"), () => vote("same"), {}), button(t("compare.second"), () => vote("second"), { kind: "main", symbol: "right" }),
        button(t("compare.undo"), undo, { kind: "plain little", symbol: "undo" })),
      h("p", { class: "soft small keys" }, h("kbd", {}, "←"), " ", h("kbd", {}, "↓"), " ", h("kbd", {}, "→")));
  }

  async function vote(choice) {
    if (busy || !pair.length) return;
    busy = true;
    try {
      last = (await post(`${mine}/feedback`, { first: pair[0].id, second: pair[1].id, choice })).number;
      await Promise.all([next(), measure()]);
    } catch (error) { complain(error); } finally { busy = false; }
  }

  async function undo() {
    if (last === null) return note(t("compare.undo.none"));
    try {
      await ask(`${mine}/feedback/${last}`, { method: "DELETE" });
      last = null;
      await Promise.all([next(), measure()]);
    } catch (error) { complain(error); }
  }

  async function measure() {
    const now = await json(`${mine}/feedback/statistics`, { signal });
    const most = Math.max(1, ...Object.values(now.stars));
    fill(figures, h("div", { class: "row apart" }, h("h2", {}, t("compare.figures")), button(t("compare.export"), () => download(`${mine}/feedback/export`, "preferences.jsonl").catch(complain), { kind: "little", symbol: "down" })),
      h("p", { class: "soft small" }, t("compare.counts", { pairs: now.pairs, starred: now.starred })),
      now.wins.length ? h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("compare.wins") }, h("table", { class: "table" }, h("caption", { class: "gone" }, t("compare.wins")), h("thead", {}, h("tr", {}, ["compare.what", "compare.value", "compare.share", "compare.of"].map((name) => h("th", { scope: "col" }, t(name))))),
        h("tbody", {}, now.wins.map((row) => h("tr", {}, h("td", {}, t(`compare.${row.what}`)), h("td", {}, row.what === "mode" ? maybe(`mode.${row.value}`, row.value) : row.value), h("td", {}, h("div", { class: "row tight" }, h("div", { class: "meter grow", "aria-hidden": "true" }, h("i", { style: { width: `${100 * row.share}%` } })), `${number(100 * row.share, 0)} %`)), h("td", { class: "number" }, String(row.of))))))) : h("p", { class: "soft small" }, t("compare.nowins")),
      now.starred ? h("div", { class: "stack tight" }, h("h3", {}, t("clip.stars")), s("svg", { class: "plot", viewBox: "0 0 250 96", role: "img", "aria-label": Object.entries(now.stars).map(([n, count]) => `${n}: ${count}`).join(", ") },
        Object.entries(now.stars).map(([n, count], i) => [s("rect", { x: 8 + i * 49, y: 72 - (62 * count) / most, width: 34, height: (62 * count) / most + 2, rx: 4 }), s("text", { x: 25 + i * 49, y: 90 }, `${n} ★`), s("text", { x: 25 + i * 49, y: 66 - (62 * count) / most }, count ? String(count) : "")]))) : null);
  }

  addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select, button, a") && event.key !== "ArrowDown" || event.ctrlKey || event.metaKey) return;
    const choice = { ArrowLeft: "first", ArrowRight: "second", ArrowDown: "same" }[event.key];
    if (choice) { event.preventDefault(); vote(choice); }
  }, { signal });

  fill(place, h("div", { class: "head" }, h("div", {}, h("h1", {}, t("compare.title")), h("p", {}, t("compare.about")))), h("div", { class: "stack" }, stage, figures));
  await Promise.all([next(), measure()]);
}
