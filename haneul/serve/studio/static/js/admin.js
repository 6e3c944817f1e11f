// Who may use this service and how much; what the screen refuses is in policy.js. All of it needs an admin key.
import { Refused, ask, json, mine, post } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { ago, bytes, number, t } from "./i18n.js";
import { jobs } from "./jobs.js";
import { button, complain, confirm, dialog, explain, field, note } from "./parts.js";
import { policy } from "./policy.js";

const SCOPES = ["read", "write", "admin"];
const MIB = 2 ** 20;
// What limits are called, what a person writes for one, and how much of it is told.
const LIMITS = {
  waiting: { step: 1, told: number },
  requests_per_minute: { step: 1, told: number },
  seconds_per_day: { step: 1, told: (value) => t("seconds.short", { n: number(value, 0) }) },
  storage: { step: 1, unit: MIB, told: bytes },
};
const DAY = 86400;
const WRITTEN = { ...LIMITS, retention: { step: "any", least: 0.01, unit: DAY } }; // this one is not used up

/** How much of each limit a key has used; nothing for a key without limits. */
export function quota(key) {
  const rows = Object.entries(LIMITS).filter(([name]) => key.limits[name] !== null).map(([name, { told }]) => {
    const used = key.used[name], most = key.limits[name], text = t("quota.of", { used: told(used), most: told(most) });
    return h("div", { class: "stack tight" }, h("div", { class: "row apart small" }, h("span", {}, t(`quota.${name}`)), h("span", { class: "soft" }, text)),
      h("div", { class: "meter", role: "img", "aria-label": `${t(`quota.${name}`)}: ${text}` }, h("i", { style: { width: `${Math.min(100, (100 * used) / most)}%` } })));
  });
  return rows.length ? h("div", { class: "quota" }, rows) : null;
}

/** Name, rights and limits of a key; null when nothing was chosen. */
function edited(key = null) {
  const title = t(key ? "keys.edit" : "keys.new");
  return dialog((close) => {
    const name = h("input", { type: "text", required: true, maxlength: 80, value: key?.name ?? "", autocomplete: "off" });
    const has = key?.scopes ?? ["read", "write"];
    const boxes = SCOPES.map((scope) => h("input", { type: "checkbox", value: scope, checked: has.includes(scope), disabled: scope === "admin" && key?.own }));
    const limits = Object.entries(WRITTEN).map(([what, { step, least = 1, unit = 1 }]) => {
      const now = key?.limits[what];
      return [what, unit, h("input", { type: "number", min: least, step, placeholder: t("quota.none"), value: now === null || now === undefined ? "" : now / unit })];
    });
    const trouble = h("div", {});
    return h("form", { method: "dialog", class: "stack", on: { submit: (event) => {
      event.preventDefault();
      const scopes = boxes.filter((box) => box.checked).map((box) => box.value);
      if (!scopes.length) return fill(trouble, h("p", { class: "note bad", role: "alert" }, icon("warn"), t("keys.noscope")));
      close({ name: name.value.trim(), scopes, limits: Object.fromEntries(limits.map(([what, unit, box]) => [what, box.value === "" ? null : Math.round(Number(box.value) * unit)])) });
    } } }, h("h2", {}, title), field(t("keys.name"), name),
    h("fieldset", { class: "stack tight" }, h("legend", { class: "legend" }, t("keys.scopes")), SCOPES.map((scope, i) => h("label", { class: "check" }, boxes[i], t(`scope.${scope}`)))),
    h("fieldset", { class: "stack tight" }, h("legend", { class: "legend" }, t("keys.limits")), h("div", { class: "controls" }, limits.map(([what, unit, box]) => field(t(`quota.${what}`) + (unit === MIB ? " (MiB)" : ""), box)))),
    trouble, h("div", { class: "row end" }, button(t("cancel"), () => close(), { kind: "plain" }), button(t(key ? "keys.save" : "keys.make"), null, { kind: "main", type: "submit" })));
  }, { label: title });
}

