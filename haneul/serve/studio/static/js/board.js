// The storyboard: shots in order, each made by itself, joined as one film. What is written is saved as it is written.
import { chooseWay, spoken } from "./camera.js";
import { ask, download, json, mine, order, post, upload } from "./api.js";
import { calmly, fill, h, icon, keep, kept, newSeed, token } from "./dom.js";
import { ago, number, t } from "./i18n.js";
import { isOpen, jobs } from "./jobs.js";
import { button, choice, complain, confirm, dialog, explain, face, failure, field, note } from "./parts.js";
import { takeaway } from "./export.js";
import { player } from "./player.js";

const TRANSITIONS = ["cut", "dissolve", "connect", "continue"];
const SIZES = ["896x512", "512x896", "640x360", "1280x720", "1920x1080", "64x64"];
const BRIDGE = 1; // seconds that lead from one shot to another
const fresh = () => ({ key: token().slice(0, 8), prompt: "", seconds: 4, transition: "cut", camera: "", seed: null, image_id: null, video_id: null, bridge_id: null, made_of: "" });

export async function show(place, [id], signal) {
  if (!id) return overview(place, signal);
  let board;
  try {
    board = await json(`${mine}/boards/${encodeURIComponent(id)}`, { signal });
  } catch (error) {
    if (error.status === 404) { location.hash = "#/board"; return; }
    throw error;
  }
  const plan = board.plan;
  let past = [], future = [], saving = Promise.resolve(), dirty = false, lost = false;
  const state = h("span", { class: "soft small", role: "status" });
  const list = h("ol", { class: "shots" }), filmBox = h("section", { class: "stack", hidden: true, "aria-label": t("board.film") });
  const undo = button(t("board.undo"), () => travel(past, future), { kind: "plain little", symbol: "undo" });
  const redo = button(t("board.redo"), () => travel(future, past), { kind: "plain little", symbol: "redo" });
  const snapshot = () => JSON.stringify({ title: board.title, plan });
  let before = snapshot();

  // ---- saving, and going back
  const save = calmly(() => { saving = saving.then(() => store()); }, 500);

  async function store(last = false) {
    if (lost) return;
    dirty = false;
    state.textContent = t("board.saving");
    try {
      const saved = await json(`${mine}/boards/${id}`, { method: "PUT", body: { title: board.title, plan, revision: board.revision }, keepalive: last });
      board.revision = saved.revision;
      state.textContent = dirty ? "" : t("board.saved");
    } catch (error) {
      dirty = true;
      if (error.code === "board_changed") return conflict();
      state.textContent = explain(error);
      if (!(error.status >= 400 && error.status < 500)) setTimeout(save, 3000);
    }
  }

  async function conflict() {
    lost = true;
    const mineToo = await dialog((close) => h("div", { class: "body" }, h("h2", {}, t("board.conflict")), h("p", { class: "soft" }, t("board.conflict.about")),
      h("div", { class: "row end" }, button(t("board.conflict.copy"), () => close(true), {}), button(t("board.conflict.theirs"), () => close(false), { kind: "main" }))), { label: t("board.conflict") });
    if (mineToo) {
      const copy = await post(`${mine}/boards`, { title: `${board.title} 2`.slice(0, 200), plan });
      location.hash = `#/board/${copy.id}`;
    } else { fill(place); await show(place, [id], signal); }
  }

  /** Something was changed: kept for going back, and saved. */
  function changed() {
    past.push(before);
    if (past.length > 100) past.shift();
    future = [];
    settled();
  }
  const word = calmly(() => changed(), 600); // a word at a time, not a letter
  const typed = () => { dirty = true; word(); };
  function settled() {
    before = snapshot();
    dirty = true;
    undo.disabled = !past.length;
    redo.disabled = !future.length;
    save();
  }

  function travel(from, to) {
    if (!from.length) return;
    to.push(snapshot());
    const then = JSON.parse(from.pop());
    board.title = then.title;
    // What was made since stays made: going back is for what was written.
    const made = new Map(plan.shots.map((shot) => [shot.key, shot]));
    for (const shot of then.plan.shots) for (const name of ["video_id", "bridge_id", "made_of"]) shot[name] = shot[name] || made.get(shot.key)?.[name] || shot[name];
    Object.assign(plan, then.plan, { film_id: plan.film_id });
    settled();
    titleBox.value = board.title;
    remember.value = plan.remember;
    draw();
  }

  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || event.target.matches("input, textarea")) return;
    event.preventDefault();
    if (event.shiftKey) travel(future, past); else travel(past, future);
  }, { signal });
  addEventListener("pagehide", () => { if (dirty && !lost) store(true); }, { signal }); // the tab is closed: what was typed last
  addEventListener("beforeunload", (event) => { if (dirty && !lost) event.preventDefault(); }, { signal });

  // ---- making
  const seedOf = (shot, i) => shot.seed ?? (plan.seed + i) % 2 ** 31;
  /** All that decides a shot; where it is another than what it was made of, the shot is to be made again. */
  const recipe = (shot, i) => JSON.stringify([shot.prompt, shot.seconds, shot.camera, seedOf(shot, i), shot.image_id, plan.size, plan.remember, shot.transition === "continue" && i ? plan.shots[i - 1].video_id : null]);
  const isMade = (shot, i) => Boolean(shot.video_id) && shot.made_of === recipe(shot, i);
  const bridgeRecipe = (i) => `${plan.shots[i - 1].video_id}>${plan.shots[i].video_id}`;

  async function finished(id_) {
    for (;;) {
      const job = await jobs.get(id_);
      if (job.video.status === "completed") return job;
      if (!isOpen(job.video)) throw new Error(job.video.error?.code === "cancelled" ? t("state.cancelled") : failure(job.video));
      await new Promise((done, stop) => {
        const look = ({ detail }) => { if (detail.id === id_ && (detail.deleted || !isOpen(detail.video))) end(done); };
        const gone = () => end(() => stop(new DOMException("left", "AbortError")));
        const end = (then) => { jobs.removeEventListener("change", look); signal.removeEventListener("abort", gone); then(); };
        jobs.addEventListener("change", look);
        signal.addEventListener("abort", gone);
        look({ detail: jobs.known.get(id_) ?? job });
      });
    }
  }

  async function makeShot(i) {
    const shot = plan.shots[i];
    if (!shot.prompt.trim()) { list.children[i]?.querySelector("textarea")?.focus(); throw new Error(t("create.empty")); }
    const told = { prompt: shot.prompt, seconds: Number(shot.seconds), seed: seedOf(shot, i), size: plan.size };
    if (plan.remember) told.remember = plan.remember;
    if (shot.camera) told.camera = shot.camera;
    let video;
    if (shot.transition === "continue" && i) {
      if (!isMade(plan.shots[i - 1], i - 1)) await makeShot(i - 1);
      await finished(plan.shots[i - 1].video_id);
      video = await order(`${mine}/extend`, { ...told, clip: { video_id: plan.shots[i - 1].video_id }, only_new: true });
    } else video = await order(`${mine}/generate`, { ...told, ...(shot.image_id ? { image: { file_id: shot.image_id } } : {}) });
    jobs.add(video, "generate");
    shot.video_id = video.id;
    shot.bridge_id = null;
    shot.made_of = recipe(shot, i);
    settled();
    draw();
  }

  /** Another take: the same words, another seed. */
  async function again(i) {
    plan.shots[i].seed = newSeed();
    changed();
    await makeShot(i);
  }

  async function render() {
    renderButton.disabled = true;
    try {
      if (!plan.shots.length) return note(t("board.noshots"));
      for (let i = 0; i < plan.shots.length; i++) if (!isMade(plan.shots[i], i)) await makeShot(i);
      for (const shot of plan.shots) await finished(shot.video_id);
      const bridges = new Map(kept("bridges", []));
      for (let i = 1; i < plan.shots.length; i++) {
        const shot = plan.shots[i];
        if (shot.transition !== "connect") continue;
        if (!shot.bridge_id || bridges.get(shot.bridge_id) !== bridgeRecipe(i)) {
          const video = await order(`${mine}/connect`, { prompt: shot.prompt, first: { video_id: plan.shots[i - 1].video_id }, second: { video_id: shot.video_id }, seconds: BRIDGE, only_new: true, seed: seedOf(shot, i) });
          jobs.add(video, "connect");
          shot.bridge_id = video.id;
          bridges.set(video.id, bridgeRecipe(i));
          keep("bridges", [...bridges].slice(-200));
          settled();
        }
        await finished(shot.bridge_id);
      }
      const cuts = plan.shots.flatMap((shot, i) => [
        ...(shot.transition === "connect" && i ? [{ clip: { video_id: shot.bridge_id } }] : []),
        { clip: { video_id: shot.video_id }, dissolve: shot.transition === "dissolve" && i > 0 },
      ]);
      const film = await order(`${mine}/assemble`, { cuts, title: board.title || t("board.untitled") });
      jobs.add(film, "assemble");
      plan.film_id = film.id;
      settled();
      await showFilm();
      filmBox.scrollIntoView({ behavior: "smooth", block: "start" });
    } catch (error) {
      if (error.name !== "AbortError") note(error instanceof TypeError ? explain(error) : error.message || explain(error));
    } finally {
      renderButton.disabled = false;
    }
  }

  async function showFilm() {
    filmBox.hidden = !plan.film_id;
    if (!plan.film_id) return;
    const shown_ = plan.film_id;
    const job = await jobs.get(shown_).catch(() => null);
    if (!job) { plan.film_id = null; filmBox.hidden = true; return; }
    if (job.video.status === "completed") {
      const clip = await json(`${mine}/library/${shown_}`, { signal });
      const made = player(clip, { loop: false });
      fill(filmBox, h("h2", {}, t("board.film")), made.element, h("div", { class: "row" }, h("a", { class: "button", href: `#/clip/${shown_}` }, t("edit.open")), takeaway(shown_, () => board.title || "film", complain)));
      await made.ready.catch(complain);
    } else {
      const seen = face(job);
      fill(filmBox, h("h2", {}, t("board.film")), h("div", { class: "clip" }, seen));
      jobs.addEventListener("change", ({ detail }) => {
        if (detail.id !== shown_ || plan.film_id !== shown_) return;
        if (detail.deleted || detail.video.status === "completed") showFilm().catch(complain);
        else seen.show(detail);
      }, { signal });
    }
  }

  // ---- the shots
  const faces = new Map(); // video id -> face
  const move = (from, to) => {
    if (to < 0 || to >= plan.shots.length || from === to) return;
    const [shot] = plan.shots.splice(from, 1);
    plan.shots.splice(to, 0, shot);
    plan.shots[0].transition = "cut";
    changed();
    draw();
    list.children[to]?.querySelector(".mover")?.focus();
    said.textContent = t("board.moved", { n: to + 1, of: plan.shots.length });
  };
  const said = h("span", { class: "gone", role: "status" });

  function shotCard(shot, i) {
    const words = h("textarea", { rows: 2, value: shot.prompt, placeholder: t("board.prompt"), "aria-label": t("board.shot", { n: i + 1 }), on: { input: () => { shot.prompt = words.value; mark(); typed(); } } });
    const seconds = h("input", { type: "number", min: 0.2, max: 60, step: 0.1, value: shot.seconds, on: { change: () => { shot.seconds = Number(seconds.value) || 4; changed(); mark(); } } });
    const camera = h("button", { type: "button", class: "button picked-way", on: { click: async () => {
      const way = await chooseWay(shot.camera, Number(shot.seconds));
      if (way === null || way === shot.camera) return;
      shot.camera = way;
      camera.textContent = spoken(way);
      changed();
      mark();
    } } }, spoken(shot.camera));
    const badge = h("span", { class: "tiny soft" });
    const video = shot.video_id && jobs.known.get(shot.video_id);
    const seen = h("div", { class: "seen" });
    if (video) {
      if (!faces.has(shot.video_id)) faces.set(shot.video_id, face(video, { open: () => { location.hash = `#/clip/${shot.video_id}`; } }));
      seen.append(faces.get(shot.video_id));
    } else seen.append(h("div", { class: "face blank" }, h("span", { class: "wait" }, t("board.unmade"))));
    const make = button(t("board.make"), () => makeShot(i).catch(complainAll), { kind: "little", symbol: "create" });
    const other = button(t("board.again"), () => again(i).catch(complainAll), { kind: "little", symbol: "again" });
    const picker = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", hidden: true, on: { change: async () => {
      try { shot.image_id = (await upload(picker.files[0])).id; changed(); draw(); } catch (error) { complain(error); }
    } } });
    /** Without dragging: the place is chosen. */
    async function place_() {
      const chosen = await dialog((close) => {
        const box = choice(plan.shots.map((_, n) => [String(n), String(n + 1)]), String(i), () => {});
        return h("form", { method: "dialog", on: { submit: (event) => { event.preventDefault(); close(box.value); } } }, h("h2", {}, t("board.place")), field(t("board.place.number"), box),
          h("div", { class: "row end" }, button(t("cancel"), () => close(), { kind: "plain" }), button(t("reading.take"), null, { kind: "main", type: "submit" })));
      }, { label: t("board.place") });
      if (chosen !== null) move(i, Number(chosen));
    }
    const mover = button(null, place_, { kind: "plain little mover", symbol: "grip", title: t("board.mover") });
    mover.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (by) { event.preventDefault(); move(i, i + by); }
    });
    const made = h("li", { class: "shot card", data: { key: shot.key } },
      i ? h("div", { class: "how" }, choice(TRANSITIONS.map((name) => [name, t(`transition.${name}`)]), shot.transition, (name) => { shot.transition = name; changed(); draw(); }, { "aria-label": t("board.transition", { n: i + 1 }) })) : null,
      h("div", { class: "row apart top", draggable: "true" }, h("strong", {}, String(i + 1)), badge, h("div", { class: "row tight" }, mover,
        button(null, () => { plan.shots.splice(i + 1, 0, { ...structuredClone(shot), key: fresh().key }); changed(); draw(); }, { kind: "plain little", symbol: "plus", title: t("board.copy") }),
        button(null, () => { plan.shots.splice(i, 1); if (plan.shots[0]) plan.shots[0].transition = "cut"; changed(); draw(); note(t("board.removed"), [t("board.undo"), () => travel(past, future)]); }, { kind: "plain little", symbol: "bin", title: t("board.remove") }))),
      seen, words,
      h("div", { class: "pair" }, field(t("create.seconds"), seconds), field(t("camera.title"), camera)),
      h("div", { class: "row tight" }, make, other,
        shot.transition === "continue" && i ? null : shot.image_id ? button(t("board.image.away"), () => { shot.image_id = null; changed(); draw(); }, { kind: "plain little", symbol: "close" }) : button(t("board.image"), () => picker.click(), { kind: "plain little", symbol: "picture" }), picker));
    function mark() {
      const there = isMade(shot, i);
      badge.textContent = !shot.video_id ? "" : there ? "" : t("board.changed");
      make.hidden = there;
      other.hidden = !there;
    }
    mark();
    const top = made.querySelector(".top");
    top.addEventListener("dragstart", (event) => { event.dataTransfer.setData("text/plain", shot.key); event.dataTransfer.effectAllowed = "move"; made.classList.add("dragged"); });
    top.addEventListener("dragend", () => made.classList.remove("dragged"));
    made.addEventListener("dragover", (event) => { event.preventDefault(); made.classList.add("target"); });
    made.addEventListener("dragleave", () => made.classList.remove("target"));
    made.addEventListener("drop", (event) => {
      event.preventDefault();
      made.classList.remove("target");
      const from = plan.shots.findIndex((one) => one.key === event.dataTransfer.getData("text/plain"));
      if (from >= 0) move(from, i);
    });
    return made;
  }

  const complainAll = (error) => { if (error.name !== "AbortError") note(error.status ? explain(error) : error.message); };

  function draw() {
    fill(list, plan.shots.map(shotCard), h("li", { class: "add" }, button(t("board.add"), () => { plan.shots.push({ ...fresh(), transition: plan.shots.length ? "cut" : "cut" }); changed(); draw(); list.children[plan.shots.length - 1].querySelector("textarea").focus(); }, { symbol: "plus" })));
    total.textContent = t("board.total", { n: plan.shots.length, s: number(plan.shots.reduce((sum, shot) => sum + Number(shot.seconds), 0)) });
  }

  const titleBox = h("input", { type: "text", class: "title", maxlength: 200, value: board.title, placeholder: t("board.untitled"), "aria-label": t("board.title"), on: { input: () => { board.title = titleBox.value; typed(); } } });
  const remember = h("input", { type: "text", maxlength: 4000, value: plan.remember, placeholder: t("board.remember.like"), on: { input: () => { plan.remember = remember.value; typed(); }, change: () => draw() } });
  const sizes = SIZES.includes(plan.size) ? SIZES : [plan.size, ...SIZES];
  const total = h("span", { class: "soft small" });
  const renderButton = button(t("board.render"), () => render(), { kind: "main", symbol: "join" });
  undo.disabled = redo.disabled = true;

  fill(place, h("div", { class: "head" }, h("div", { class: "grow" }, h("p", {}, h("a", { href: "#/board" }, t("board.back"))), h("h1", { class: "gone" }, t("board.one")), titleBox), h("div", { class: "row tight" }, state, undo, redo)),
    h("div", { class: "stack" },
      h("section", { class: "card stack" }, h("div", { class: "controls" }, field(t("board.remember"), remember, { class: "field wide" }), field(t("create.size"), choice(sizes.map((size) => [size, size.replace("x", " × ")]), plan.size, (size) => { plan.size = size; changed(); draw(); }))),
        h("div", { class: "row apart" }, total, h("div", { class: "row tight" },
          button(t("board.export"), async () => { await saving; await (dirty ? store() : null); download(`${mine}/boards/${id}/export`, `${board.title || "film"}.zip`).catch(complain); }, { symbol: "down" }),
          renderButton))),
      filmBox, list, said));
  await Promise.all(plan.shots.filter((shot) => shot.video_id).map((shot) => jobs.get(shot.video_id).catch((error) => { if (error.status === 404) { shot.video_id = null; shot.made_of = ""; } })));
  draw();
  jobs.addEventListener("change", ({ detail }) => {
    if (detail.deleted) {
      const shot = plan.shots.find((one) => one.video_id === detail.id);
      if (shot) { shot.video_id = null; shot.made_of = ""; settled(); draw(); }
    } else faces.get(detail.id)?.show(detail);
  }, { signal });
  await showFilm().catch(() => {});
}

