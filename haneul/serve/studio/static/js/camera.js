// The camera's way, put together from moves and drawn from above.
import { fill, h, s } from "./dom.js";
import { t, word } from "./i18n.js";
import { button, choice, dialog, field } from "./parts.js";

// What a second of each move does, seen from above: the camera's velocity to the right and back, and its turn, for one
// unit of its amount; the usual amount of a second; the most of it.
const RADIAN = Math.PI / 180;
export const MOVES = {
  static: [0, 0, 0, 0, 0], "orbit left": [-RADIAN, 0, -RADIAN, 15, 25], "orbit right": [RADIAN, 0, RADIAN, 15, 25],
  "push in": [0, -0.01, 0, 12.5, 20], "pull back": [0, 0.01, 0, 12.5, 20], "crane up": [0, 0, 0, 6.8, 12],
  "truck left": [-0.01, 0, 0, 17, 30], "truck right": [0.01, 0, 0, 17, 30],
};

function parse(path) {
  return path.split(/,\s*(?:then\s+)?|\s+then\s+/).map((part) => /^\s*([a-z ]+?)(?:\s+([\d.]+))?(?:\s+over\s+([\d.]+)\s*s)?\s*$/.exec(part)).filter((found) => found && found[1] in MOVES).map(([, move, amount, seconds]) => ({ move, amount: amount ?? "", seconds: seconds ?? "" }));
}

const written = (legs) => legs.map((leg) => [leg.move, leg.amount, leg.seconds && `over ${leg.seconds} s`].filter(Boolean).join(" ")).join(", then ");

/** Where the camera is at moments of its way: [x, back], in distances of what it looks at, which is at 0, 0. */
export function way(legs, total) {
  const timed = legs.reduce((sum, leg) => sum + (Number(leg.seconds) || 0), 0);
  const open = legs.filter((leg) => !leg.seconds).length;
  const share = open ? Math.max(0, total - timed) / open : 0;
  let x = 0, back = 1, turn = 0;
  const points = [[x, back, turn]];
  for (const leg of legs) {
    const [right, away, turning, usual] = MOVES[leg.move];
    const seconds = Number(leg.seconds) || share, rate = leg.amount ? Number(leg.amount) / Math.max(seconds, 0.01) : usual;
    for (let i = 0; i < 24; i++) {
      const dt = (seconds / 24) * rate;
      turn += turning * dt;
      x += (Math.cos(turn) * right + Math.sin(turn) * away) * dt;
      back += (-Math.sin(turn) * right + Math.cos(turn) * away) * dt;
      points.push([x, back, turn]);
    }
  }
  return points;
}

/** The widget; `changed` is given the way in words. */
export function dial(path, total, changed) {
  let legs = path ? parse(path) : [];
  const rows = h("div", { class: "stack tight" });
  const map = s("svg", { viewBox: "-1.7 -1.2 3.4 3.4", role: "img", "aria-label": t("camera.map") });

  function draw() {
    const points = way(legs, total());
    const [x, y, turn] = points.at(-1);
    fill(map, [0.5, 1, 1.5].map((r) => s("circle", { class: "ring", r, "stroke-width": 0.015 })),
      s("circle", { class: "thing", r: 0.13 }),
      s("path", { class: "path", d: `M${points.map(([a, b]) => `${a.toFixed(3)} ${b.toFixed(3)}`).join("L")}`, "vector-effect": "non-scaling-stroke" }),
      s("path", { class: "eye", d: "M-.12 .1 0 -.16 .12 .1z", transform: `translate(${x} ${y}) rotate(${(-turn * 180) / Math.PI})` }));
  }

  function told() {
    draw();
    changed(written(legs));
  }

  function list() {
    fill(rows, legs.map((leg, i) => h("div", { class: "leg" },
      field(t("camera.move"), choice(Object.keys(MOVES).map((move) => [move, word(move)]), leg.move, (move) => { leg.move = move; leg.amount = ""; list(); told(); })),
      field(t("camera.amount"), h("input", { type: "number", min: 0, step: 1, value: leg.amount, placeholder: t("create.usual"), disabled: leg.move === "static", on: { input: (event) => { leg.amount = event.target.value; told(); } } })),
      field(t("camera.seconds"), h("input", { type: "number", min: 0.1, step: 0.1, value: leg.seconds, placeholder: t("create.usual"), on: { input: (event) => { leg.seconds = event.target.value; told(); } } })),
      button(null, () => { legs.splice(i, 1); list(); told(); }, { kind: "plain", symbol: "close", title: t("camera.away") }))),
    button(t(legs.length ? "camera.then" : "camera.add"), () => { legs.push({ move: legs.length ? "push in" : "orbit left", amount: "", seconds: "" }); list(); told(); }, { kind: "little", symbol: "plus" }));
    draw();
  }

  list();
  return h("div", { class: "stack" }, h("div", { class: "dial" }, map, h("p", { class: "soft small" }, t("camera.about"))), rows);
}

/** A way in the words of whoever reads. */
export function spoken(path) {
  const legs = parse(path);
  return legs.length ? legs.map((leg) => [word(leg.move), leg.amount].filter(Boolean).join(" ")).join(", ") : path || t("camera.none");
}

/** The widget in a dialog; null when nothing was chosen. */
export const chooseWay = (path, seconds) => dialog((close) => {
  let now = path;
  return h("form", { method: "dialog", on: { submit: (event) => { event.preventDefault(); close(now); } } }, h("h2", {}, t("camera.title")),
    dial(path, () => seconds, (way_) => { now = way_; }),
    h("div", { class: "row end" }, button(t("cancel"), () => close(), { kind: "plain" }), button(t("reading.take"), null, { kind: "main", type: "submit" })));
}, { label: t("camera.title") });
