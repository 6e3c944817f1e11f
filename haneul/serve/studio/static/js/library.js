// Everything that was made, however much: only what is in view exists as elements.
import { json, link, mine } from "./api.js";
import { calmly, fill, h, icon, keep, kept } from "./dom.js";
import { maybe, t } from "./i18n.js";
import { jobs } from "./jobs.js";
import { button, card, choice, complain, field } from "./parts.js";

const PAGE = 60;
const GAP = 16;
const TEXT = 112; // height of a card below its face
const MODES = ["generate", "extend", "connect", "loop", "retake", "keyframes", "remix", "inpaint", "blend", "assemble", "storyboard", "play"];

/** Cards in a window: rows are placed by number, and pages of clips fetched as they come near. */
export function windowed(query, { signal, empty, make }) {
  let total = 0, columns = 1, width = 0, height = 0, version = 0, known = false, near = [0, 0];
  const clips = new Map(), pages = new Map(), shown = new Map();
  const element = h("div", { class: "window", role: "list" });

  function measure() {
    width = element.clientWidth;
    columns = Math.max(1, Math.floor((width + GAP) / (272 + GAP)));
    if (width < 560 && width > 300) columns = 2;
    const each = (width - GAP * (columns - 1)) / columns;
    height = Math.round((each * 4) / 7) + TEXT; // a face is 7:4, as most clips are
    element.style.setProperty("height", `${Math.ceil(total / columns) * (height + GAP)}px`);
    draw();
  }

  async function fetchPage(n) {
    if (pages.has(n)) return;
    pages.set(n, true);
    const now = version;
    try {
      const found = await json(`${mine}/library?${query()}&offset=${n * PAGE}&limit=${PAGE}`, { signal });
      if (now !== version) return;
      found.data.forEach((clip, i) => clips.set(n * PAGE + i, clip));
      if (total !== found.total || !known) { known = true; total = found.total; empty(total === 0); measure(); } else draw();
    } catch (error) {
      pages.delete(n);
      if (error.name !== "AbortError") complain(error);
    }
  }

  /** Places what is near; after scrolling alone nothing is touched until another row comes near. */
  function draw(scrolled = false) {
    if (!height) return;
    const top = -element.getBoundingClientRect().top, row = height + GAP;
    const first = Math.max(0, Math.floor(top / row) - 2) * columns, last = Math.min(total, (Math.ceil((top + innerHeight) / row) + 2) * columns);
    if (scrolled && first === near[0] && last === near[1]) return;
    near = [first, last];
    for (const [n, made] of shown) if (n < first || n >= last) { if (!made.contains(document.activeElement)) { made.remove(); shown.delete(n); } }
    const each = (width - GAP * (columns - 1)) / columns;
    for (let n = first; n < last; n++) {
      const clip = clips.get(n);
      if (!clip) { fetchPage(Math.floor(n / PAGE)); continue; }
      let made = shown.get(n);
      if (made && made.dataset.id !== clip.id) { made.remove(); made = null; }
      if (!made) {
        made = make(clip);
        made.setAttribute("role", "listitem");
        made.setAttribute("aria-setsize", total);
        made.setAttribute("aria-posinset", n + 1);
        shown.set(n, made);
        element.append(made);
      }
      made.style.setProperty("width", `${each}px`);
      made.style.setProperty("height", `${height}px`);
      made.style.setProperty("transform", `translate(${(n % columns) * (each + GAP)}px, ${Math.floor(n / columns) * row}px)`);
      made.dataset.n = n;
    }
  }

  /** Arrow keys go from card to card. */
  element.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const at = event.target.closest?.(".clip");
    if (!step || !at || !event.target.classList.contains("face")) return;
    const next = Number(at.dataset.n) + step;
    if (next < 0 || next >= total) return;
    event.preventDefault();
    const row = Math.floor(next / columns) * (height + GAP);
    if (!shown.has(next)) scrollTo(0, scrollY + element.getBoundingClientRect().top + row - 80);
    draw();
    shown.get(next)?.querySelector(".face")?.focus();
  });

  let due = false;
  const soon = () => { if (!due) { due = true; requestAnimationFrame(() => { due = false; draw(true); }); } };
  addEventListener("scroll", soon, { passive: true, signal });
  const observer = new ResizeObserver(() => { if (element.clientWidth !== width) measure(); });
  observer.observe(element);
  signal.addEventListener("abort", () => observer.disconnect());
  return {
    element,
    /** Looks anew; what is shown stays until the answer is there. */
    async again() {
      version++;
      pages.clear();
      const old = new Map(clips);
      await fetchPage(0);
      for (const n of old.keys()) if (n >= total || !pages.has(Math.floor(n / PAGE))) clips.delete(n);
      draw();
    },
    reset() {
      version++;
      pages.clear();
      clips.clear();
      for (const made of shown.values()) made.remove();
      shown.clear();
      known = false;
      return fetchPage(0);
    },
    card: (id) => [...shown.values()].find((made) => made.dataset.id === id),
    get total() { return total; },
  };
}

