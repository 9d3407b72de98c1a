// What a request leaves to draw: which steps of which voices are free, where the bars
// are, and how many are left. Like poph_tf's generation/track_tasks.py.

import { barNumber, barStarts, barSteps, silence } from "./score.js";
import { REST, Voices } from "./voices.js";

/** @import {Score, Track} from "./types.js" */
/**
 * What the browser knows about the network.
 * @typedef {object} Network
 * @property {string} name
 * @property {Track[]} tracks
 * @property {string[]} styles
 * @property {number} min_pitch
 * @property {number} num_pitches
 * @property {Record<string, number>} controls defaults
 * @property {Record<string, number>} tonics pitch class of each letter
 * @property {Record<string, number[]>} chord_kinds semitones above the root
 */
/** @typedef {{track: string, start: number, end: number}} Lasso */
/**
 * The body of a request, as the page sends it to a server.
 * @typedef {object} Body
 * @property {number} seed
 * @property {number} candidates
 * @property {number} temperature
 * @property {number} tempo_qpm
 * @property {number} [num_bars]
 * @property {string} [metre]
 * @property {string} [key]
 * @property {string} [chords]
 * @property {boolean} [ending]
 * @property {Score} [music]
 * @property {string[]} [map]
 * @property {string[]} [given]
 * @property {(string | Lasso)[]} [draw]
 * @property {string} [bars]
 */
/**
 * @typedef {object} Task
 * @property {Score} score the whole score, with the given notes
 * @property {Voices} voices
 * @property {Uint8Array} free 1 where the network draws, [step, track]
 * @property {Int32Array} position of each step in its bar
 * @property {Int32Array} left bars from each step's to the last; -1 unknown
 * @property {number} start the first step with something free
 * @property {number} stop the step after the last
 * @property {boolean} looksAhead whether later given notes count
 */

/** @param {string} kind @param {Body} body @param {Network} network @returns {Task} */
export function task(kind, body, network) {
  const score = wholeScore(kind, body, network);
  const { num_steps: steps, tracks } = score;
  const voices = Voices.of(score, steps);
  const first = kind === "compose" ? 0 : (body.music?.num_steps ?? 0);
  const extends_ = kind === "compose" || kind === "continue";
  const free = extends_ ? freeFrom(first, steps, tracks.length) : freeOf(kind, body, score);
  const [start, stop] = [free.indexOf(1), free.lastIndexOf(1) + 1].map((place) => place / tracks.length);
  if (start < 0) throw new Error("Nothing is left to draw.");
  const position = positions(score);
  const left = body.ending === false ? new Int32Array(steps).fill(-1) : barsLeft(position);
  return { score, voices, free, position, left, start: Math.floor(start), stop: Math.ceil(stop), looksAhead: !extends_ };
}

/** @param {string} kind @param {Body} body @param {Network} network @returns {Score} */
function wholeScore(kind, body, { tracks, min_pitch, num_pitches }) {
  const bars = Number(body.num_bars);
  if (kind === "compose") return silence(tracks, bars, body.metre, body.tempo_qpm);
  if (!body.music) throw new Error("There are no notes yet.");
  const score = arranged(body.music, tracks, body.map);
  const outside = score.notes.find(({ pitch }) => pitch < min_pitch || pitch >= min_pitch + num_pitches);
  if (outside) {
    throw new Error(
      `Notes must lie within the pitches of the network, ${min_pitch} to ${min_pitch + num_pitches - 1}, got ${outside.pitch}: move them by octaves.`,
    );
  }
  if (kind !== "continue") return score;
  const metre = score.metre_changes?.at(-1)?.metre ?? score.metre;
  return { ...score, num_steps: score.num_steps + bars * barSteps({ ...score, metre }) };
}

/**
 * The notes of the network's parts, by name or by a map such as "Violin:alto".
 * @param {Score} score @param {Track[]} tracks @param {string[]} [map] @returns {Score}
 */
function arranged(score, tracks, map) {
  const names = tracks.map(({ name }) => name);
  const table = new Map((map ?? []).map((pair) => {
    const colon = pair.lastIndexOf(":");
    return [pair.slice(0, colon), pair.slice(colon + 1)];
  }));
  const places = score.tracks.map(({ name }) => names.indexOf(map ? (table.get(name) ?? "") : name));
  const notes = score.notes.map((note) => ({ ...note, track: places[note.track] }));
  return { ...score, tracks, notes: notes.filter(({ track }) => track >= 0) };
}

/** @param {number} first @param {number} steps @param {number} tracks */
function freeFrom(first, steps, tracks) {
  return new Uint8Array(steps * tracks).fill(1, first * tracks);
}

/** @param {string} kind @param {Body} body @param {Score} score */
function freeOf(kind, { given = [], draw = [], bars }, score) {
  const [from, to] = bars ? stepsOf(bars, score) : [0, score.num_steps];
  const count = score.tracks.length;
  const free = new Uint8Array(score.num_steps * count);
  const spans = draw.length ? draw : score.tracks.map(({ name }) => name).filter((name) => !given.includes(name));
  for (const span of spans) {
    const { track, start, end } = typeof span === "string" ? { track: span, start: from, end: to } : span;
    const place = score.tracks.findIndex(({ name }) => name === track);
    for (let step = start; step < end; step++) free[step * count + place] = 1;
  }
  return free;
}

/** The steps of bars such as 3-4. @param {string} text @param {Score} score */
function stepsOf(text, score) {
  const [first, last = first] = text.split("-").map(Number);
  const starts = barStarts(score);
  const inside = starts.filter((step) => {
    const number = barNumber(score, step);
    return number >= first && number <= last;
  });
  const after = starts.find((step) => step > (inside.at(-1) ?? -1));
  return [inside[0], after ?? score.num_steps];
}

/** The position of each step in its bar; a pickup is the end of a bar. @param {Score} score */
export function positions(score) {
  const starts = barStarts(score);
  const before = score.pickup ? barSteps(score) - score.pickup : 0;
  let bar = 0;
  return Int32Array.from({ length: score.num_steps }, (_, step) => {
    if (starts[bar + 1] === step) bar += 1;
    return step - starts[bar] + (bar === 0 ? before : 0);
  });
}

/**
 * Bar lines between each step and the end.
 * @param {Int32Array} position
 */
export function barsLeft(position) {
  const lines = [...position.keys()].filter((step) => position[step] === 0);
  return position.map((_, step) => lines.filter((line) => line > step).length);
}

/**
 * The clamped cells of a step, [track, pitch, 4]: whether clamped, play, onset, volume.
 * @param {Task} task @param {number} step may be before the first
 * @param {Network} network
 */
export function clamped({ voices, free }, step, { min_pitch, num_pitches, tracks }) {
  const cells = new Float32Array(tracks.length * num_pitches * 4);
  for (let track = 0; step >= 0 && track < tracks.length; track++) {
    const place = step * tracks.length + track;
    if (free[place]) continue;
    for (let k = 0; k < num_pitches; k++) cells[(track * num_pitches + k) * 4] = 1;
    if (voices.pitch[place] === REST) continue;
    const cell = [1, 1, Number(voices.begins(step, track)), voices.velocity[place] / 127];
    cells.set(cell, (track * num_pitches + voices.pitch[place] - min_pitch) * 4);
  }
  return cells;
}
