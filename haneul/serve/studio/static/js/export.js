// A finished clip as another kind of file. The service makes it when it is first asked for, and keeps it.
import { download, mine } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { t } from "./i18n.js";
import { button, dialog, explain, note, segments } from "./parts.js";

const SMALL = 480; // pixels: what a message or a page takes
const WAYS = {
  gif: { query: `format=gif&width=${SMALL}`, suffix: "gif" },
  "gif-whole": { query: "format=gif", suffix: "gif" },
  webm: { query: "format=webm", suffix: "zip" },
};

/** Asks as what, and saves it as a file of the user's. */
function choose(id, name) {
  return dialog((close) => {
    let way = "gif";
    const about = h("p", { class: "soft small" }), state = h("div", { role: "status" });
    const pick = (now) => { way = now; about.textContent = t(`export.${now}.about`); };
    const go = button(t("clip.download"), null, { kind: "main", type: "submit", symbol: "down" });
    const box = h("form", { method: "dialog", class: "stack", on: { submit: async (event) => {
      event.preventDefault();
      go.disabled = true;
      fill(state, h("p", { class: "note" }, icon("info"), t("export.busy")));
      try {
        await download(`${mine}/videos/${encodeURIComponent(id)}/export?${WAYS[way].query}`, `${name}.${WAYS[way].suffix}`);
        note(t("export.done"));
        close(true);
      } catch (error) {
        go.disabled = false;
        fill(state, h("p", { class: "note bad", role: "alert" }, icon("warn"), explain(error)));
      }
    } } }, h("h2", {}, t("export.title")), segments(t("export.title"), Object.keys(WAYS).map((one) => [one, t(`export.${one}`)]), way, pick), about, state,
    h("div", { class: "row end" }, button(t("cancel"), () => close(), { kind: "plain" }), go));
    pick(way);
    return box;
  }, { label: t("export.title") });
}

/** The two ways to take a clip away: as it is, and as something else. `name` is told, not asked, when it is needed. */
export const takeaway = (id, name, complain) => [
  button(t("clip.download"), () => download(`/v1/videos/${encodeURIComponent(id)}/content`, `${name()}.mp4`).catch(complain), { symbol: "down" }),
  button(t("export.open"), () => choose(id, name()), { symbol: "picture" }),
];
