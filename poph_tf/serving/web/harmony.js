// Names chords and keys, for the labels above the roll.

import { barStarts, beatSteps } from "./score.js";

/** @import {Note, Score} from "./types.js" */
/** @typedef {{start: number, end: number, name: string}} Chord steps, and a name such as E♭m7 */

/** Semitones above the root, and the suffix after its name. @type {[number[], string][]} */
const KINDS = [
  [[0, 4, 7], ""],
  [[0, 3, 7], "m"],
  [[0, 4, 7, 10], "7"],
  [[0, 3, 7, 10], "m7"],
  [[0, 4, 7, 11], "maj7"],
  [[0, 3, 6], "°"],
  [[0, 3, 6, 10], "ø7"],
  [[0, 4, 8], "+"],
  [[0, 5, 7], "sus4"],
];
// How much more of the sound a chord must explain per extra note.
const COST_OF_A_NOTE = 0.06;
// One note of a chord may be missing, but not two.
const COST_OF_A_GAP = 0.25;
const LEAST_FIT = 0.6;
// Krumhansl and Kessler (1982): how well each pitch class fits a key, from its tonic.
const MAJOR = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88];
const MINOR = [6.33, 2.68, 3.52, 5.38, 2.6, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17];

export const TRIADS = [[0, 4, 7], [0, 3, 7]];
// What the lowest note of the last chord adds to the correlation.
const [LAST_IS_TONIC, LAST_IN_TRIAD] = [0.5, 0.2];
/** The tonics of the keys; the names with fewer accidentals. @type {[string, string[]][]} */
const TONICS = [
  ["major", ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]],
  ["minor", ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"]],
];
/** As the server names them, the major ones first. */
export const KEYS = TONICS.flatMap(([mode, tonics]) => tonics.map((tonic) => `${tonic} ${mode}`));

// The letters by fifths; C is at 0 on the line of fifths, G at 1, B♭ at -2.
const BY_FIFTHS = "FCGDAEB";
// What musicians write: C♭ and B♯ where they lead by step, no F♭ and no double sharps.
const [FLATTEST, SHARPEST] = [-7, 12];
// The notes of C minor and C major by fifths, with D♭ and F♯, begin this far below C.
const CHROMATIC = -5;
// A diminished chord stands on a leading note of the scale: C♯° before Dm in C major.
const LEADING = -1;

const mod = (/** @type {number} */ a, /** @type {number} */ b) => ((a % b) + b) % b;

/**
 * A pitch class as it is written in a key.
 * @param {number} pitchClass
 * @param {number} key 0 to 23; unknown (-1) is treated as C major
 * @param {boolean} leading whether it is the root of a diminished chord
 */
function spelled(pitchClass, key, leading) {
  const minor = key >= TONICS[0][1].length;
  const [letter, sign] = KEYS[Math.max(0, key)];
  const tonic = BY_FIFTHS.indexOf(letter) - 1 + ({ b: -7, "#": 7 }[sign] ?? 0);
  const lowest = tonic + (leading ? LEADING - (minor ? 3 : 0) : CHROMATIC);
  let place = lowest + mod(7 * pitchClass - lowest, 12);
  if (place < FLATTEST) place += 12;
  if (place > SHARPEST) place -= 12;
  const signs = Math.floor((place + 1) / 7);
  return BY_FIFTHS[mod(place + 1, 7)] + (signs < 0 ? "♭" : "♯").repeat(Math.abs(signs));
}

/** @param {string} key */
export function pretty(key) {
  return key.replace("b ", "♭ ").replace("#", "♯");
}

/**
 * How long each of the 12 classes sounds between two steps.
 * @param {Note[]} notes
 * @param {number} from
 * @param {number} to
 */
function weights(notes, from, to) {
  const sums = new Array(12).fill(0);
  for (const { pitch, start, duration } of notes) {
    sums[pitch % 12] += Math.max(0, Math.min(to, start + duration) - Math.max(from, start));
  }
  return sums;
}

/** All notes except drums. @param {Score} score */
function tunedNotes({ notes, tracks }) {
  return notes.filter(({ track }) => !tracks[track]?.is_drum);
}

/**
 * The chord that explains most of the sound; empty if none does.
 * @param {number[]} sums
 * @param {number} bass pitch class of the lowest note
 * @param {number} key which spells the name, as in `spelled`
 */
