// What the model makes of the prompt: what was said, what it fills in, a caption that can be edited, words it never learned.
import { fill, h, icon } from "./dom.js";
import { t, word } from "./i18n.js";
import { button, choice, dialog, field, refusal } from "./parts.js";
import { json, mine } from "./api.js";

// The order in which a caption tells them.
const ORDER = ["count", "color", "material", "kind", "outcome", "direction", "relation", "color2", "material2", "kind2", "setting", "time", "style", "camera", "event", "work1", "work2", "work3", "work4"];
const UNSAID = "event"; // it is told by what comes of it
let vocabulary = null;

export const slot = (name) => t(`slot.${name}`);

/** Rows that begin with a slot's name, those that are told, in the order in which a caption tells them. */
export const inOrder = (rows) => rows.filter(([name]) => name !== UNSAID).sort((a, b) => ORDER.indexOf(a[0]) - ORDER.indexOf(b[0]));

/** A caption of slots and values, as short phrases. */
export function captioned(values) {
  const thing = (suffix) => ["color", "material", "kind"].map((name) => values[name + suffix]).filter(Boolean).map(word).join(" ");
  const first = [values.count && values.count !== "1" ? values.count : null, thing("")].filter(Boolean).join(" ");
  const parts = [first, values.outcome && word(values.outcome), values.direction && word(values.direction), values.relation && word(values.relation), thing("2"),
    ...["work1", "work2", "work3", "work4", "setting", "time", "style"].map((name) => values[name] && word(values[name]))];
  if (values.camera) parts.push(t("reading.camera", { move: word(values.camera) }));
  return parts.filter(Boolean).join(", ");
}

/** The card; `does` is told when something is chosen in it. */
export function reading(does) {
  const chips = h("div", { class: "chips" });
  const strange = h("div", { class: "stack tight" });
  const findings = h("div", { class: "stack tight" });
  const state = h("p", { class: "soft small", role: "status" });
  const caption = h("textarea", { id: "caption", rows: 3, maxlength: 4000, on: { input: () => { edited(true); does.remember(caption.value); } } });
  const reset = button(t("reading.reset"), () => { caption.value = ""; edited(false); does.remember(""); }, { kind: "plain little", symbol: "undo" });
  const another = button(t("reading.another"), () => does.reseed(), { kind: "plain little", symbol: "again" });
  const same = h("input", { type: "checkbox", checked: does.state().same, on: { change: () => does.same(same.checked) } });
  const inner = h("div", { class: "stack" }, findings, strange, chips, field(t("reading.caption"), caption), h("label", { class: "check small" }, same, t("reading.same")));
  const element = h("section", { class: "card stack", "aria-labelledby": "reading-title" },
    h("div", { class: "row apart" }, h("h2", { id: "reading-title" }, t("reading.title")), h("div", { class: "row tight" }, reset, another)), state, inner);
  let found = null;

  function edited(on) {
    reset.hidden = !on;
    another.hidden = on;
  }

  /** Every slot's value, whoever said it. */
  function values() {
    const all = {};
    for (const [name, value] of Object.entries(found?.filled ?? {})) all[name] = value;
    for (const part of [found?.remembered, found?.said]) for (const [name, told] of Object.entries(part ?? {})) all[name] = told.value;
    return all;
  }

  async function pick(name, current) {
    vocabulary ??= (await json(`${mine}/model`)).vocabulary;
    const options = (vocabulary[name] ?? [current]).map((value) => [value, word(value)]);
    const chosen = await dialog((close) => {
      const box = choice(options, current, () => {});
      return h("form", { method: "dialog", on: { submit: (event) => { event.preventDefault(); close(box.value); } } },
        h("h2", {}, slot(name)), field(t("reading.choose"), box),
        h("div", { class: "row end" }, button(t("cancel"), () => close(), { kind: "plain" }), button(t("reading.take"), null, { kind: "main", type: "submit" })));
    }, { label: slot(name) });
    if (!chosen || chosen === current) return;
    caption.value = captioned({ ...values(), [name]: chosen });
    edited(true);
    does.remember(caption.value);
  }

  function chip(name, value, kind, sure = null) {
    const told = t(`reading.${kind}`);
    const inside = [h("span", {}, slot(name)), h("b", {}, word(value)), sure !== null && sure < 0.8 ? h("span", { title: told }, "?") : null];
    return kind === "said"
      ? h("span", { class: "chip", title: told }, inside)
      : h("button", { type: "button", class: kind === "filled" ? "chip filled" : "chip", title: told, on: { click: () => pick(name, value) } }, inside);
  }

  const api = {
    element,
    caption: () => (found ? captioned(values()) : ""),
    clear() {
      found = null;
      inner.hidden = true;
      another.hidden = true;
      reset.hidden = true;
      state.hidden = false;
      state.textContent = t("reading.empty");
    },
    busy() {
      state.hidden = Boolean(found);
      state.textContent = t("reading.busy");
    },
    fail(message) {
      state.hidden = false;
      state.textContent = message;
    },
    show(now) {
      found = now;
      inner.hidden = false;
      state.hidden = true;
      const rows = inOrder([
        ...Object.entries(now.said).map(([name, told]) => [name, told.value, "said", told.probability]),
        ...Object.entries(now.remembered).map(([name, told]) => [name, told.value, "kept", told.probability]),
        ...Object.entries(now.filled).filter(([name]) => !(name in now.said) && !(name in now.remembered)).map(([name, value]) => [name, value, "filled", null]),
      ]);
      fill(chips, rows.length ? rows.map((row) => chip(...row)) : h("span", { class: "soft small" }, t("reading.nothing")));
      fill(strange, now.unknown.length ? h("div", { class: "note warn" }, icon("info"), h("div", { class: "stack tight" },
        h("span", {}, t("reading.unknown")),
        now.unknown.slice(0, 6).map((entry) => h("div", { class: "chips" }, h("span", { class: "chip warn" }, h("b", {}, entry.word)),
          entry.nearest.map((near) => h("button", { type: "button", class: "chip", "aria-label": t("reading.swap", { word: entry.word, by: word(near) }), on: { click: () => does.swap(entry.word, near) } }, word(near))))))) : null);
      fill(findings, now.findings.map((entry) => entry.action === "refuse" ? refusal(entry.code, entry.advice) : h("p", { class: "note" }, icon("info"), t("screen.flag", { what: t(`screen.${entry.code}.title`) }))));
      const own = does.state().remember;
      if (document.activeElement !== caption) caption.value = own || captioned(values());
      edited(Boolean(own));
    },
  };
  api.clear();
  return api;
}