export async function show(place, given, signal) {
  const look = { q: "", status: "", mode: "", order: "newest", favourite: false, folder: "", ...kept("look", {}) };
  const count = h("span", { class: "soft small", role: "status" });
  const none = h("div", { class: "card empty", hidden: true });

  function query() {
    const told = new URLSearchParams({ order: look.order });
    for (const name of ["q", "mode", "folder"]) if (look[name]) told.set(name, look[name]);
    if (look.status) told.append("status", look.status);
    if (look.favourite) told.set("favourite", "true");
    return told;
  }

  const list = windowed(query, {
    signal,
    empty: (on) => {
      none.hidden = !on;
      count.textContent = on ? "" : t("library.count", { n: list.total });
      const any = look.q || look.status || look.mode || look.folder || look.favourite;
      if (on) fill(none, icon("library"), h("h2", {}, t(any ? "library.nothing" : "library.empty")), h("p", {}, t(any ? "library.nothing.about" : "library.empty.about")),
        any ? button(t("library.all"), () => { Object.assign(look, { q: "", status: "", mode: "", favourite: false, folder: "" }); keep("look", look); location.reload(); }, {}) : h("a", { class: "button main", href: "#/create" }, t("room.create")));
    },
    make: (clip) => card({ id: clip.id, video: clip.video, stage: "", mode: clip.mode, clip, ...jobs.known.get(clip.id) }),
  });
  const change = (name, value) => { look[name] = value; keep("look", look); list.reset().then(() => scrollTo(0, 0)); };
  const find = calmly(() => change("q", look.q), 250);
  const search = h("input", { type: "search", placeholder: t("library.search"), value: look.q, on: { input: () => { look.q = search.value.trim(); keep("look", look); find(); } } });
  const heart = button(t("library.favourites"), () => { const on = !look.favourite; heart.setAttribute("aria-pressed", String(on)); change("favourite", on); }, { kind: "heart", symbol: "heart", pressed: look.favourite });
  const folderBox = h("div", {});
  json(`${mine}/folders`, { signal }).then(({ data }) => {
    if (data.length) fill(folderBox, field(t("library.folder"), choice([["", t("library.every")], ...data.map((folder) => [folder.name, `${folder.name} (${folder.clips})`])], look.folder, (value) => change("folder", value))));
    else if (look.folder) change("folder", "");
  }, () => {});

  fill(place, h("div", { class: "head" }, h("div", {}, h("h1", {}, t("library.title")), h("p", {}, t("library.about"))), count),
    h("div", { class: "bar", role: "search" }, field(t("library.search"), search, { class: "field search" }),
      field(t("library.status"), choice([["", t("library.every")], ...["completed", "in_progress", "queued", "failed"].map((name) => [name, t(`state.${name}`)])], look.status, (value) => change("status", value))),
      field(t("library.mode"), choice([["", t("library.every")], ...MODES.map((name) => [name, maybe(`mode.${name}`, name)])], look.mode, (value) => change("mode", value))),
      folderBox,
      field(t("library.order"), choice(["newest", "oldest", "longest", "starred"].map((name) => [name, t(`order.${name}`)]), look.order, (value) => change("order", value))), heart),
    none, list.element);
  const anew = calmly(() => list.again(), 300);
  link.addEventListener("up", anew, { signal }); // what could not be fetched, and what was made meanwhile
  jobs.addEventListener("change", ({ detail }) => {
    const made = list.card(detail.id);
    if (made && !detail.deleted) made.show(detail);
    else anew();
  }, { signal });
  await list.reset();
}
