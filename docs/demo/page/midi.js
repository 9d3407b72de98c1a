// Standard MIDI files: writes a score as one, and reads one onto the grid of sixteenths.
// Drums are left out.
//
// Source: Standard MIDI Files 1.0 (MIDI Manufacturers Association, 1996).

import { barSteps, isScore } from "./score.js";

/** @import {Note, Score, Track} from "./types.js" */
/** @typedef {{tick: number, bytes: number[]}} Event */

const TICKS_PER_STEP = 120;
const STEPS_PER_QUARTER = 4;
const DRUMS = 9;
// Notes further from the grid than this, in steps, are reported as moved.
const GRID_TOLERANCE = 0.2;
const CHANNELS = 16;
const [NAME, TEMPO, METRE, END] = [0x03, 0x51, 0x58, 0x2f];

/** @param {number} value @param {number} length */
function word(value, length) {
  return Array.from({ length }, (_, k) => Math.floor(value / 256 ** (length - 1 - k)) % 256);
}

/** A number in groups of seven bits. @param {number} value @returns {number[]} */
function variable(value) {
  const rest = [];
  for (let high = Math.floor(value / 128); high; high = Math.floor(high / 128)) rest.unshift((high % 128) | 128);
  return [...rest, value % 128];
}

/** @param {string} kind @param {number[]} content */
function chunk(kind, content) {
  return [...new TextEncoder().encode(kind), ...word(content.length, 4), ...content];
}

/** @param {number} kind @param {number[]} content */
const meta = (kind, content) => [0xff, kind, ...variable(content.length), ...content];

/** @param {Event[]} events @param {number} end */
function trackChunk(events, end) {
  // In the same tick, notes end before others begin.
  const rank = (/** @type {Event} */ { bytes }) => ((bytes[0] & 0xf0) === 0x90 ? 1 : 0);
  const sorted = [...events].sort((a, b) => a.tick - b.tick || rank(a) - rank(b));
  let now = 0;
  const content = [...sorted, { tick: end, bytes: meta(END, []) }].flatMap(({ tick, bytes }) => {
    const delta = tick - now;
    now = tick;
    return [...variable(delta), ...bytes];
  });
  return chunk("MTrk", content);
}

/** @param {string} metre */
function metreEvent(metre) {
  const [count, unit] = metre.split("/").map(Number);
  return meta(METRE, [count, Math.log2(unit), 24, 8]);
}

/** The bytes of a MIDI file. @param {Score} score */
export function midi(score) {
  const end = score.num_steps * TICKS_PER_STEP;
  const changes = score.pickup ? [{ step: score.pickup, metre: score.metre }] : [];
  /** @type {Event[]} */
  const conductor = [
    { tick: 0, bytes: meta(TEMPO, word(Math.round(60e6 / score.tempo), 3)) },
    { tick: 0, bytes: metreEvent(score.metre) },
    ...[...changes, ...(score.metre_changes ?? [])].map(({ step, metre }) => ({
      tick: step * TICKS_PER_STEP,
      bytes: metreEvent(metre),
    })),
  ];
  const tracks = score.tracks.map((track, k) => trackChunk(eventsOf(score, track, k), end));
  const header = chunk("MThd", [...word(1, 2), ...word(tracks.length + 1, 2), ...word(TICKS_PER_STEP * STEPS_PER_QUARTER, 2)]);
  return new Uint8Array([...header, ...trackChunk(conductor, end), ...tracks.flat()]);
}

/** @param {Score} score @param {Track} track @param {number} place @returns {Event[]} */
function eventsOf(score, track, place) {
  const melodic = place % (CHANNELS - 1);
  const channel = track.is_drum ? DRUMS : melodic + Number(melodic >= DRUMS);
  const name = [...new TextEncoder().encode(track.name)];
  const notes = score.notes.filter((note) => note.track === place);
  return [
    { tick: 0, bytes: meta(NAME, name) },
    { tick: 0, bytes: [0xc0 | channel, track.program] },
    ...notes.flatMap(({ pitch, start, duration, velocity }) => [
      { tick: start * TICKS_PER_STEP, bytes: [0x90 | channel, pitch, velocity] },
      { tick: (start + duration) * TICKS_PER_STEP, bytes: [0x80 | channel, pitch, 0] },
    ]),
  ];
}

/**
 * Reads a MIDI file; also returns what was changed to fit the grid.
 * @param {Uint8Array} bytes
 * @param {string} name name of the file, for errors
 * @returns {{score: Score, changes: string[]}}
 */
