// Replaces the studio's module of this name, which talks to a server: here a web worker
// composes, and the page writes the files.

import { midi, readMidi } from "./midi.js";

/** @import {Answer, Bar} from "../../../poph_tf/serving/web/api.js" */
/** @import {Model, Score} from "./types.js" */

/** The file formats that the page writes. */
export const FORMATS = ["mid"];
const TASKS = ["compose", "continue", "harmonize", "accompany", "infill", "vary", "reharmonize"];
const NEEDS_SERVER = "needs the server: install poph_tf and run python -m poph_tf.serve.";

const worker = new Worker(new URL("worker.js", import.meta.url));
let asked = 0;
/** A request and the first bars of its response, which play while the worker is loading. @type {{body: {seed: number}, bar: Bar}} */
let opening;

/** @param {(sentence: string) => void} waiting @returns {Promise<Model[]>} */
export async function models(waiting) {
  waiting("Loading the composer…");
  const network = await (await fetch(new URL("../model/network.json", import.meta.url))).json();
  ({ opening } = network);
  const max_pitch = network.min_pitch + network.num_pitches - 1;
  return [{ ...network, tasks: TASKS, max_pitch, first_seed: opening.body.seed }];
}

/**
 * Composes; passes on each bar when it arrives.
 * @param {string} kind
 * @param {any} body
 * @param {(bar: Bar) => void} onBar
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 */
export function compose(kind, body, onBar, signal) {
  const id = ++asked;
  const { model, tempo_qpm, ...asks } = body;
  const known = kind === "compose" && JSON.stringify(asks) === JSON.stringify(opening.body);
  const told = known ? opening.bar.num_steps : 0;
  if (known) onBar(opening.bar);
  return new Promise((resolve, reject) => {
    /** @param {MessageEvent} event */
    const hear = ({ data }) => {
      if (data.id !== id) return;
      if (data.bar?.start < told) return;
      if (data.bar) return onBar(data.bar);
      end();
      if (data.error) reject(new Error(data.error));
      else resolve({ changes: [], ...data.answer });
    };
    const cancel = () => {
      worker.postMessage({ id: 0 });
      end();
      reject(new DOMException("Cancelled.", "AbortError"));
    };
    const end = () => {
      worker.removeEventListener("message", hear);
      signal.removeEventListener("abort", cancel);
    };
    worker.addEventListener("message", hear);
    signal.addEventListener("abort", cancel);
    worker.postMessage({ id, kind, body });
  });
}

/** Reads a MIDI file. @param {File} file @returns {Promise<{score: Score, changes: string[]}>} */
export async function read(file) {
  if (!/\.midi?$/i.test(file.name)) throw new Error(`Reading ${file.name} ${NEEDS_SERVER}`);
  return readMidi(new Uint8Array(await file.arrayBuffer()), file.name);
}

/** A score as a file. @param {Score} score @param {string} format @returns {Promise<Blob>} */
export async function render(score, format) {
  if (format !== "midi") throw new Error(`The score view ${NEEDS_SERVER}`);
  return new Blob([midi(score)], { type: "audio/midi" });
}
