// The chords that a request asks for: as `read_chords` and `chord_numbers` in theory.py
// of poph_tf, `_chords` in its generation/request.py and `chords_of` in conditions.py.

/** @import {Body, Network, Task} from "./task.js" */

const CLASSES = 12;
// Major, minor and diminished.
const TRIADS = [[0, 4, 7], [0, 3, 7], [0, 3, 6]];
const SHARPS = /** @type {Record<string, number>} */ ({ "": 0, "#": 1, b: -1 });

/**
 * Reads chords such as C G7 Am.
 * @param {string} text @param {Network} network
 * @returns {{inside: Set<number>, number: number}[]} the pitch classes of each, and 1 +
 *   its number among the triads on all roots, one more for none of them
 */
function readChords(text, { tonics, chord_kinds }) {
  const words = text.replaceAll(",", " ").split(/\s+/).filter(Boolean);
  return words.map((word) => {
    const [, letter = "", sharp = "", kind = ""] = /^([A-G])([#b]?)(.*)$/.exec(word) ?? [];
    const inside = chord_kinds[kind];
    if (letter && inside) {
      const root = (tonics[letter] + SHARPS[sharp] + CLASSES) % CLASSES;
      const found = TRIADS.findIndex((triad) => triad.every((tone) => inside.includes(tone)));
      const triad = found < 0 ? TRIADS.length * CLASSES : found * CLASSES + root;
      return { inside: new Set(inside.map((semitones) => (root + semitones) % CLASSES)), number: 1 + triad };
    }
    const kinds = Object.keys(chord_kinds).filter(Boolean).join(", ");
    throw new Error(`chords must be roots and one of ${kinds}, such as 'C G7 Am F', got '${word}'.`);
  });
}

/**
 * The chord of each drawn step, one for each bar, in turn: what the network is told, and
 * what is added to the pitches.
 * @param {Task} task @param {Body} body @param {Network} network
 * @returns {(step: number) => {chord: number, pitch_bias: Float32Array | number}} at a step
 */
export function chordsOf({ position, start }, { chords = "" }, network) {
  const { min_pitch, num_pitches, controls } = network;
  const named = readChords(chords, network).map(({ inside, number }) => {
    const bias = (/** @type {number} */ k) => (inside.has((min_pitch + k) % CLASSES) ? 0 : -controls.key_strength);
    return { chord: number, pitch_bias: Float32Array.from({ length: num_pitches }, (_, k) => bias(k)) };
  });
  let bar = -1;
  const bars = position.map((place, step) => Math.max(0, step >= start && place === 0 ? ++bar : bar));
  return (step) => (step < start ? undefined : named[bars[step] % named.length]) ?? { chord: 0, pitch_bias: 0 };
}
