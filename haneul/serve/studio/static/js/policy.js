// What the screen refuses, flags and allows, as a site may change it. The first category is nobody's to change.
import { Refused, json, mine, post } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { maybe, number, t } from "./i18n.js";
import { button, choice, complain, explain, field, note } from "./parts.js";

const ACTIONS = ["refuse", "flag", "allow"];

/** The card of the policy. */
export async function policy(signal) {
  const inner = h("div", { class: "stack" });
  let now = await json(`${mine}/policy`, { signal }), wish = structuredClone(now.changes), list = "gore", language = document.documentElement.lang;

  const save = button(t("policy.save"), () => put(), { kind: "main" });
  const changed = () => { save.disabled = false; };

  async function put() {
    save.disabled = true;
    try {
      now = await json(`${mine}/policy`, { method: "PUT", body: { ...wish, digest: now.digest } });
      note(t("policy.saved"));
    } catch (error) {
      if (!(error instanceof Refused) || error.code !== "policy_changed") { save.disabled = false; return complain(error); }
      now = await json(`${mine}/policy`, { signal });
      note(t("policy.changed"));
    }
    wish = structuredClone(now.changes);
    draw();
  }

  function row(entry) {
    const title = maybe(`screen.${entry.name}.title`, entry.title), closed = entry.locked || now.file !== null;
    const set = (name, value) => { wish.categories[entry.name] = { ...wish.categories[entry.name], [name]: value }; changed(); };
    const sure = h("input", { type: "number", min: 0.05, max: 1, step: 0.05, value: entry.threshold, disabled: closed, "aria-label": t("policy.sure.of", { what: title }), on: { change: () => set("threshold", Number(sure.value)) } });
    return h("tr", {}, h("th", { scope: "row" }, title, entry.locked ? h("span", { class: "soft" }, ` · ${t("policy.locked")}`) : null),
      h("td", {}, choice(ACTIONS.map((name) => [name, t(`policy.${name}`)]), entry.action, (value) => set("action", value), { disabled: closed, "aria-label": t("policy.action.of", { what: title }) })),
      h("td", {}, entry.threshold > 1 ? h("span", { class: "soft" }, t("policy.rules")) : sure));
  }

  /** Words that the site adds to a list, in one language. */
  function words() {
    const box = h("textarea", { rows: 3, maxlength: 20000, disabled: now.file !== null, value: wish.terms[list]?.add?.[language] ?? "", placeholder: t("policy.words.like"), on: { input: () => {
      const entry = (wish.terms[list] ??= { add: {}, remove: {} });
      if (box.value.trim()) entry.add[language] = box.value; else delete entry.add[language];
      changed();
    } } });
    const count = h("p", { class: "soft small" }, t("policy.words.count", { n: number(Object.values(now.lists[list] ?? {}).reduce((sum, n) => sum + n, 0), 0) }));
    const names = new Intl.DisplayNames([document.documentElement.lang], { type: "language" });
    const place = h("div", { class: "stack" });
    fill(place, h("div", { class: "controls" },
      field(t("policy.list"), choice(Object.keys(now.lists).sort().map((name) => [name, maybe(`screen.${name}.title`, name)]), list, (value) => { list = value; place.replaceWith(words()); })),
      field(t("policy.language"), choice(now.languages.map((name) => [name, names.of(name)]), language, (value) => { language = value; place.replaceWith(words()); }))),
    field(t("policy.words"), box), count);
    return place;
  }

  /** A sentence tried against what is in force. Nothing is made, and nothing kept. */
  function trial() {
    const sentence = h("input", { type: "text", maxlength: 4000, autocomplete: "off" }), answer = h("div", { "aria-live": "polite" });
    return h("form", { class: "stack tight", on: { submit: async (event) => {
      event.preventDefault();
      if (!sentence.value.trim()) return;
      try {
        const { findings } = await post(`${mine}/prompt`, { prompt: sentence.value });
        fill(answer, findings.length ? findings.map((one) => h("p", { class: `note ${one.action === "refuse" ? "bad" : "warn"}` }, icon("warn"), `${maybe(`screen.${one.code}.title`, one.title)}: ${t(`policy.${one.action}`)}`)) : h("p", { class: "note good" }, icon("good"), t("policy.try.nothing")));
      } catch (error) { fill(answer, h("p", { class: "note bad" }, icon("warn"), explain(error))); }
    } } }, field(t("policy.try"), sentence), h("div", {}, button(t("policy.try.go"), null, { type: "submit", kind: "little" })), answer);
  }

  function draw() {
    save.disabled = true;
    const prompts = h("input", { type: "checkbox", checked: wish.audit.prompts, disabled: now.file !== null, on: { change: () => { wish.audit.prompts = prompts.checked; changed(); } } });
    fill(inner, now.file === null ? null : h("p", { class: "note" }, icon("info"), t("policy.file", { file: now.file })),
      h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("policy.title") }, h("table", { class: "table policy" },
        h("thead", {}, h("tr", {}, ["policy.what", "policy.action", "policy.sure"].map((name) => h("th", { scope: "col" }, t(name))))), h("tbody", {}, now.categories.map(row)))),
      h("details", {}, h("summary", {}, t("policy.own")), words()),
      h("label", { class: "check" }, prompts, t("policy.prompts")),
      now.file === null ? h("div", { class: "row end" }, save) : null);
  }

  draw();
  return h("section", { class: "card stack" }, h("h2", {}, t("policy.title")), h("p", { class: "soft small" }, t("policy.about")), inner, trial());
}
