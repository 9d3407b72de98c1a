// The chords that a request asks for, like `read_chords` in poph_tf's named_chords.py and
// `_chords` in its generation/request.py.

/** @import {Body, Network, Task} from "./task.js" */

const CLASSES = 12;
const SHARPS = /** @type {Record<string, number>} */ ({ "": 0, "#": 1, b: -1 });

/**
 * Reads chords such as C G7 Am.
 * @param {string} text @param {Network} network
 * @returns {Set<number>[]} the pitch classes of each, its root first
 */
export function readChords(text, { tonics, chord_kinds }) {
  const plain = text.replaceAll("♭", "b").replaceAll("♯", "#").replaceAll(/[,|]/g, " ");
  const words = plain.split(/\s+/).filter(Boolean);
  return words.map((word) => {
    const [, letter = "", sharp = "", kind = ""] = /^([A-G])([#b]?)([^/]*)(?:\/[A-G][#b]?)?$/.exec(word) ?? [];
    const inside = chord_kinds[kind];
    if (letter && inside) {
      const root = tonics[letter] + SHARPS[sharp] + CLASSES;
      return new Set(inside.map((semitones) => (root + semitones) % CLASSES));
    }
    const kinds = Object.keys(chord_kinds).filter(Boolean).join(", ");
    throw new Error(`chords must be roots and one of ${kinds}, such as 'C G7 Am F', got '${word}'.`);
  });
}

/**
 * What the chord of each drawn step adds to the pitches; one chord per bar, in turn.
 * @param {Task} task @param {Body} body @param {Network} network
 * @returns {(step: number) => Float32Array | number} at a step
 */
export function chordBias({ position, start }, { chords = "" }, network) {
  const { min_pitch, num_pitches, controls } = network;
  const biases = readChords(chords, network).map((inside) => {
    const bias = (/** @type {number} */ k) => (inside.has((min_pitch + k) % CLASSES) ? 0 : -controls.key_strength);
    return Float32Array.from({ length: num_pitches }, (_, k) => bias(k));
  });
  let bar = -1;
  const bars = position.map((place, step) => Math.max(0, step >= start && place === 0 ? ++bar : bar));
  return (step) => biases[bars[step] % biases.length] ?? 0;
}
