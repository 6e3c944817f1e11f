// One clip: seen, sorted, made again with one change, and where it came from.
import { json, media, mine, order, post } from "./api.js";
import { dial } from "./camera.js";
import { begin } from "./create.js";
import { fill, h, icon, keep, kept, newSeed, s } from "./dom.js";
import { ago, maybe, number, t, word } from "./i18n.js";
import { isOpen, jobs } from "./jobs.js";
import { button, choice, complain, face, failure, field, mark, note, remove, varying } from "./parts.js";
import { takeaway } from "./export.js";
import { player } from "./player.js";
import { inOrder, slot } from "./reading.js";

export async function show(place, [id], signal) {
  const clip = await json(`${mine}/library/${encodeURIComponent(id)}`, { signal });
  const [details, recipe] = await Promise.all([json(`${mine}/videos/${id}`, { signal }), json(`${mine}/library/${id}/recipe`, { signal })]);
  const done = clip.video.status === "completed";
  const view = h("div", {});
  if (done) {
    const made = player(clip, { autoplay: false });
    fill(view, made.element);
    made.ready.catch((error) => fill(view, h("p", { class: "note bad" }, icon("warn"), t(`error.${error.code}`))));
  } else {
    const shown = face({ id, video: clip.video, stage: "", mode: clip.mode, ...jobs.known.get(id) });
    const live = h("div", {});
    fill(view, h("div", { class: "clip" }, shown), live);
    jobs.addEventListener("change", ({ detail }) => {
      if (detail.id !== id) return;
      if (detail.deleted) location.hash = "#/library";
      else if (isOpen(detail.video)) shown.show(detail);
      else fill(place) && show(place, [id], signal);
    }, { signal });
  }

  const heart = button(t("clip.favourite"), async () => {
    clip.favourite = !clip.favourite;
    heart.setAttribute("aria-pressed", String(clip.favourite));
    await mark(id, { favourite: clip.favourite }).catch(complain);
  }, { kind: "heart", symbol: "heart", pressed: clip.favourite });

  async function vary() {
    const how = await varying();
    if (!how) return;
    try {
      const first = newSeed(), made = [];
      for (let i = 0; i < how.count; i++) {
        const video = await order(`${mine}/remix`, { prompt: clip.video.prompt ?? "", clip: { video_id: id }, strength: how.strength, seed: first + i });
        jobs.add(video, "remix");
        made.push(video.id);
      }
      keep("takes", [...made, ...kept("takes", [])].slice(0, 27));
      location.hash = "#/create";
    } catch (error) { complain(error); }
  }

  const actions = h("div", { class: "row tight" }, heart,
    done ? [
      button(t("vary.title"), vary, { symbol: "vary" }),
      h("a", { class: "button", href: `#/edit/${id}` }, icon("edit"), t("room.edit")),
      button(t("clip.begin"), () => begin({ given: { video_id: id, name: clip.video.prompt?.slice(0, 60) ?? id, kind: "video" }, mode: "extend" }), { symbol: "on" }),
      h("a", { class: "button", href: `#/glass/${id}` }, icon("glass"), t("room.glass")),
      takeaway(id, () => id, complain),
    ] : null,
    isOpen(clip.video) ? button(t("job.cancel"), () => post(`${mine}/videos/${id}/cancel`).catch(complain), { symbol: "close" }) : null,
    button(t("clip.delete"), async () => { if (await remove(id).catch(complain)) location.hash = "#/library"; }, { kind: "bad", symbol: "bin" }));

  const report = details.report ?? {};
  const understood = { ...(report.expanded ?? {}), ...Object.fromEntries(Object.entries(report.understood ?? {}).map(([name, told]) => [name, told.value])) };
  const facts = h("dl", { class: "facts" }, Object.entries({
    [t("fact.mode")]: maybe(`mode.${clip.mode}`, clip.mode),
    [t("create.size")]: clip.video.size.replace("x", " × "),
    [t("fact.length")]: t("seconds.short", { n: number(Number(clip.video.seconds), 2) }) + (clip.frames ? ` · ${t("fact.frames", { n: clip.frames })}` : ""),
    [t("create.seed")]: clip.mode === "assemble" ? null : clip.seed, // nothing was drawn by lot
    [t("camera.title")]: recipe.options.camera,
    [t("vary.strength")]: recipe.args.strength,
    [t("fact.model")]: clip.video.model,
    [t("fact.made")]: ago(clip.video.completed_at ?? clip.video.created_at),
    [t("fact.kept")]: clip.video.expires_at ? new Date(clip.video.expires_at * 1000).toLocaleDateString(document.documentElement.lang) : null,
  }).filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));

  fill(place, h("div", { class: "head" }, h("div", {}, h("p", {}, h("a", { href: "#/library" }, t("clip.back"))), h("h1", {}, clip.video.prompt ?? t("clip.noprompt")))),
    h("div", { class: "two" },
      h("div", { class: "stack" }, view, clip.video.status === "failed" ? h("p", { class: "note bad" }, icon("warn"), clip.video.error?.code === "cancelled" ? t("state.cancelled") : failure(clip.video)) : null, actions,
        details.warnings.length ? h("details", {}, h("summary", {}, t("clip.warnings", { n: details.warnings.length })), h("ul", { class: "stack tight small soft" }, details.warnings.map((line) => h("li", {}, line)))) : null),
      h("div", { class: "stack" },
        h("section", { class: "card stack" }, stars(clip), folder(clip), facts,
          Object.keys(understood).length ? h("div", { class: "chips" }, inOrder(Object.entries(understood)).map(([name, value]) => h("span", { class: report.expanded && name in report.expanded ? "chip filled" : "chip" }, h("span", {}, slot(name)), h("b", {}, word(value))))) : null),
        ["assemble", "play"].includes(clip.mode) ? null : once(clip, recipe))),
    await family(clip, signal));
}

