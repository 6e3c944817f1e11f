// The glass box: what a file says about itself, what the model is, what it learned from, and what was decided here.
import { ask, json, mine, post } from "./api.js";
import { family } from "./clip.js";
import { fill, h, icon } from "./dom.js";
import { bytes, maybe, number, t, word } from "./i18n.js";
import { button, choice, complain, explain, field } from "./parts.js";
import { captioned, slot } from "./reading.js";

const GOOD = { trusted: "good", valid: "good", recovered: "warn", marked: "warn", unsigned: "warn", invalid: "bad" };

export async function show(place, [id], signal) {
  const verdict = h("div", { class: "stack", "aria-live": "polite" });
  const picker = h("input", { type: "file", accept: "video/*,image/*", hidden: true, id: "verify-file", on: { change: () => { if (picker.files[0]) check(picker.files[0]); picker.value = ""; } } });
  const drop = h("div", { class: "drop", on: {
    dragover: (event) => { event.preventDefault(); drop.classList.add("over"); },
    dragleave: () => drop.classList.remove("over"),
    drop: (event) => { event.preventDefault(); drop.classList.remove("over"); if (event.dataTransfer.files[0]) check(event.dataTransfer.files[0]); },
  } }, icon("glass"), h("h2", {}, t("glass.drop")), h("p", { class: "soft" }, t("glass.drop.about")), button(t("glass.choose"), () => picker.click(), { kind: "main", symbol: "up" }), picker);

  async function check(file, video = null) {
    fill(verdict, h("p", { class: "note", role: "status" }, icon("search"), t("glass.checking", { name: file?.name ?? id })));
    try {
      let found;
      if (file) {
        const form = new FormData();
        form.append("file", file, file.name);
        found = await json(`${mine}/verify`, { method: "POST", form, signal });
      } else found = await post(`${mine}/verify`, { video_id: video }, { signal });
      // Of what lies here, not only what went into it is known, but what went into that.
      const tree = video ? await json(`${mine}/library/${encodeURIComponent(video)}`, { signal }).then((clip) => family(clip, signal)).catch(() => null) : null;
      fill(verdict, told(found, file?.name ?? id), tree, video ? nearest(video) : null);
    } catch (error) {
      fill(verdict, h("p", { class: "note bad", role: "alert" }, icon("warn"), explain(error)));
    }
  }

  fill(place, h("div", { class: "head" }, h("div", {}, h("h1", {}, t("glass.title")), h("p", {}, t("glass.about")))),
    h("div", { class: "stack" }, h("section", { class: "card stack", "aria-label": t("glass.drop") }, drop, verdict), h("div", { class: "two" }, h("div", { class: "stack" }, model(signal), ledger(signal)), audit(signal))));
  if (id) await check(null, id);
}

/** A verdict in plain words. */
export function told(found, name) {
  const kind = GOOD[found.state] ?? "warn";
  const yes = (value, on, off) => (value === null || value === undefined ? null : t(value ? on : off));
  const rows = {
    [t("glass.signer")]: found.signer && `${found.signer}${found.issuer ? ` (${found.issuer})` : ""}`,
    [t("glass.made")]: yes(found.ai_generated, "glass.made.ai", "glass.made.unsaid"),
    [t("glass.with")]: found.generator, [t("fact.model")]: found.model, [t("fact.mode")]: found.mode && maybe(`mode.${found.mode}`, found.mode), [t("create.seed")]: found.mode === "assemble" ? null : found.seed,
    [t("glass.when")]: found.when && new Date(found.when).toLocaleString(document.documentElement.lang), [t("glass.training")]: yes(found.do_not_train, "glass.training.no", "glass.training.yes"),
    [t("glass.weights")]: found.weights_sha256, [t("glass.root")]: found.data_ledger_root,
  };
  return h("div", { class: "verdict stack" },
    h("div", { class: `note ${kind}` }, icon(kind === "good" ? "good" : "warn"), h("div", { class: "stack tight" }, h("strong", {}, t(found.here ? "glass.state.here" : `glass.state.${found.state}`)), h("span", { class: "mono" }, name))),
    found.problems?.length ? h("ul", { class: "stack tight" }, found.problems.map((problem) => h("li", { class: "note bad" }, icon("warn"), h("span", {}, problem.words, " ", h("code", {}, problem.code))))) : null,
    h("dl", { class: "facts" }, Object.entries(rows).filter(([, value]) => value !== null && value !== undefined && value !== "").map(([label, value]) => [h("dt", {}, label), h("dd", { class: String(value).length > 50 ? "mono" : null }, String(value))])),
    found.ingredients?.length ? h("div", { class: "stack tight" }, h("h3", {}, t("glass.ingredients")), h("div", { class: "flow" },
      h("ul", { class: "stack tight" }, found.ingredients.map((one) => h("li", { class: "chip" }, h("b", {}, one.title), h("span", {}, t(`glass.given.${one.state ?? "unsigned"}`))))),
      icon("right"), h("span", { class: "chip" }, h("b", {}, found.title ?? name)))) : null,
    h("div", { class: "stack tight" }, h("h3", {}, t("glass.watermark")), found.origins?.length
      ? h("ul", { class: "stack tight" }, found.origins.map((one) => h("li", { class: "note" }, icon("search"), h("span", {}, one.id ? t("glass.mark", { id: one.id, bits: number(100 * (one.bits ?? 0), 0), z: number(one.z) }) : t("glass.mark.weak"), one.title ? ` → ${one.title}` : "", one.made ? ` · ${one.made}` : ""))))
      : h("p", { class: "soft small" }, found.bindings?.length ? t("glass.mark.stated", { id: found.bindings.slice(0, 4).join(", ") }) : t("glass.mark.none"))));
}

