// Talks to the page's server: JSON, files, and bars as they are drawn.

/** @import {Model, Note, Score, Track} from "./types.js" */
/**
 * A drawn bar; tied notes continue from the previous bar.
 * @typedef {object} Bar
 * @property {number} candidate
 * @property {number} start
 * @property {number} num_steps
 * @property {(Note & {tied?: boolean})[]} notes
 */
/** A composed score; the key is empty if the network gets none. @typedef {Score & {seed: number, key: string}} Piece */
/**
 * @typedef {object} Answer
 * @property {Piece[]} pieces
 * @property {string[]} [changes] what was changed in the music, a sentence each
 */

/** The file formats that the server writes. */
export const FORMATS = ["mid", "musicxml", "wav", "png", "pdf", "svg"];
const MOST_TRIES = 120;
const TRY_MILLISECONDS = 500;

/**
 * Sends a request; throws an Error with a message for the user.
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function send(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") throw error;
    throw new Error("The server does not answer; is it running?");
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  const wait = response.headers.get("Retry-After");
  const busy = [429, 503].includes(response.status);
  const again = busy && wait ? ` Try again in ${wait} s.` : "";
  throw new Error(sentence(answer.error, response.status) + again);
}

/** @param {string} path @param {(sentence: string) => void} waiting */
async function untilReady(path, waiting) {
  for (let left = MOST_TRIES; left > 0; left--) {
    const response = await fetch(path).catch(() => null);
    if (response?.status !== 503) break;
    waiting(sentence((await response.json().catch(() => ({}))).error, 503));
    await new Promise((resolve) => setTimeout(resolve, TRY_MILLISECONDS));
  }
  return send(path);
}

/** @param {unknown} error @param {number} status */
function sentence(error, status) {
  return typeof error === "string" ? error : `The server answered with code ${status}.`;
}

/**
 * @param {string} path
 * @param {unknown} body
 * @param {Record<string, string>} [headers]
 * @param {AbortSignal} [signal]
 */
function post(path, body, headers = {}, signal = undefined) {
  return send(path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", ...headers },
    signal,
  });
}

/**
 * The models, the default first; a server that has just started is still loading them.
 * @param {(sentence: string) => void} waiting called meanwhile
 * @returns {Promise<Model[]>}
 */
export async function models(waiting) {
  const list = await (await untilReady("v1/models", waiting)).json();
  return list.map((/** @type {any} */ model) => ({
    ...model,
    tracks: model.tracks.map((/** @type {Track} */ { name, program = 0, is_drum = false }) => ({ name, program, is_drum })),
  }));
}

/**
 * Composes; passes on each bar when it arrives.
 * @param {string} task
 * @param {unknown} body
 * @param {(bar: Bar) => void} onBar
 * @param {AbortSignal} signal aborting it also cancels the work on the server
 * @returns {Promise<Answer>}
 */
export async function compose(task, body, onBar, signal) {
  const response = await post(`v1/${task}`, body, { Accept: "text/event-stream" }, signal);
  for await (const { name, data } of events(response)) {
    if (name === "bar") onBar(data);
    if (name === "error") throw new Error(sentence(data.error, 500));
    if (name === "done") return data;
  }
  throw new Error("The server stopped before the piece was complete.");
}

/**
 * Reads server-sent events, since EventSource cannot POST.
 * @param {Response} response
 * @returns {AsyncGenerator<{name: string, data: any}>}
 */
export async function* events(response) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (reader) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r\n", "\n");
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) {
      const lines = part.split("\n");
      const field = (/** @type {string} */ name) =>
        lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim());
      const data = field("data").join("\n");
      if (data) yield { name: field("event")[0] ?? "message", data: JSON.parse(data) };
    }
  }
}

/**
 * Reads a music file; also returns what was changed to fit the grid.
 * @param {File} file @returns {Promise<{score: Score, changes: string[]}>}
 */
export async function read(file) {
  const body = new FormData();
  body.append("music", file);
  const response = await send("v1/read", { method: "POST", body });
  return { score: await response.json(), changes: JSON.parse(response.headers.get("X-Changes") ?? "[]") };
}

/**
 * A score as a file.
 * @param {Score} score @param {string} format @param {number} [width] pixels, for svg
 * @returns {Promise<Blob>}
 */
export async function render(score, format, width) {
  return (await post("v1/render", { music: score, format, width })).blob();
}
