// Scores: immutable values; each edit makes a new one.

/** @import {Note, Range, Score, Track} from "./types.js" */

export const LOWEST = 21;
export const HIGHEST = 108;
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

/** @type {Track[]} */
const ONE_TRACK = [{ name: "piano", program: 0, is_drum: false }];

/**
 * Bars of silence.
 * @param {Track[]} tracks
 * @param {number} bars
 * @param {string} metre
 * @param {number} tempo
 * @returns {Score}
 */
export function silence(tracks, bars = 8, metre = "4/4", tempo = 96) {
  const score = {
    tracks: tracks.length ? tracks : ONE_TRACK,
    notes: [],
    num_steps: 0,
    steps_per_quarter: 4,
    metre,
    tempo,
    pickup: 0,
  };
  return { ...score, num_steps: bars * barSteps(score) };
}

/**
 * Whether a value from a link or from the browser's storage is a score.
 * @param {any} value
 * @returns {value is Score}
 */
export function isScore(value) {
  return (
    Array.isArray(value?.tracks) &&
    value.tracks.length > 0 &&
    Array.isArray(value.notes) &&
    value.notes.every(
      (/** @type {any} */ note) =>
        value.tracks[note.track] && note.duration > 0 && note.start >= 0 && note.pitch >= 0,
    ) &&
    value.num_steps > 0 &&
    value.steps_per_quarter > 0 &&
    value.tempo > 0 &&
    /^\d+\/\d+$/.test(value.metre)
  );
}

/**
 * Steps of a bar in the initial metre.
 * @param {{metre: string, steps_per_quarter: number}} score
 */
export function barSteps({ metre, steps_per_quarter }) {
  const [count, unit] = metre.split("/").map(Number);
  return Math.max(1, Math.round((4 * steps_per_quarter * count) / unit));
}

/**
 * Steps of a beat: a dotted quarter in 6/8, 9/8 and 12/8.
 * @param {{metre: string, steps_per_quarter: number}} score
 */
export function beatSteps(score) {
  const [count, unit] = score.metre.split("/").map(Number);
  const beat = (4 * score.steps_per_quarter) / unit;
  return Math.max(1, unit === 8 && count % 3 === 0 ? 3 * beat : beat);
}

/** @type {WeakMap<Score, number[]>} */
const known = new WeakMap();

/**
 * The first step of each bar; a pickup is a bar of its own.
 * @param {Score} score
 * @returns {number[]}
 */
export function barStarts(score) {
  const found = known.get(score);
  if (found) return found;
  const changes = [...(score.metre_changes ?? [])].sort((a, b) => a.step - b.step);
  const starts = score.pickup ? [0] : [];
  let length = barSteps(score);
  for (let step = score.pickup; step < score.num_steps; step += length) {
    while (changes.length && changes[0].step <= step) {
      length = barSteps({ ...score, metre: changes[0].metre });
      changes.shift();
    }
    starts.push(step);
  }
  known.set(score, starts);
  return starts;
}

/** The index of a step's bar among the starts. @param {Score} score @param {number} step */
function barPlace(score, step) {
  return Math.max(0, barStarts(score).findLastIndex((start) => start <= step));
}

/**
 * A bar's number as musicians count: the first whole one is 1, a pickup 0.
 * @param {Score} score
 * @param {number} step
 */
export function barNumber(score, step) {
  return barPlace(score, step) + (score.pickup ? 0 : 1);
}

/**
 * The whole bars that contain two steps.
 * @param {Score} score
 * @param {number} first
 * @param {number} last
 * @returns {Range}
 */
export function barsAround(score, first, last) {
  const starts = barStarts(score);
  const from = starts[barPlace(score, Math.min(first, last))];
  const to = starts[barPlace(score, Math.max(first, last)) + 1] ?? score.num_steps;
  return { from, to };
}

/**
 * Bar and beat of a step, as shown: 3.2. The beats of a pickup are the last of a bar.
 * @param {Score} score
 * @param {number} step
 */
export function place(score, step) {
  const start = barStarts(score)[barPlace(score, step)] ?? 0;
  const before = score.pickup && start === 0 ? barSteps(score) - score.pickup : 0;
  return `${barNumber(score, step)}.${Math.floor((step - start + before) / beatSteps(score)) + 1}`;
}

/** @param {number} pitch */
export function pitchName(pitch) {
  return `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
}

/** @param {number} pitch */
export const isBlack = (pitch) => [1, 3, 6, 8, 10].includes(pitch % 12);

/**
 * Seconds per step.
 * @param {Score} score
 */
export const secondsPerStep = (score) => 60 / score.tempo / score.steps_per_quarter;

/**
 * The notes of a part.
 * @param {Score} score
 * @param {number} track
 */
export const notesOf = (score, track) => score.notes.filter((note) => note.track === track);

/**
 * Whether a score has no notes.
 * @param {Score} score
 */
export const isEmpty = (score) => score.notes.length === 0;

/**
 * The score extended to a whole bar, so that it includes all of its notes.
 * @param {Score} score
 * @returns {Score}
 */
export function fitted(score) {
  const end = Math.max(0, ...score.notes.map((note) => note.start + note.duration));
  if (end <= score.num_steps) return score;
  const last = barStarts(score).at(-1) ?? 0;
  const length = Math.max(1, score.num_steps - last);
  return { ...score, num_steps: last + Math.ceil((end - last) / length) * length };
}

/**
 * The score with some notes replaced.
 * @param {Score} score
 * @param {Iterable<Note>} old
 * @param {Note[]} put
 */
export function replaceNotes(score, old, put) {
  const gone = new Set(old);
  const kept = score.notes.filter((note) => !gone.has(note));
  return fitted({ ...score, notes: [...kept, ...put] });
}

/**
 * Notes moved together in time and pitch, as far as all of them stay on the roll.
 * @param {Note[]} notes
 * @param {number} steps
 * @param {number} semitones
 */
export function moved(notes, steps, semitones) {
  const right = Math.max(steps, -Math.min(...notes.map((note) => note.start)));
  const pitches = notes.map((note) => note.pitch);
  const up = Math.min(
    Math.max(semitones, LOWEST - Math.min(...pitches)),
    HIGHEST - Math.max(...pitches),
  );
  return notes.map((note) => ({ ...note, start: note.start + right, pitch: note.pitch + up }));
}

/**
 * Notes made longer or shorter; each lasts at least one step.
 * @param {Note[]} notes
 * @param {number} steps
 */
export function resized(notes, steps) {
  return notes.map((note) => ({ ...note, duration: Math.max(1, note.duration + steps) }));
}