/** The nearest training clips of a video of this service; it takes some seconds. */
function nearest(id) {
  const place = h("div", {});
  const go = button(t("glass.nearest.go"), async () => {
    go.disabled = true;
    fill(place, h("p", { class: "soft small", role: "status" }, t("glass.nearest.busy")));
    try {
      if (!(await json(`${mine}/model`)).indexed) return fill(place, h("p", { class: "note warn" }, icon("info"), t("glass.nearest.none")));
      const found = await json(`${mine}/videos/${encodeURIComponent(id)}/nearest`);
      fill(place, h("div", { class: `note ${found.closeness === "ordinary" ? "good" : "warn"}` }, icon(found.closeness === "ordinary" ? "good" : "warn"), h("span", {}, h("strong", {}, t(`glass.nearest.${found.closeness.replace(" ", "-")}`)), " ", t("glass.nearest.share", { share: number(100 * found.share) }))),
        h("table", { class: "table" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("glass.nearest.clip")), h("th", { scope: "col" }, t("glass.nearest.distance")))), h("tbody", {}, found.nearest.map((row) => h("tr", {}, h("td", {}, row.name), h("td", { class: "number" }, number(row.distance, 2)))))));
    } catch (error) {
      fill(place, h("p", { class: "note warn" }, icon("info"), explain(error)));
    } finally { go.disabled = false; }
  }, { kind: "little", symbol: "search" });
  return h("div", { class: "stack tight" }, h("h3", {}, t("glass.nearest")), h("div", {}, go), place);
}

function part(title, about, signal, load) {
  const inner = h("div", { class: "stack" }, h("p", { class: "soft small" }, t("reading.busy")));
  load(inner, signal).catch((error) => { if (error.name !== "AbortError") fill(inner, h("p", { class: "note warn" }, icon("info"), explain(error))); });
  return h("section", { class: "card stack" }, h("h2", {}, title), about ? h("p", { class: "soft small" }, about) : null, inner);
}

const model = (signal) => part(t("glass.model"), t("glass.model.about"), signal, async (inner) => {
  const card = await json(`${mine}/model`, { signal });
  const total = card.parts.reduce((sum, one) => sum + one.bytes, 0);
  fill(inner,
    h("dl", { class: "facts" }, [["fact.model", card.model], ["glass.licence", card.licence], ["glass.trained", card.trained], ["glass.steps", card.default_steps], ["glass.whole", bytes(total)], ["glass.root", card.data_ledger_root]].filter(([, value]) => value).map(([name, value]) => [h("dt", {}, t(name)), h("dd", { class: String(value).length > 50 ? "mono" : null }, String(value))])),
    h("details", {}, h("summary", {}, t("glass.parts", { n: card.parts.length })), h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("glass.parts", { n: card.parts.length }) }, h("table", { class: "table" }, h("thead", {}, h("tr", {}, ["glass.part", "glass.bytes", "glass.sha"].map((name) => h("th", { scope: "col" }, t(name))))), h("tbody", {}, card.parts.map((one) => h("tr", {}, h("td", {}, one.name), h("td", { class: "number" }, bytes(one.bytes)), h("td", { class: "mono", title: one.sha256 }, `${one.sha256.slice(0, 16)}…`))))))),
    h("details", {}, h("summary", {}, t("glass.words")), h("dl", { class: "facts" }, Object.entries(card.vocabulary).map(([name, values]) => [h("dt", {}, slot(name)), h("dd", {}, values.map(word).join(", "))]))));
});

