// Elements without markup: nothing that a user or a file says can become code.
const SVG = "http://www.w3.org/2000/svg";
const OWN = new Set(["value", "checked", "disabled", "hidden", "muted", "loop", "open", "indeterminate", "selected", "playsInline", "volume"]);

/** An element: h("button", {class: "main", on: {click}}, "Make"). Properties that are null or false are left out. */
export function h(tag, props, ...children) {
  const made = document.createElement(tag);
  dress(made, props);
  made.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** The same for SVG. */
export function s(tag, props, ...children) {
  const made = document.createElementNS(SVG, tag);
  dress(made, props);
  made.append(...children.flat(3).filter(Boolean));
  return made;
}

function dress(made, props) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, does] of Object.entries(value)) made.addEventListener(event, does);
    else if (name === "style") for (const [key, to] of Object.entries(value)) made.style.setProperty(key, to);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (OWN.has(name)) made[name] = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
}

// Drawn for a 24 x 24 field.
const ICONS = {
  create: "M12 3v4M12 17v4M3 12h4M17 12h4M6 6l2.5 2.5M15.5 15.5 18 18M18 6l-2.5 2.5M8.5 15.5 6 18",
  library: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  edit: "M6 3v4M6 13v8M18 3v8M18 17v4M3.5 7h5v6h-5zM15.5 11h5v6h-5zM12 3v18",
  board: "M3 6h8v5H3zM13 6h8v5h-8zM3 15h18M6 18h0M12 18h0M18 18h0",
  compare: "M4 5h6.5v14H4zM13.5 5H20v14h-6.5zM6 14l1.2 1.2 2-2.4",
  glass: "M12 3 4 7.5v9L12 21l8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  queue: "M4 6h10M4 12h16M4 18h7M17 16v5M14.5 18.5h5M18 4.5v3",
  play: "M7 5v14l12-7z", pause: "M8 5v14M16 5v14", heart: "M12 20s-7.5-4.6-7.5-10A4.2 4.2 0 0 1 12 7.4 4.2 4.2 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10z",
  star: "m12 4 2.4 5 5.6.7-4.1 3.8 1.1 5.5L12 16.3 7 19l1.1-5.5L4 9.7 9.6 9z",
  bin: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v6M14 11v6", down: "M12 4v11M7 11l5 5 5-5M5 20h14", up: "M12 20V9M7 13l5-5 5 5M5 4h14",
  again: "M4 12a8 8 0 0 1 14-5.3L20 9M20 4v5h-5M20 12a8 8 0 0 1-14 5.3L4 15M4 20v-5h5",
  vary: "M4 17c5 0 5-10 10-10h6M17 4l3 3-3 3M4 7c2.2 0 3.4 1.8 4.4 4M14 17h6M17 14l3 3-3 3",
  close: "M6 6l12 12M18 6 6 18", picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M9 9h0", camera: "M3 7h11v10H3zM14 11l7-4v10l-7-4",
  warn: "M12 4 2.5 20h19zM12 10v5M12 17.5v0", good: "M4 12.5 9.5 18 20 6.5", info: "M12 11v6M12 7.5v0M3.5 12a8.5 8.5 0 1 0 17 0 8.5 8.5 0 0 0-17 0",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M19 5l-1.4 1.4M6.4 17.6 5 19",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z", search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5 21 21",
  left: "M14 6l-6 6 6 6", right: "M10 6l6 6-6 6", back: "M6 5v14M19 6l-9 6 9 6z", on: "M18 5v14M5 6l9 6-9 6z", plus: "M12 5v14M5 12h14",
  ahead: "M12 19V6M6 11.5 12 5.5l6 6", grip: "M9 5v.01M15 5v.01M9 12v.01M15 12v.01M9 19v.01M15 19v.01",
  cut: "M6 6a2.5 2.5 0 1 0 .1 0M6 14a2.5 2.5 0 1 0 .1 0M8 9.5 20 17M8 16 20 7", loop: "M4 12a5 5 0 0 1 5-5h9M15 4l3 3-3 3M20 12a5 5 0 0 1-5 5H6M9 20l-3-3 3-3",
  join: "M3 12h6M15 12h6M9 6v12M15 6v12", undo: "M8 5 4 9l4 4M4 9h10a5.5 5.5 0 0 1 0 11H8", redo: "m16 5 4 4-4 4M20 9H10a5.5 5.5 0 0 0 0 11h6", language: "M4 6h9M8.5 4v2M11 6c-1 4-3.5 7-7 8.5M6 9c1.5 3 3.5 4.5 6 5.5M12.5 20l4-10 4 10M14 17h5",
};

export function icon(name) {
  return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] ?? ICONS.info }));
}

/** Replaces what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Calls only when nobody has called for `wait` milliseconds. */
export function calmly(does, wait = 350) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => does(...given), wait);
  };
}

/** What was kept in this browser, or else `otherwise`. */
export function kept(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`haneul.${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(`haneul.${name}`, JSON.stringify(value));
  } catch { /* private windows keep nothing */ }
}

/** A new seed. */
export const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 2 ** 31;

/** A name that nobody else has; crypto.randomUUID is missing where a page comes over plain HTTP from another machine. */
export const token = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
