// Choosing a finished clip: a searched grid, by itself or in a dialog.
import { json, mine } from "./api.js";
import { calmly, fill, h, icon } from "./dom.js";
import { t } from "./i18n.js";
import { button, complain, face, field } from "./parts.js";

const AT_ONCE = 24;

/** A grid of finished clips in `place`; `take` is given the chosen one. */
export async function shelf(place, { signal = null, take, without = null, filter = {} }) {
  const grid = h("div", { class: "grid small-cards" }), more = button(t("chooser.more"), () => next().catch(complain), { kind: "plain" });
  let q = "", offset = 0;
  async function next() {
    const found = await json(`${mine}/library?${new URLSearchParams({ q, offset, limit: AT_ONCE, status: "completed", ...filter })}`, { signal });
    offset += found.data.length;
    for (const clip of found.data) {
      if (clip.id === without) continue;
      grid.append(h("div", { class: "clip", data: { id: clip.id } }, face({ id: clip.id, video: clip.video, stage: "", mode: clip.mode }, { open: () => take(clip) }), h("div", { class: "text" }, h("p", { class: "words" }, clip.video.prompt ?? t("clip.noprompt")))));
    }
    more.hidden = offset >= found.total;
    if (!grid.children.length) fill(grid, h("div", { class: "empty" }, icon("library"), h("p", {}, t(q ? "library.nothing" : "library.empty")), q ? null : h("a", { class: "button main", href: "#/create" }, t("room.create"))));
  }
  const search = h("input", { type: "search", placeholder: t("library.search"), on: { input: calmly(() => { q = search.value.trim(); offset = 0; fill(grid); next().catch(complain); }, 250) } });
  fill(place, h("div", { class: "stack" }, field(t("library.search"), search), grid, h("div", { class: "row" }, more)));
  await next();
}

/** The same in a dialog; null when nothing was chosen. */
export async function chooser({ title, without = null }) {
  const { dialog } = await import("./parts.js");
  return dialog((close) => {
    const inner = h("div", {});
    shelf(inner, { take: close, without }).catch(complain);
    return h("div", { class: "body" }, h("div", { class: "row apart" }, h("h2", {}, title), button(null, () => close(), { kind: "plain", symbol: "close", title: t("close") })), inner);
  }, { wide: true, label: title });
}