export function readMidi(bytes, name) {
  try {
    const reader = new Reader(bytes);
    const score = reader.score();
    if (isScore(score)) return { score, changes: reader.changes(score.notes.length) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  throw new Error(`${name} is no whole MIDI file with notes.`);
}

class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.place = 0;
    this.ticksPerStep = 1;
    this.tempo = 120;
    /** @type {{step: number, metre: string}[]} */
    this.metres = [];
    /** @type {Map<string, Track & {notes: Omit<Note, "track">[]}>} by chunk and channel */
    this.parts = new Map();
    this.drums = 0;
    this.between = 0;
  }

  /** What differs from the file, out of `count` notes. @param {number} count */
  changes(count) {
    const share = (/** @type {number} */ part, /** @type {number} */ all) =>
      `${part} of ${all} notes (${Math.round((100 * part) / all)}%)`;
    return [
      this.drums ? `${share(this.drums, count + this.drums)} are drums: they are left out.` : "",
      this.between
        ? `${share(this.between, count)} begin between two sixteenths (such as triplets): each is moved to the nearest.`
        : "",
    ].filter(Boolean);
  }

  byte() {
    this.place += 1;
    return this.view.getUint8(this.place - 1);
  }

  variable() {
    let value = 0;
    for (;;) {
      const byte = this.byte();
      value = value * 128 + (byte & 127);
      if (byte < 128) return value;
    }
  }

  /** @returns {Score} */
  score() {
    const count = this.view.getUint16(10);
    this.ticksPerStep = this.view.getUint16(12) / STEPS_PER_QUARTER;
    this.place = 8 + this.view.getUint32(4);
    for (let track = 0; track < count; track++) this.track(track);
    const parts = [...this.parts.values()].filter(({ notes }) => notes.length);
    const notes = parts.flatMap((part, track) => part.notes.map((note) => ({ track, ...note })));
    return this.measured(parts.map(({ notes: _, ...track }) => track), notes);
  }

  /** The score with its bars. @param {Track[]} tracks @param {Note[]} notes @returns {Score} */
  measured(tracks, notes) {
    const [first, ...changes] = this.metres.length ? this.metres : [{ step: 0, metre: "4/4" }];
    const score = { tracks, notes, num_steps: 0, steps_per_quarter: STEPS_PER_QUARTER, metre: first.metre, tempo: this.tempo, pickup: 0 };
    const bar = barSteps(score);
    // If the same metre is repeated before a bar is full, that bar was a pickup.
    const upbeat = changes[0]?.metre === first.metre && changes[0].step < bar;
    const pickup = upbeat ? changes.splice(0, 1)[0].step : 0;
    const end = Math.max(0, ...notes.map((note) => note.start + note.duration));
    const num_steps = pickup + Math.ceil((end - pickup) / bar) * bar;
    return { ...score, num_steps, pickup, metre_changes: changes };
  }

  /** @param {number} number */
  track(number) {
    const end = this.place + 8 + this.view.getUint32(this.place + 4);
    this.place += 8;
    /** @type {Map<number, {tick: number, velocity: number}>} by channel and pitch */
    const sounding = new Map();
    let [tick, status, name] = [0, 0, ""];
    while (this.place < end) {
      tick += this.variable();
      if (this.view.getUint8(this.place) >= 128) status = this.byte();
      if (status >= 0xf0) name = this.special(status, tick) ?? name;
      else this.channel(status, tick, `${number}`, name, sounding);
    }
    this.place = end;
  }

  /** Reads a meta or system event; returns the track's name if the event gives it. @param {number} status @param {number} tick */
  special(status, tick) {
    const kind = status === 0xff ? this.byte() : -1;
    const length = this.variable();
    const content = new Uint8Array(this.view.buffer, this.view.byteOffset + this.place, length);
    this.place += length;
    if (kind === TEMPO && tick === 0) this.tempo = 60e6 / content.reduce((sum, byte) => sum * 256 + byte, 0);
    if (kind === METRE) this.metres.push({ step: this.step(tick), metre: `${content[0]}/${2 ** content[1]}` });
    return kind === NAME ? new TextDecoder().decode(content) : undefined;
  }

  /** @param {number} tick */
  step(tick) {
    return Math.round(tick / this.ticksPerStep);
  }

  /**
   * @param {number} status @param {number} tick @param {string} chunk @param {string} name
   * @param {Map<number, {tick: number, velocity: number}>} sounding
   */
  channel(status, tick, chunk, name, sounding) {
    const [kind, channel] = [status & 0xf0, status & 0x0f];
    const first = this.byte();
    const second = kind === 0xc0 || kind === 0xd0 ? 0 : this.byte();
    if (channel === DRUMS) {
      if (kind === 0x90 && second) this.drums += 1;
      return;
    }
    const key = `${chunk}.${channel}`;
    const part = this.parts.get(key) ?? { name, program: 0, is_drum: false, notes: [] };
    this.parts.set(key, part);
    if (kind === 0xc0) part.program = first;
    if (kind !== 0x90 && kind !== 0x80) return;
    const place = channel * 128 + first;
    const begun = sounding.get(place);
    sounding.delete(place);
    if (begun) {
      const start = this.step(begun.tick);
      if (Math.abs(begun.tick / this.ticksPerStep - start) > GRID_TOLERANCE) this.between += 1;
      const duration = Math.max(1, this.step(tick) - start);
      part.notes.push({ pitch: first, start, duration, velocity: begun.velocity });
    }
    if (kind === 0x90 && second) sounding.set(place, { tick, velocity: second });
  }
}