/** All boards. */
async function overview(place, signal) {
  const { data } = await json(`${mine}/boards`, { signal });
  const picker = h("input", { type: "file", accept: ".otio,application/json", hidden: true, on: { change: async () => {
    const form = new FormData();
    form.append("file", picker.files[0], picker.files[0].name);
    try { location.hash = `#/board/${(await json(`${mine}/boards/import`, { method: "POST", form })).id}`; } catch (error) { complain(error); }
    picker.value = "";
  } } });
  const begin = async () => { try { location.hash = `#/board/${(await post(`${mine}/boards`, { title: "", plan: { shots: [fresh()], seed: newSeed() } })).id}`; } catch (error) { complain(error); } };
  fill(place, h("div", { class: "head" }, h("div", {}, h("h1", {}, t("room.board")), h("p", {}, t("board.about"))), h("div", { class: "row tight" }, button(t("board.import"), () => picker.click(), { symbol: "up" }), picker, button(t("board.new"), begin, { kind: "main", symbol: "plus" }))),
    data.length ? h("ul", { class: "grid" }, data.map((board) => {
      const first = board.plan.shots.find((shot) => shot.video_id);
      const seen = h("a", { class: "face blank", href: `#/board/${board.id}`, tabindex: "-1", "aria-hidden": "true" });
      if (first) jobs.get(first.video_id).then((job) => { const shown = face(job); seen.replaceChildren(...shown.childNodes); seen.classList.remove("blank"); }, () => {});
      return h("li", { class: "clip" }, seen, h("div", { class: "text" }, h("a", { href: `#/board/${board.id}` }, board.title || t("board.untitled")), h("div", { class: "foot" }, h("span", { class: "grow" }, `${t("board.shots", { n: board.plan.shots.length })} · ${ago(board.updated_at)}`),
        button(null, async () => { if (await confirm(t("board.delete.sure"), t("clip.delete"))) { await ask(`${mine}/boards/${board.id}`, { method: "DELETE" }).catch(complain); overview(place, signal); } }, { kind: "plain little", symbol: "bin", title: t("clip.delete") }))));
    })) : h("div", { class: "card empty" }, icon("board"), h("h2", {}, t("board.none")), h("p", {}, t("board.none.about"))));
}