export function nameChord(sums, bass, key) {
  const total = sums.reduce((sum, value) => sum + value, 0);
  let [best, name] = [LEAST_FIT, ""];
  if (sums.filter((value) => value > 0.02 * total).length < 2) return "";
  for (let root = 0; root < 12; root++) {
    if (!sums[root]) continue;
    for (const [classes, suffix] of KINDS) {
      const found = classes.map((semitones) => sums[(root + semitones) % 12] / total);
      const missing = found.filter((share) => share === 0).length;
      const fit = found.reduce((sum, share) => sum + share, 0) - COST_OF_A_GAP * missing;
      const rooted = root === bass ? 0.05 : 0;
      const score = fit - COST_OF_A_NOTE * (classes.length - 3) + rooted;
      if (score > best) [best, name] = [score, spelled(root, key, classes[2] === 6) + suffix];
    }
  }
  return name;
}

/**
 * A chord for each beat; consecutive equal chords are merged.
 * @param {Score} score
 * @param {number} key which spells the names, as in `spelled`
 * @returns {Chord[]}
 */
export function chords(score, key) {
  const span = beatSteps(score);
  /** @type {Chord[]} */
  const found = [];
  const tuned = tunedNotes(score);
  const starts = barStarts(score);
  for (const [k, first] of starts.entries()) {
    for (let start = first; start < (starts[k + 1] ?? score.num_steps); start += span) {
      const here = tuned.filter((n) => n.start < start + span && n.start + n.duration > start);
      if (!here.length) continue;
      const bass = Math.min(...here.map((note) => note.pitch)) % 12;
      const name = nameChord(weights(here, start, start + span), bass, key);
      const last = found.at(-1);
      if (last?.name === name && last.end === start) last.end = start + span;
      else if (name) found.push({ start, end: start + span, name });
    }
  }
  return found;
}

/**
 * The key that a score sounds in: 0 to 23; -1 if fewer than four pitch classes sound.
 * @param {Score} score
 */
export function keyOf(score) {
  const notes = tunedNotes(score);
  const sums = weights(notes, 0, score.num_steps);
  if (sums.filter(Boolean).length < 4) return -1;
  const end = notes.reduce((latest, { start, duration }) => Math.max(latest, start + duration), 0);
  const last = notes.filter(({ start, duration }) => start + duration === end);
  return findKey(sums, ofEnding(Math.min(...last.map(({ pitch }) => pitch))));
}

/**
 * What the lowest note of the last chord says about a key, like `key_endings` in
 * poph_tf's theory.py.
 * @param {number} lowest
 * @returns {(mode: number, tonic: number) => number}
 */
export function ofEnding(lowest) {
  const added = [LAST_IS_TONIC, LAST_IN_TRIAD, LAST_IN_TRIAD];
  return (mode, tonic) => added[TRIADS[mode].indexOf((lowest - tonic + 12) % 12)] ?? 0;
}

/**
 * The key whose profile fits the notes best, with prior knowledge: 0 to 23; -1 if all
 * classes sound equally long.
 * @param {number[]} sums how long each class sounds
 * @param {(mode: number, tonic: number) => number} known added to the correlation
 */
export function findKey(sums, known) {
  let [best, found] = [-Infinity, -1];
  if (sums.every((sum) => sum === sums[0])) return found;
  for (const [mode, profile] of [MAJOR, MINOR].entries()) {
    for (let tonic = 0; tonic < 12; tonic++) {
      const turned = sums.map((_, k) => sums[(k + tonic) % 12]);
      const fit = correlation(turned, profile) + known(mode, tonic);
      if (fit > best) [best, found] = [fit, tonic + 12 * mode];
    }
  }
  return found;
}

/**
 * @param {number[]} a
 * @param {number[]} b
 */
function correlation(a, b) {
  const mean = (/** @type {number[]} */ values) => values.reduce((x, y) => x + y, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, squareA, squareB] = [0, 0, 0];
  a.forEach((value, k) => {
    both += (value - meanA) * (b[k] - meanB);
    squareA += (value - meanA) ** 2;
    squareB += (b[k] - meanB) ** 2;
  });
  return both / Math.sqrt(squareA * squareB || 1);
}