/** One to five stars. */
export function stars(clip, told = () => {}) {
  const row = h("fieldset", { class: "stars" }, h("legend", { class: "gone" }, t("clip.stars")));
  const draw = () => row.querySelectorAll("label").forEach((label, i) => label.classList.toggle("on", i < (clip.stars ?? 0)));
  for (let n = 1; n <= 5; n++) {
    row.append(h("label", { title: t("clip.stars.n", { n }) }, h("input", { type: "radio", name: `stars-${clip.id}`, value: n, checked: clip.stars === n, "aria-label": t("clip.stars.n", { n }), on: { change: async () => {
      clip.stars = n;
      draw();
      await mark(clip.id, { stars: n }).then(told, complain);
    } } }), icon("star")));
  }
  row.append(button(null, async () => { clip.stars = null; row.querySelectorAll("input").forEach((input) => { input.checked = false; }); draw(); await mark(clip.id, { stars: null }).then(told, complain); }, { kind: "plain little", symbol: "close", title: t("clip.stars.none") }));
  draw();
  return row;
}

function folder(clip) {
  const names = h("datalist", { id: "folders" });
  json(`${mine}/folders`).then(({ data }) => fill(names, data.map((found) => h("option", { value: found.name }))), () => {});
  const box = h("input", { type: "text", list: "folders", maxlength: 80, value: clip.folder ?? "", placeholder: t("clip.folder.none"), on: { change: async () => {
    clip.folder = box.value.trim() || null;
    await mark(clip.id, { folder: clip.folder }).then(() => note(t("saved")), complain);
  } } });
  return h("div", {}, field(t("library.folder"), box), names);
}