/** Shows a secret, which nobody can show again. */
function told(made) {
  return dialog((close) => {
    const secret = h("input", { type: "text", class: "mono", readonly: true, value: made.key, "aria-label": t("key.label"), on: { focus: () => secret.select() } });
    const copy = button(t("keys.copy"), async () => {
      secret.select();
      try { await navigator.clipboard.writeText(made.key); } catch { document.execCommand("copy"); } // pages over plain HTTP have no clipboard
      note(t("keys.copied"));
    }, { kind: "main" });
    return h("div", { class: "body" }, h("h2", {}, t("keys.secret", { name: made.name })), h("p", { class: "note warn" }, icon("warn"), t("keys.secret.about")), secret,
      h("div", { class: "row end" }, button(t("close"), () => close(), { kind: "plain" }), copy));
  }, { label: t("keys.secret", { name: made.name }) });
}

export async function show(place, _given, signal) {
  const head = h("div", { class: "head" }, h("div", {}, h("p", {}, h("a", { href: "#/queue" }, t("admin.back"))), h("h1", {}, t("admin.title")), h("p", {}, t("admin.about"))));
  const list = h("ul", { class: "keyring" }), rest = button("", hold, {}), held = h("p", { class: "soft small", role: "status" });
  let first;
  try {
    first = await json(`${mine}/keys`, { signal });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return fill(place, head, h("p", { class: "note warn" }, icon("warn"), explain(error)));
  }

  function draw({ data }) {
    const living = data.filter((key) => key.revoked_at === null), dead = data.filter((key) => key.revoked_at !== null);
    fill(list, living.length ? living.map(row) : h("li", { class: "soft" }, t("keys.none")),
      dead.length ? h("li", {}, h("details", { class: "grow" }, h("summary", {}, t("keys.revoked", { n: dead.length })), h("ul", { class: "stack tight small soft" }, dead.map((key) => h("li", {}, `${key.name} · ${key.id} · ${ago(key.revoked_at)}`))))) : null);
  }

  const again = async () => draw(await json(`${mine}/keys`, { signal }));
  const acts = (does) => async () => { try { await does(); } catch (error) { complain(error); } };

  function row(key) {
    const path = `${mine}/keys/${key.id}`;
    return h("li", { data: { id: key.id } }, h("div", { class: "grow stack tight" },
      h("div", { class: "row tight" }, h("strong", {}, key.name), key.scopes.map((scope) => h("span", { class: "chip" }, t(`scope.${scope}.short`))), key.own ? h("span", { class: "chip filled" }, t("keys.own")) : null),
      h("span", { class: "soft small" }, `${key.id} · ${t("keys.since", { when: ago(key.created_at) })} · ${t("keys.stored", { size: bytes(key.used.storage) })}`), quota(key)),
    h("div", { class: "row tight" },
      button(t("keys.change"), acts(async () => { const how = await edited(key); if (how) { await json(path, { method: "PUT", body: how }); await again(); } }), { kind: "little" }),
      button(t("keys.rotate"), acts(async () => { if (await confirm(t("keys.rotate.sure"), t("keys.rotate"), { bad: false })) { await told(await post(`${path}/rotate`, {})); await again(); } }), { kind: "little", symbol: "again" }),
      key.own ? null : button(t("keys.revoke"), acts(async () => { if (await confirm(t("keys.revoke.sure", { name: key.name }), t("keys.revoke"))) { await ask(path, { method: "DELETE" }); await again(); } }), { kind: "little bad", symbol: "close" })));
  }

  const make = acts(async () => {
    const how = await edited();
    if (!how) return;
    const made = await post(`${mine}/keys`, how);
    await again();
    await told(made);
  });

  async function hold() {
    try { jobs.hold(await post(`${mine}/queue/${jobs.held.everybody ? "resume" : "pause"}`, { everybody: true })); } catch (error) { complain(error); }
  }
  function holding() {
    fill(rest, icon(jobs.held.everybody ? "play" : "pause"), t(jobs.held.everybody ? "admin.resume" : "admin.pause"));
    held.textContent = t(jobs.held.everybody ? "admin.paused" : "admin.running");
  }

  fill(place, head, h("div", { class: "stack" },
    h("section", { class: "card stack" }, h("div", { class: "row apart" }, h("h2", {}, t("keys.title")), button(t("keys.new"), make, { kind: "main", symbol: "plus" })), h("p", { class: "soft small" }, t("keys.about")), list),
    h("section", { class: "card stack" }, h("h2", {}, t("admin.queue")), h("div", { class: "row apart" }, held, rest)),
    await policy(signal)));
  draw(first);
  holding();
  jobs.addEventListener("held", holding, { signal });
}
