// What waits and runs, and how this place is set up.
import { ask, forgetKey, hasKey, json, mine, order, post } from "./api.js";
import { quota } from "./admin.js";
import { change, frame, theme } from "./app.js";
import { fill, h, icon, keep, kept } from "./dom.js";
import { LANGUAGES, ago, bytes, language, maybe, number, t } from "./i18n.js";
import { isOpen, jobs } from "./jobs.js";
import { button, complain, confirm, failure, segments, stageWords, waiting } from "./parts.js";

export async function show(place, _given, signal) {
  const open = h("ul", { class: "jobs" }), failed = h("ul", { class: "jobs" }), figures = h("div", { class: "figures" }), disk = h("div", { class: "stack" }), own = h("section", { class: "card stack", hidden: true }), card = h("div", { class: "stack" });
  const stopAll = button(t("create.stop"), async () => {
    if (!(await confirm(t("queue.stop.sure"), t("create.stop")))) return;
    for (const job of jobs.open) await post(`${mine}/videos/${job.id}/cancel`).catch(complain);
  }, { kind: "little", symbol: "close" });
  const rows = new Map();
  const rest = button("", async () => {
    try { jobs.hold(await post(`${mine}/queue/${jobs.held.paused ? "resume" : "pause"}`, {})); } catch (error) { complain(error); }
  }, { kind: "little" });
  const held = h("p", { class: "note", role: "status", hidden: true });
  function resting() {
    const { paused, everybody } = jobs.held;
    fill(rest, icon(paused ? "play" : "pause"), t(paused ? "queue.resume" : "queue.pause"));
    held.hidden = !paused && !everybody;
    fill(held, icon("pause"), h("span", {}, t(paused ? "queue.paused" : "queue.paused.everybody")));
  }

  function row(job) {
    const bar = h("i", {}), state = h("span", { class: "soft small" });
    const made = h("li", {}, h("div", { class: "grow stack tight" }, h("a", { href: `#/clip/${job.id}` }, job.video.prompt ?? t("clip.noprompt")), h("div", { class: "meter", "aria-hidden": "true" }, bar), state),
      button(null, () => post(`${mine}/videos/${job.id}/cancel`).catch(complain), { kind: "plain", symbol: "close", title: t("job.cancel") }));
    made.show = (now) => {
      bar.style.setProperty("width", `${now.video.progress}%`);
      state.textContent = [maybe(`mode.${now.mode}`, ""), now.video.status === "queued" ? waiting() : stageWords(now.stage) || t("state.in_progress"), now.video.status === "queued" ? "" : `${now.video.progress} %`, now.video.size.replace("x", " × "), t("seconds.short", { n: number(Number(now.video.seconds)) })].filter(Boolean).join(" · ");
    };
    made.show(job);
    return made;
  }

  function draw() {
    const now = jobs.open;
    for (const job of now) {
      if (!rows.has(job.id)) { rows.set(job.id, row(job)); open.append(rows.get(job.id)); }
      rows.get(job.id).show(job);
    }
    for (const [id, made] of rows) if (!now.some((job) => job.id === id)) { made.remove(); rows.delete(id); }
    stopAll.hidden = !now.length;
    if (!now.length) fill(open, h("li", { class: "soft" }, t("queue.empty")));
    else open.querySelector("li.soft")?.remove();
  }

  async function failures() {
    const found = await json(`${mine}/library?status=failed&limit=20`, { signal });
    fill(failed, found.data.length ? found.data.map((clip) => h("li", {}, h("div", { class: "grow stack tight" }, h("a", { href: `#/clip/${clip.id}` }, clip.video.prompt ?? t("clip.noprompt")),
      h("span", { class: "soft small" }, `${ago(clip.video.completed_at ?? clip.video.created_at)} · ${clip.video.error?.code === "cancelled" ? t("state.cancelled") : failure(clip.video)}`)),
    button(t("queue.retry"), async () => { try { jobs.add(await order(`${mine}/library/${clip.id}/again`, {}), clip.mode); draw(); } catch (error) { complain(error); } }, { kind: "little", symbol: "again" }),
    button(null, async () => { try { await ask(`/v1/videos/${clip.id}`, { method: "DELETE" }); jobs.gone(clip.id); await failures(); } catch (error) { complain(error); } }, { kind: "plain little", symbol: "bin", title: t("clip.delete") }))) : h("li", { class: "soft" }, t("queue.nofailures")));
  }

  async function measure() {
    const now = await json(`${mine}/storage`, { signal });
    const told = [[now.running, "queue.running"], [now.queued, "queue.waiting"], [now.workers, "queue.workers"], [now.typical === null ? "–" : t("seconds.short", { n: number(now.typical) }), "queue.typical"]];
    fill(figures, told.map(([value, name]) => h("div", {}, h("strong", {}, String(value)), h("span", { class: "soft small" }, t(name)))));
    const used = now.videos + now.inputs + now.files + now.other;
    fill(disk, h("div", { class: "meter", role: "img", "aria-label": t("queue.disk.about", { used: bytes(used), free: bytes(now.free) }) }, h("i", { style: { width: `${Math.max(0.5, (100 * used) / (used + now.free))}%` } })),
      h("p", { class: "small" }, t("queue.disk.about", { used: bytes(used), free: bytes(now.free) })),
      h("dl", { class: "facts" }, ["videos", "inputs", "files", "other"].map((name) => [h("dt", {}, t(`queue.disk.${name}`)), h("dd", {}, bytes(now[name]))]), h("dt", {}, t("queue.retention")), h("dd", {}, t("queue.days", { n: number(now.retention / 86400) }))),
      now.free < 2 * now.low_water ? h("p", { class: "note warn" }, icon("warn"), t("error.storage_full")) : null);
  }

  /** What the key at hand may use, and the way to the room where that is decided. */
  async function rights() {
    const key = await json(`${mine}/me`, { signal });
    const used = quota(key), admin = key.scopes.includes("admin");
    own.hidden = !used && !admin;
    fill(own, h("h2", {}, t("admin.own")), used, admin ? h("a", { href: "#/admin" }, t("admin.title")) : null);
  }

  async function models() {
    const found = await json(`${mine}/model`, { signal });
    fill(card, h("dl", { class: "facts" }, h("dt", {}, t("fact.model")), h("dd", {}, found.model), h("dt", {}, t("glass.steps")), h("dd", {}, String(found.default_steps ?? "–")), h("dt", {}, t("glass.whole")), h("dd", {}, bytes(found.parts.reduce((sum, one) => sum + one.bytes, 0)))), h("a", { href: "#/glass" }, t("queue.card")));
  }

  fill(place, h("div", { class: "head" }, h("div", {}, h("h1", {}, t("queue.title")), h("p", {}, t("queue.about")))),
    h("div", { class: "two" },
      h("div", { class: "stack" }, h("section", { class: "card stack" }, figures, h("div", { class: "row apart" }, h("h2", {}, t("queue.open")), h("div", { class: "row tight" }, rest, stopAll)), held, open), h("section", { class: "card stack" }, h("h2", {}, t("queue.failed")), failed)),
      h("div", { class: "stack" },
        h("section", { class: "card stack" }, h("h2", {}, t("settings.title")),
          h("div", { class: "stack tight" }, h("span", { class: "legend" }, t("settings.language")), segments(t("settings.language"), Object.entries(LANGUAGES), language, (name) => change(name))),
          h("div", { class: "stack tight" }, h("span", { class: "legend" }, t("settings.theme")), segments(t("settings.theme"), ["auto", "light", "dark"].map((name) => [name, t(`settings.theme.${name}`)]), kept("theme", "auto"), (name) => { keep("theme", name); theme(); frame(); })),
          hasKey() ? h("div", {}, button(t("key.forget"), () => { forgetKey(); location.reload(); }, {})) : null),
        own,
        h("section", { class: "card stack" }, h("h2", {}, t("queue.disk")), disk),
        h("section", { class: "card stack" }, h("h2", {}, t("queue.models")), card))));
  resting();
  jobs.addEventListener("held", resting, { signal });
  draw();
  let ended = new Set(jobs.open.map((job) => job.id));
  jobs.addEventListener("change", ({ detail }) => {
    draw();
    if (detail.deleted || !isOpen(detail.video)) { if (ended.delete(detail.id)) { failures().catch(() => {}); measure().catch(() => {}); } } else ended.add(detail.id);
  }, { signal });
  const timer = setInterval(() => measure().catch(() => {}), 5000);
  signal.addEventListener("abort", () => clearInterval(timer));
  await Promise.all([measure(), failures(), models(), rights()]);
}