const ledger = (signal) => part(t("glass.ledger"), t("glass.ledger.about"), signal, async (inner) => {
  const card = await json(`${mine}/model`, { signal });
  let value = "", offset = 0;
  const rows = h("ol", { class: "scenes" }), count = h("span", { class: "soft small", role: "status" });
  /** A scene in words, and on demand one of the same words, simulated anew. */
  function row(scene, n) {
    const view = h("div", {}), see = button(t("glass.see"), async () => {
      see.disabled = true;
      fill(view, h("p", { class: "soft small", role: "status" }, t("glass.see.busy")));
      try {
        const film = URL.createObjectURL(await (await ask(`${mine}/ledger/${n}/sample`, { signal })).blob());
        signal.addEventListener("abort", () => URL.revokeObjectURL(film));
        fill(view, h("video", { class: "sample", src: film, autoplay: true, loop: true, muted: true, playsInline: true, controls: true, "aria-label": captioned(scene) }));
        see.remove();
      } catch (error) {
        see.disabled = false;
        fill(view, h("p", { class: "note warn" }, icon("info"), explain(error)));
      }
    }, { kind: "little", symbol: "play" });
    return h("li", {}, h("div", { class: "row apart" }, h("span", { class: "grow" }, captioned(scene)), see), view);
  }
  async function look() {
    const found = await json(`${mine}/ledger?${new URLSearchParams({ value, offset, limit: 8 })}`, { signal });
    count.textContent = t("glass.scenes", { n: found.total });
    fill(rows, found.scenes.map((scene, i) => row(scene, found.numbers[i])));
    back.disabled = offset === 0;
    on.disabled = offset + 8 >= found.total;
    return found;
  }
  const step = (by) => () => { offset = Math.max(0, offset + by); look().catch(complain); };
  const back = button(null, step(-8), { kind: "little", symbol: "left", title: t("glass.before") });
  const on = button(null, step(8), { kind: "little", symbol: "right", title: t("glass.next") });
  const every = ["setting", "kind", "style", "event"].flatMap((name) => card.vocabulary[name] ?? []);
  const found = await look();
  fill(inner, h("dl", { class: "facts" }, [["glass.holder", found.rights_holder], ["glass.consent", t("glass.consent.simulated")], ["glass.licence", found.licence], ["glass.root", found.root]].filter(([, what]) => what).map(([name, what]) => [h("dt", {}, t(name)), h("dd", { class: String(what).length > 50 ? "mono" : null }, what)])),
    h("div", { class: "row apart" }, field(t("glass.with.value"), choice([["", t("library.every")], ...every.map((one) => [one, word(one)])], "", (one) => { value = one; offset = 0; look().catch(complain); })), h("div", { class: "row tight" }, count, back, on)), rows);
});

const audit = (signal) => part(t("glass.audit"), t("glass.audit.about"), signal, async (inner) => {
  const found = await json(`${mine}/audit`, { signal });
  const noted = h("input", { type: "text", class: "mono", spellcheck: "false", placeholder: t("glass.head.placeholder") });
  const answer = h("div", {});
  fill(inner, h("div", { class: `note ${found.whole ? "good" : "bad"}` }, icon(found.whole ? "good" : "warn"), h("strong", {}, t(found.whole ? "glass.audit.whole" : "glass.audit.broken", { n: found.records }))),
    found.problems.length ? h("ul", { class: "stack tight small" }, found.problems.map((line) => h("li", {}, line))) : null,
    h("dl", { class: "facts" }, h("dt", {}, t("glass.head")), h("dd", { class: "mono" }, found.head)),
    h("form", { class: "stack", on: { submit: async (event) => {
      event.preventDefault();
      try {
        const again = await json(`${mine}/audit?${new URLSearchParams({ head: noted.value.trim() })}`, { signal });
        fill(answer, h("p", { class: `note ${again.whole ? "good" : "bad"}`, role: "status" }, icon(again.whole ? "good" : "warn"), t(again.whole ? "glass.head.part" : "glass.head.lost")));
      } catch (error) { complain(error); }
    } } }, field(t("glass.head.noted"), noted), h("div", {}, button(t("glass.head.check"), null, { type: "submit", kind: "little" })), answer));
});
