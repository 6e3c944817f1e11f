// What several rooms share: notes, dialogs, a clip's card, the player, and what to say when something went wrong.
import { Refused, ask, hasKey, json, link, media, mine } from "./api.js";
import { h, icon } from "./dom.js";
import { ago, maybe, number, t } from "./i18n.js";
import { isOpen, jobs } from "./jobs.js";

/** A short note at the edge of the screen; `action` is [label, function]. */
export function note(text, action = null) {
  const made = h("div", {}, h("span", { class: "grow" }, text));
  const gone = setTimeout(() => made.remove(), action ? 9000 : 5000);
  if (action) {
    made.append(h("button", { type: "button", on: { click: () => { clearTimeout(gone); made.remove(); action[1](); } } }, action[0]));
  }
  document.getElementById("notes").append(made);
}

/** An error in words for people. */
export function explain(error) {
  if (error instanceof Refused) return maybe(`error.${error.code}`, null) ?? error.message;
  if (error?.name === "AbortError") return "";
  return t("error.network");
}

export const complain = (error) => { const said = explain(error); if (said) note(said); };

/** Why the screen refused something, kindly; `code` is the category's name. */
export function refusal(code, message) {
  return h("div", { class: "note warn", role: "status" }, icon("warn"),
    h("div", { class: "stack tight" },
      h("strong", {}, t("screen.refused", { what: maybe(`screen.${code}.title`, code) })),
      h("span", {}, maybe(`screen.${code}.advice`, message)),
      h("span", { class: "soft" }, t("screen.why"))));
}

/** The category in "refused (gore): ...". */
export const refusedCode = (message) => /^refused \(([\w-]+)\)/.exec(message ?? "")?.[1] ?? null;

/** Why a video failed, in words. */
export function failure(video) {
  const error = video.error ?? {};
  const code = refusedCode(error.message);
  if (code) return `${maybe(`screen.${code}.title`, code)}: ${maybe(`screen.${code}.advice`, error.message)}`;
  return maybe(`error.${error.code}`, null) ?? error.message ?? "";
}

/** A dialog; `build(close)` returns what it holds. Resolves with what `close` is given. */
export function dialog(build, { wide = false, label = "" } = {}) {
  return new Promise((done) => {
    const made = h("dialog", { class: wide ? "wide" : null, "aria-label": label || null });
    const before = document.activeElement;
    let answer = null;
    const close = (value = null) => { answer = value; made.close(); };
    made.append(build(close));
    made.addEventListener("close", () => { made.remove(); before?.focus?.(); done(answer); });
    made.addEventListener("click", (event) => { if (event.target === made) close(); });
    document.body.append(made);
    made.showModal();
  });
}

export function confirm(question, yes, { bad = true } = {}) {
  return dialog((close) => h("form", { method: "dialog", on: { submit: (event) => { event.preventDefault(); close(true); } } },
    h("h2", {}, question),
    h("div", { class: "row end" },
      h("button", { type: "button", class: "button plain", on: { click: () => close(false) } }, t("cancel")),
      h("button", { type: "submit", class: bad ? "button bad" : "button main", autofocus: true }, yes))), { label: question });
}

export function button(label, does, { kind = "", symbol = null, pressed = undefined, title = null, type = "button" } = {}) {
  const bare = label === null;
  return h("button", {
    type, class: `button ${kind}${bare ? " round" : ""}`, title: title, "aria-label": bare ? title : null,
    "aria-pressed": pressed === undefined ? null : String(pressed), on: does ? { click: does } : {},
  }, symbol ? icon(symbol) : null, label);
}

let fields = 0;
/** A control with its label. */
export function field(label, control, props = {}) {
  control.id ||= `field-${++fields}`;
  return h("label", { class: "field", for: control.id, ...props }, h("span", {}, label), control);
}

export function choice(values, chosen, changed, props = {}) {
  const made = h("select", { on: { change: () => changed(made.value) }, ...props },
    values.map(([value, label]) => h("option", { value, selected: value === chosen }, label)));
  return made;
}

/** One of a few, side by side. */
export function segments(label, values, chosen, changed, { kind = "" } = {}) {
  const name = `segments-${++fields}`;
  return h("fieldset", { class: `segments ${kind}`.trim() }, h("legend", { class: "gone" }, label),
    values.map(([value, text]) => h("label", {},
      h("input", { type: "radio", name, value, checked: value === chosen, on: { change: () => changed(value) } }), text)));
}

export const stageWords = (stage) => {
  const [what] = /(starting|denoising|drawing|joining)/.exec(stage ?? "") ?? [];
  return what ? t(`stage.${what}`) : "";
};

/** What is said of a video that waits. */
export const waiting = () => t(jobs.resting ? "state.paused" : "state.queued");

/** Deletes a clip for good, once its owner has said yes. */
export async function remove(id) {
  if (!(await confirm(t("clip.delete.sure"), t("clip.delete")))) return false;
  await ask(`/v1/videos/${encodeURIComponent(id)}`, { method: "DELETE" });
  jobs.gone(id);
  note(t("clip.deleted"));
  return true;
}

let marking = Promise.resolve();

/** Hearts, stars, folders: one after another, and where nobody answers, once somebody does. */
export function mark(id, changes) {
  const made = marking.then(async () => {
    for (;;) {
      try {
        return await json(`${mine}/library/${encodeURIComponent(id)}`, { method: "PATCH", body: changes });
      } catch (error) {
        if (error instanceof Refused) throw error;
        await new Promise((done) => link.addEventListener("up", done, { once: true }));
      }
    }
  });
  marking = made.catch(() => {});
  return made;
}

