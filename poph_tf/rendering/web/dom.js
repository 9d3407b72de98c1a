// Finds and makes elements. Text is inserted as text, never as markup.

/**
 * The element with this id.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function find(id, kind) {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`The page has no ${kind.name} #${id}.`);
}

/** @param {string} id */
export const button = (id) => find(id, HTMLButtonElement);

/**
 * Makes an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean>} [attributes] false leaves one out
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/**
 * Shows whether a toggle button is pressed.
 * @param {HTMLButtonElement} element
 * @param {boolean} on
 */
export function press(element, on) {
  element.setAttribute("aria-pressed", String(on));
}

/**
 * Shows a message in the status line, which is a live region.
 * @param {string} text
 * @param {boolean} [wrong]
 */
export function say(text, wrong = false) {
  const status = find("status", HTMLElement);
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

/**
 * Tells screen readers only; others see it in the picture.
 * @param {string} text
 */
export function whisper(text) {
  find("whisper", HTMLElement).textContent = text;
}

/**
 * Runs work that can fail because of the user or the server, and shows the error.
 * @param {() => unknown} work
 */
export async function tried(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error.name !== "AbortError") say(error.message, true);
  }
}

/** A count with its noun: 1 note, 2 notes. @param {number} number @param {string} what */
export const counted = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
