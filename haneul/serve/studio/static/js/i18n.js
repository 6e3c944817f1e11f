// Words, in two tables for each language: what the studio says, and the model's vocabulary. A missing word would show as its name, and a test sees to it that none is.
import { keep, kept } from "./dom.js";

export const LANGUAGES = { en: "English", ko: "한국어" };
let table = {};
export let language = "en";

export function preferred() {
  const said = kept("language", null);
  if (said in LANGUAGES) return said;
  return (navigator.languages ?? []).some((name) => name.startsWith("ko")) && !navigator.language.startsWith("en") ? "ko" : "en";
}

export async function speak(name) {
  const answers = await Promise.all([name, `${name}.values`].map((file) => fetch(`/studio/words/${file}.json`)));
  table = Object.assign(...(await Promise.all(answers.map((answer) => answer.json()))));
  language = name;
  document.documentElement.lang = name;
}

export async function choose(name) {
  keep("language", name);
  await speak(name);
}

/** A text by its name, with what stands in braces filled in. */
export function t(name, given = {}) {
  const text = table[name];
  if (text === undefined) return name;
  return text.replace(/\{(\w+)\}/g, (_, key) => given[key] ?? "");
}

/** A text if there is one. */
export function maybe(name, otherwise) {
  return table[name] ?? otherwise;
}

/** A word of the model's vocabulary. */
export const word = (value) => maybe(`value.${value}`, value);

export const number = (value, digits = 1) => new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);

export function bytes(value) {
  const step = value < 2 ** 20 ? ["KiB", 2 ** 10] : value < 2 ** 30 ? ["MiB", 2 ** 20] : ["GiB", 2 ** 30];
  return `${number(value / step[1])} ${step[0]}`;
}

/** How long ago a Unix time is. */
export function ago(seconds) {
  const past = seconds - Date.now() / 1000;
  const form = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(past) >= size) return form.format(Math.round(past / size), unit);
  }
  return form.format(0, "second");
}