/** Tells what a video is while it is made and once it is there: the face of a card. It plays when looked at. */
export function face(job, { label = null, open = null, aspect = null } = {}) {
  const made = h(open ? "button" : "div", {
    class: "face", type: open ? "button" : null, on: open ? { click: open } : {},
    style: aspect ? { "aspect-ratio": aspect } : null,
  });
  const name = h("span", { class: "gone" }, label ?? job.video.prompt ?? t("clip.noprompt"));
  let shown = "", film = null, bar = null, words = null, early = null;

  async function play() {
    // What is drawn already can be watched while the rest is made, where no key is needed to load it.
    const running = shown === "open" && /drawing/.test(job.stage ?? "") && job.mode !== "storyboard" && !hasKey();
    if ((shown !== "completed" && !running) || film) return;
    film = h("video", { muted: true, loop: true, playsInline: true, preload: "auto", tabindex: "-1", "aria-hidden": "true" });
    try {
      film.src = running ? `${mine}/videos/${encodeURIComponent(job.id)}/live` : await media(job.id);
      if (!film) return;
      film.classList.toggle("early", running);
      made.append(film);
      await film.play();
    } catch { /* it was left again before it began */ }
  }

  function rest() {
    film?.removeAttribute("src"); // and nothing more is loaded
    film?.load();
    film?.remove();
    film = null;
  }

  made.addEventListener("pointerenter", play);
  made.addEventListener("focus", play);
  made.addEventListener("pointerleave", rest);
  made.addEventListener("blur", rest);

  made.show = (now) => {
    job = { ...job, ...now };
    const video = job.video, state = isOpen(video) ? "open" : video.status;
    if (state !== shown && shown !== "expired") {
      shown = state;
      rest();
      if (state === "completed" && video.expires_at && video.expires_at * 1000 < Date.now()) {
        shown = "expired";
        made.replaceChildren(name, h("span", { class: "wait failed" }, icon("warn"), h("span", {}, t("error.video_expired"))));
      } else if (state === "completed") {
        const picture = h("img", { alt: "", loading: "lazy", decoding: "async" });
        media(job.id, "thumbnail").then((url) => { picture.src = url; }, () => {});
        made.replaceChildren(picture, name, h("span", { class: "badge" }, t("seconds.short", { n: number(Number(video.seconds)) })));
      } else if (state === "failed") {
        const cancelled = video.error?.code === "cancelled";
        made.replaceChildren(name, h("span", { class: "wait failed" }, icon(cancelled ? "close" : "warn"), h("span", {}, cancelled ? t("state.cancelled") : failure(video))));
      } else {
        words = h("span", {});
        bar = h("i", {});
        early = null;
        made.replaceChildren(name, h("span", { class: "drift" }), h("span", { class: "wait" }, words, h("span", { class: "bar" }, bar)));
      }
    }
    if (state === "open") {
      words.textContent = video.status === "queued" ? waiting() : [stageWords(job.stage), `${video.progress} %`].filter(Boolean).join(" · ");
      bar.style.setProperty("width", `${video.progress}%`);
      if (job.early) {
        if (!early) made.prepend((early = h("img", { class: "early", alt: "" })));
        early.src = job.early;
      }
    }
  };
  made.show(job);
  return made;
}

/** A whole card: its face, the prompt, and what can be done. `job` is {id, video, stage, mode, clip}. */
export function card(job, { actions = [], favourite = true, open = () => { location.hash = `#/clip/${job.id}`; } } = {}) {
  const front = face(job, { open });
  const when = h("span", { class: "grow" });
  const heart = button(null, async () => {
    const on = heart.getAttribute("aria-pressed") !== "true";
    heart.setAttribute("aria-pressed", String(on));
    await mark(job.id, { favourite: on }).catch(complain);
  }, { kind: "plain little heart", symbol: "heart", pressed: Boolean(job.clip?.favourite), title: t("clip.favourite") });
  const made = h("div", { class: "clip", data: { id: job.id } }, front,
    h("div", { class: "text" }, h("p", { class: "words" }, job.video.prompt ?? t("clip.noprompt")),
      h("div", { class: "foot" }, when, actions, favourite ? heart : null)));
  made.show = (now) => {
    front.show(now);
    const video = now.video;
    when.textContent = isOpen(video) ? "" : [now.mode && now.mode !== "generate" ? maybe(`mode.${now.mode}`, now.mode) : null, ago(video.completed_at ?? video.created_at)].filter(Boolean).join(" · ");
  };
  made.show(job);
  return made;
}

/** Strength and number of variations; null when nothing was chosen. */
export function varying() {
  return dialog((close) => {
    const strength = h("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: 0.5 });
    const count = choice([["1", "1"], ["2", "2"], ["4", "4"], ["9", "9"]], "4", () => {});
    return h("form", { method: "dialog", on: { submit: (event) => { event.preventDefault(); close({ strength: Number(strength.value), count: Number(count.value) }); } } },
      h("h2", {}, t("vary.title")), h("p", { class: "soft" }, t("vary.about")),
      field(t("vary.strength"), strength),
      h("div", { class: "row apart small soft" }, h("span", {}, t("vary.little")), h("span", {}, t("vary.much"))),
      field(t("create.count"), count),
      h("div", { class: "row end" }, button(t("cancel"), () => close(), { kind: "plain" }), button(t("vary.go"), null, { kind: "main", type: "submit", symbol: "vary" })));
  }, { label: t("vary.title") });
}
