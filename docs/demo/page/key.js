// The key given to the network, like poph_tf's generation/conditions.py.

import { readChords } from "./chords.js";
import { findKey, KEYS, ofEnding, TRIADS } from "./harmony.js";
import { philox } from "./uniforms.js";
import { REST } from "./voices.js";

/** @import {Body, Network, Task} from "./task.js" */

const CLASSES = 12;
const KEY_COUNTER = 1;
// Semitones above the tonic that are outside the major scale, outside both minor ones.
const OUTSIDE = [[1, 3, 6, 8, 10], [1, 4, 6, 9]];
const TONIC = 0.1;
// As in theory.py.
const [FIRST_COUNTS, LAST_COUNTS] = [0.3, 0.1];

/**
 * The requested key, that of the given notes or of the chords, or a drawn one: 0 to 23,
 * -1 if unknown.
 * @param {Task} task @param {Body} body @param {number} seed @param {Network} network
 */
export function keyOf(task, { key = "", music, chords = "" }, seed, network) {
  if (key && key !== "auto") return KEYS.indexOf(key);
  if (music) return keyOfGiven(task);
  if (chords.trim()) return keyOfChords(readChords(chords, network));
  const [bits] = philox([0, 0, 0, KEY_COUNTER], [seed, 0]);
  return Math.floor(((bits >>> 8) * KEYS.length) / 2 ** 24);
}

/** The key of the given notes. @param {Task} task */
function keyOfGiven({ voices, free, score, position, looksAhead }) {
  const count = score.tracks.length;
  const counts = new Array(CLASSES).fill(0);
  /** @type {number[]} */
  const lowest = [];
  const lastBar = position.lastIndexOf(0);
  // If the given notes stop before the last bar, they have no ending.
  let ended = false;
  for (let step = 0; step < score.num_steps; step++) {
    const sounding = new Set();
    for (let place = step * count; place < (step + 1) * count; place++) {
      if (!free[place] && voices.pitch[place] !== REST) sounding.add(voices.pitch[place]);
    }
    for (const pitch of sounding) counts[pitch % CLASSES] += 1;
    if (!sounding.size) continue;
    lowest.push(Math.min(...sounding));
    ended = looksAhead && step >= lastBar;
  }
  const [first, last] = [lowest[0], lowest[lowest.length - 1]].map(ofEnding);
  if (ended) return findKey(counts, last);
  return findKey(counts, (mode, tonic) => FIRST_COUNTS * first(mode, tonic) + LAST_COUNTS * last(mode, tonic));
}

/** Like `key_of_chords` in poph_tf's named_chords.py. @param {Set<number>[]} chords */
function keyOfChords(chords) {
  const tones = chords.flatMap((inside) => [...inside]);
  const counts = Array.from({ length: CLASSES }, (_, k) => tones.filter((tone) => tone === k).length);
  return findKey(counts, (mode, tonic) => {
    const turned = (/** @type {number} */ semitones) => (tonic + semitones) % CLASSES;
    const outside = OUTSIDE[mode].map((semitones) => counts[turned(semitones)]).reduce((a, b) => a + b);
    const isTonic = (/** @type {Set<number>} */ inside) =>
      [...inside][0] === tonic && TRIADS[mode].every((semitones) => inside.has(turned(semitones)));
    const times = [chords[0], chords[chords.length - 1]].filter(isTonic).length + Number(chords.some(isTonic));
    return TONIC * times - outside / tones.length;
  });
}