/** The same again, but for one thing. */
function once(clip, recipe) {
  const able = ["prompt", "seed", "camera", "steps", ...("seconds" in recipe.args ? ["seconds"] : []), ...("strength" in recipe.args ? ["strength"] : [])];
  const film = clip.mode === "storyboard";
  const place = h("div", {});
  let value = null;
  const boxes = {
    prompt: () => h("textarea", { rows: 3, value: recipe.prompt, on: { input: (event) => { value = event.target.value; } } }),
    seed: () => h("input", { type: "number", min: 0, value: (value = newSeed()), on: { input: (event) => { value = Number(event.target.value); } } }),
    camera: () => dial(recipe.options.camera ?? "", () => Number(recipe.args.seconds ?? clip.video.seconds), (way) => { value = way; }),
    steps: () => h("input", { type: "number", min: 1, max: 200, value: (value = recipe.options.steps ?? 12), on: { input: (event) => { value = Number(event.target.value); } } }),
    seconds: () => h("input", { type: "number", min: 0.2, max: 120, step: 0.1, value: (value = recipe.args.seconds ?? 4), on: { input: (event) => { value = Number(event.target.value); } } }),
    strength: () => h("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: (value = recipe.args.strength ?? 0.5), on: { input: (event) => { value = Number(event.target.value); } } }),
  };
  let which = film ? "seed" : "prompt";
  const draw = () => { value = null; fill(place, which === "camera" ? boxes.camera() : field(t(`change.${which}`), boxes[which]())); };
  draw();
  return h("section", { class: "card" }, h("form", { class: "stack", on: { submit: async (event) => {
    event.preventDefault();
    try {
      const made = await order(`${mine}/library/${clip.id}/again`, value === null ? {} : { [which]: value });
      jobs.add(made, clip.mode);
      keep("takes", [made.id, ...kept("takes", [])].slice(0, 27));
      location.hash = `#/clip/${made.id}`;
    } catch (error) { complain(error); }
  } } }, h("h2", {}, t("again.title")), h("p", { class: "soft small" }, t("again.about")),
  film ? null : field(t("again.what"), choice(able.map((name) => [name, t(`change.${name}`)]), which, (name) => { which = name; draw(); })), place,
  h("div", { class: "row end" }, button(t("again.go"), null, { kind: "main", type: "submit", symbol: "again" }))));
}

/** The family tree, drawn from the oldest to the youngest. */
export async function family(clip, signal) {
  const tree = await json(`${mine}/library/${clip.id}/family`, { signal });
  if (!tree.lines.length) return null;
  const W = 132, H = 76, X = 44, Y = 22;
  const all = new Map(tree.clips.map((one) => [one.id, one]));
  const ids = [...all.keys(), ...tree.gone];
  const depth = new Map();
  const above = (id, seen = new Set()) => {
    if (depth.has(id)) return depth.get(id);
    if (seen.has(id)) return 0;
    seen.add(id);
    const parents = tree.lines.filter((line) => line.child === id).map((line) => above(line.parent, seen) + 1);
    depth.set(id, Math.max(0, ...parents));
    return depth.get(id);
  };
  ids.forEach((id) => above(id));
  const columns = [];
  for (const id of ids.sort((a, b) => (all.get(a)?.video.created_at ?? 0) - (all.get(b)?.video.created_at ?? 0))) (columns[depth.get(id)] ??= []).push(id);
  const spot = new Map();
  columns.forEach((column, x) => column.forEach((id, y) => spot.set(id, [x * (W + X), y * (H + Y)])));
  const width = columns.length * (W + X) - X, height = Math.max(...columns.map((column) => column.length)) * (H + Y) - Y;
  const lines = tree.lines.map((line) => {
    const [a, b] = [spot.get(line.parent), spot.get(line.child)];
    const [x1, y1, x2, y2] = [a[0] + W, a[1] + H / 2, b[0], b[1] + H / 2];
    return s("path", { class: "line", d: `M${x1} ${y1}C${x1 + X / 2} ${y1} ${x2 - X / 2} ${y2} ${x2} ${y2}` });
  });
  const boxes = ids.map((id) => {
    const [x, y] = spot.get(id), one = all.get(id);
    const inside = one ? h("a", { href: `#/clip/${id}`, class: id === clip.id ? "here" : null, "aria-current": id === clip.id ? "true" : null, title: `${maybe(`mode.${one.mode}`, one.mode)}: ${one.video.prompt ?? ""}` }) : h("span", { class: "lost" }, t("family.gone"));
    if (one) {
      const picture = h("img", { alt: `${maybe(`mode.${one.mode}`, one.mode)}: ${one.video.prompt ?? id}`, loading: "lazy" });
      if (one.video.status === "completed") media(id, "thumbnail").then((url) => { picture.src = url; }, () => {});
      inside.append(picture);
    }
    return s("foreignObject", { x, y, width: W, height: H }, inside);
  });
  return h("section", { class: "card stack family" }, h("h2", {}, t("family.title")), h("p", { class: "soft small" }, t("family.about")),
    h("div", { class: "tree", tabindex: "0", role: "group", "aria-label": t("family.title") }, s("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, lines, boxes)));
}
