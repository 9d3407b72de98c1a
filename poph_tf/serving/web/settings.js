// The settings in musicians' terms, each with its help, and their form.

import { find, make } from "./dom.js";
import { KEYS, pretty } from "./harmony.js";

/** @import {Store} from "./store.js" */
/** @import {Settings} from "./types.js" */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} help
 * @property {"range" | "number" | "select" | "checkbox" | "text"} kind
 * @property {string | number | boolean} value default
 * @property {Record<string, string | number>} [limits] attributes of the input
 * @property {[string, string][]} [options] value and text
 * @property {boolean} [styles] only shown for models with several styles
 * @property {boolean} [form] only shown for models that read the form
 */

/** @type {[number, string][]} Words for temperatures from this value on. */
const BOLDNESS = [
  [0, "very careful"],
  [0.8, "careful"],
  [0.95, "natural"],
  [1.06, "bold"],
  [1.25, "wild"],
];

/** @type {Field[]} */
export const FIELDS = [
  {
    name: "temperature",
    label: "Adventurousness",
    help: "Left: the likeliest notes, safe and plain. Right: surprises, and wrong turns.",
    kind: "range",
    value: 1,
    limits: { min: 0.5, max: 1.5, step: 0.05 },
  },
  {
    name: "bars",
    label: "Length in bars",
    help: "How many bars Compose and Continue write.",
    kind: "number",
    value: 8,
    limits: { min: 1, max: 64, step: 1 },
  },
  {
    name: "key",
    label: "Key",
    help: "Any: the composer picks. Auto: that of the music. Notes outside it become rare.",
    kind: "select",
    value: "",
    options: [["", "any"], ["auto", "auto"], ...KEYS.map((key) => /** @type {[string, string]} */ ([key, pretty(key)]))],
  },
  {
    name: "chords",
    label: "Chords",
    help: "One for each bar, in turn, such as C G Am F. Empty: the composer chooses.",
    kind: "text",
    value: "",
    limits: { placeholder: "C G Am F", autocomplete: "off", spellcheck: "false" },
  },
  {
    name: "form",
    label: "Form",
    help: "A letter for each section, such as AABA: the same letter is the same music. Empty: the composer chooses; free: no plan.",
    kind: "text",
    value: "",
    limits: { placeholder: "AABA", autocomplete: "off", spellcheck: "false" },
    form: true,
  },
  {
    name: "style",
    label: "Style",
    help: "Whose music it should resemble.",
    kind: "select",
    value: "",
    styles: true,
  },
  {
    name: "style_other",
    label: "Mixed with",
    help: "A second style, mixed into the first.",
    kind: "select",
    value: "",
    styles: true,
  },
  {
    name: "balance",
    label: "Share of the second",
    help: "How much of the second style is in the mixture.",
    kind: "range",
    value: 50,
    limits: { min: 0, max: 100, step: 5 },
    styles: true,
  },
  {
    name: "candidates",
    label: "Candidates",
    help: "How many pieces to write side by side; hear them and keep one.",
    kind: "select",
    value: "1",
    options: [["1", "1"], ["2", "2"], ["3", "3"], ["4", "4"]],
  },
  {
    name: "ending",
    label: "Lead to an ending",
    help: "The piece ends in its last bar. Otherwise it stays open: Continue goes on with it.",
    kind: "checkbox",
    value: true,
  },
  {
    name: "listen",
    label: "Play while it composes",
    help: "Playback starts with the first bar.",
    kind: "checkbox",
    value: true,
  },
  {
    name: "seed",
    label: "Seed",
    help: "The same seed and settings give the same piece again.",
    kind: "number",
    value: 1,
    limits: { min: 0, max: 2147483647, step: 1 },
  },
  {
    name: "fresh",
    label: "New seed each time",
    help: "Each click gives another piece.",
    kind: "checkbox",
    value: true,
  },
];

/** @returns {Settings} */
export function defaults() {
  return Object.fromEntries(FIELDS.map((field) => [field.name, field.value]));
}

/** The meaning of a slider's value. @param {string} name @param {Settings} settings */
function meaning(name, settings) {
  const value = Number(settings[name]);
  if (name === "temperature") return BOLDNESS.findLast(([from]) => value >= from)?.[1] ?? "";
  if (name === "balance") {
    return `${100 - value} % ${settings.style}, ${value} % ${settings.style_other}`;
  }
  return "";
}

export class Form {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.box = find("settings", HTMLElement);
    this.box.append(...FIELDS.map((field) => this.row(field)));
    store.on(["settings"], () => this.show());
    this.show();
  }

  /** @param {Field} field */
  row(field) {
    const id = `set-${field.name}`;
    const told = { id, title: field.help, "aria-describedby": `${id}-help` };
    const input = field.kind === "select"
      ? make("select", told)
      : make("input", { ...told, type: field.kind, ...field.limits });
    input.addEventListener("input", () => this.take(field, input));
    input.addEventListener("blur", () => this.show());
    const help = make("span", { class: "help", id: `${id}-help`, role: "note" }, field.help);
    const hint = make("span", { class: "hint" }, make("span", { class: "mark", tabindex: 0, "aria-label": `Help: ${field.label}`, "aria-describedby": `${id}-help`, role: "img" }, "?"), help);
    const label = make("label", { for: id }, field.label);
    const output = field.kind === "range" ? [make("output", { for: id })] : [];
    return make("div", { class: `field ${field.kind}`, id: `${id}-row` }, label, hint, input, ...output);
  }

  /** @param {Field} field @param {HTMLInputElement | HTMLSelectElement} input */
  take(field, input) {
    const { settings } = this.store;
    if (input instanceof HTMLInputElement && field.kind === "checkbox") {
      settings[field.name] = input.checked;
    } else if (field.kind === "number" || field.kind === "range") {
      const { min = 0, max = 0 } = field.limits ?? {};
      const value = Number(input.value);
      const whole = field.kind === "number" ? Math.round(value) : value;
      const known = Number.isFinite(value) && input.value !== "";
      settings[field.name] = known ? Math.min(Number(max), Math.max(Number(min), whole)) : field.value;
    } else {
      settings[field.name] = input.value;
    }
    this.store.tell("settings");
  }

  show() {
    const { settings, model } = this.store;
    const styles = model?.styles ?? [];
    for (const field of FIELDS) {
      const input = document.getElementById(`set-${field.name}`);
      if (input instanceof HTMLSelectElement) this.fill(input, field, styles);
      if (input instanceof HTMLInputElement && field.kind === "checkbox") {
        input.checked = Boolean(settings[field.name]);
      } else if (input instanceof HTMLSelectElement) {
        input.value = String(settings[field.name]);
      } else if (input instanceof HTMLInputElement && input !== document.activeElement) {
        // Do not change the field that is being edited.
        input.value = String(settings[field.name]);
      }
      const row = find(`set-${field.name}-row`, HTMLElement);
      row.hidden = (!!field.styles && styles.length < 2) || (!!field.form && !model?.form);
      if (field.name === "balance") row.hidden ||= !settings.style || !settings.style_other;
      if (field.name === "style_other") row.hidden ||= !settings.style;
      const output = row.querySelector("output");
      if (output) output.textContent = meaning(field.name, settings);
    }
  }

  /** @param {HTMLSelectElement} select @param {Field} field @param {string[]} styles */
  fill(select, field, styles) {
    const none = field.name === "style" ? "as it comes" : "nothing";
    const named = styles.map((name) => /** @type {[string, string]} */ ([name, name]));
    const options = field.options ?? [["", none], ...named];
    if (select.options.length === options.length) return;
    select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  }
}
