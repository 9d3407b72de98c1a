"use strict";
// Scores: values that are never changed; each edit makes a new one.

/** @import {Note, Range, Score, Track} from "./types.js" */

const LOWEST = 21;
const HIGHEST = 108;
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
function silence(tracks, bars = 8, metre = "4/4", tempo = 96) {
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
 * Whether a value, of a link or of the browser's memory, is a score.
 * @param {any} value
 * @returns {value is Score}
 */
function isScore(value) {
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
 * Steps of a bar in the metre of the beginning.
 * @param {{metre: string, steps_per_quarter: number}} score
 */
function barSteps({ metre, steps_per_quarter }) {
  const [count, unit] = metre.split("/").map(Number);
  return Math.max(1, Math.round((4 * steps_per_quarter * count) / unit));
}

/**
 * Steps of a beat: a dotted quarter in 6/8, 9/8 and 12/8.
 * @param {{metre: string, steps_per_quarter: number}} score
 */
function beatSteps(score) {
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
function barStarts(score) {
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

/** The place of a step's bar among the starts. @param {Score} score @param {number} step */
function barPlace(score, step) {
  return Math.max(0, barStarts(score).findLastIndex((start) => start <= step));
}

/**
 * A bar's number as musicians count: the first whole one is 1, a pickup 0.
 * @param {Score} score
 * @param {number} step
 */
function barNumber(score, step) {
  return barPlace(score, step) + (score.pickup ? 0 : 1);
}

/**
 * The whole bars that two steps lie in.
 * @param {Score} score
 * @param {number} first
 * @param {number} last
 * @returns {Range}
 */
function barsAround(score, first, last) {
  const starts = barStarts(score);
  const from = starts[barPlace(score, Math.min(first, last))];
  const to = starts[barPlace(score, Math.max(first, last)) + 1] ?? score.num_steps;
  return { from, to };
}

/**
 * Bar and beat of a step, as shown: 3.2. A pickup's beats end its bar.
 * @param {Score} score
 * @param {number} step
 */
function place(score, step) {
  const start = barStarts(score)[barPlace(score, step)] ?? 0;
  const before = score.pickup && start === 0 ? barSteps(score) - score.pickup : 0;
  return `${barNumber(score, step)}.${Math.floor((step - start + before) / beatSteps(score)) + 1}`;
}

/** @param {number} pitch */
function pitchName(pitch) {
  return `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
}

/** @param {number} pitchClass */
const className = (pitchClass) => NAMES[pitchClass];

/** @param {number} pitch */
const isBlack = (pitch) => [1, 3, 6, 8, 10].includes(pitch % 12);

/**
 * Seconds of a step.
 * @param {Score} score
 */
const secondsPerStep = (score) => 60 / score.tempo / score.steps_per_quarter;

/**
 * The notes of a part.
 * @param {Score} score
 * @param {number} track
 */
const notesOf = (score, track) => score.notes.filter((note) => note.track === track);

/**
 * Whether nothing sounds in a score.
 * @param {Score} score
 */
const isEmpty = (score) => score.notes.length === 0;

/**
 * The score made longer, to a whole bar, so that all of its notes are in it.
 * @param {Score} score
 * @returns {Score}
 */
function fitted(score) {
  const end = Math.max(0, ...score.notes.map((note) => note.start + note.duration));
  if (end <= score.num_steps) return score;
  const last = barStarts(score).at(-1) ?? 0;
  const length = Math.max(1, score.num_steps - last);
  return { ...score, num_steps: last + Math.ceil((end - last) / length) * length };
}

/**
 * The score with other notes in place of some.
 * @param {Score} score
 * @param {Iterable<Note>} old
 * @param {Note[]} put
 */
function replaceNotes(score, old, put) {
  const gone = new Set(old);
  const kept = score.notes.filter((note) => !gone.has(note));
  return fitted({ ...score, notes: [...kept, ...put] });
}

/**
 * Notes moved in time and pitch together, as far as all of them stay on the roll.
 * @param {Note[]} notes
 * @param {number} steps
 * @param {number} semitones
 */
function moved(notes, steps, semitones) {
  const right = Math.max(steps, -Math.min(...notes.map((note) => note.start)));
  const pitches = notes.map((note) => note.pitch);
  const up = Math.min(
    Math.max(semitones, LOWEST - Math.min(...pitches)),
    HIGHEST - Math.max(...pitches),
  );
  return notes.map((note) => ({ ...note, start: note.start + right, pitch: note.pitch + up }));
}

/**
 * Notes made longer or shorter; each lasts at least a step.
 * @param {Note[]} notes
 * @param {number} steps
 */
function resized(notes, steps) {
  return notes.map((note) => ({ ...note, duration: Math.max(1, note.duration + steps) }));
}

// Sounds, synthesized: partials by family of instruments, a filter that closes as a
// struck string decays, and a little room. Nothing is loaded.

/** @import {Mix, Track} from "./types.js" */

/**
 * @typedef {object} Timbre
 * @property {number[]} partials their amplitudes, from the fundamental
 * @property {number} attack seconds
 * @property {number} decay seconds in which a struck note falls to a third; 0: it is held
 * @property {number} release seconds
 * @property {number} bright cutoff of the filter in multiples of the pitch
 */

/** @type {Record<string, Timbre>} */
const TIMBRES = {
  struck: { partials: [1, 0.5, 0.3, 0.18, 0.1, 0.07, 0.04], attack: 0.004, decay: 0.9, release: 0.12, bright: 9 },
  organ: { partials: [1, 0.7, 0.25, 0.45, 0, 0.2, 0, 0.12], attack: 0.02, decay: 0, release: 0.08, bright: 12 },
  bowed: { partials: [1, 0.55, 0.42, 0.3, 0.2, 0.15, 0.1, 0.07], attack: 0.06, decay: 0, release: 0.18, bright: 6 },
  sung: { partials: [1, 0.6, 0.24, 0.1, 0.04], attack: 0.05, decay: 0, release: 0.16, bright: 5 },
  blown: { partials: [1, 0.25, 0.4, 0.1, 0.15], attack: 0.03, decay: 0, release: 0.1, bright: 7 },
};
const LOUDNESS = 0.13;
const ROOM_SECONDS = 1.4;
const ROOM_SHARE = 0.16;
const DRUM_SECONDS = 0.18;

/** The sound of a General MIDI program. @param {number} program */
function timbreOf(program) {
  if (program >= 16 && program < 24) return TIMBRES.organ;
  if (program >= 40 && program < 52) return TIMBRES.bowed;
  if (program >= 52 && program < 56) return TIMBRES.sung;
  if (program >= 56 && program < 80) return TIMBRES.blown;
  return TIMBRES.struck;
}

class Synth {
  constructor() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.master = this.context.createDynamicsCompressor();
    this.master.connect(this.context.destination);
    this.room = this.context.createConvolver();
    this.room.buffer = this.makeRoom();
    const share = this.context.createGain();
    share.gain.value = ROOM_SHARE;
    this.room.connect(share).connect(this.master);
    /** @type {GainNode[]} */
    this.parts = [];
    /** @type {Map<Timbre, PeriodicWave>} */
    this.waves = new Map();
    this.noise = this.makeNoise(DRUM_SECONDS, () => 1);
  }

  get now() {
    return this.context.currentTime;
  }

  /** Browsers let a page sound only after a click or a key. */
  wake() {
    return this.context.resume();
  }

  makeRoom() {
    return this.makeNoise(ROOM_SECONDS, (share) => (1 - share) ** 3);
  }

  /**
   * @param {number} seconds
   * @param {(share: number) => number} envelope by the share of the time that is over
   */
  makeNoise(seconds, envelope) {
    const length = Math.round(seconds * this.context.sampleRate);
    const buffer = this.context.createBuffer(1, length, this.context.sampleRate);
    const samples = buffer.getChannelData(0);
    samples.forEach((_, k) => (samples[k] = (2 * Math.random() - 1) * envelope(k / length)));
    return buffer;
  }

  /** Sets the volumes of the parts. @param {Mix[]} mix */
  setMix(mix) {
    mix.forEach(({ volume, muted }, track) => {
      this.part(track).gain.setTargetAtTime(muted ? 0 : volume ** 2, this.now, 0.02);
    });
  }

  /** @param {number} track */
  part(track) {
    if (!this.parts[track]) {
      const gain = this.context.createGain();
      gain.connect(this.master);
      gain.connect(this.room);
      this.parts[track] = gain;
    }
    return this.parts[track];
  }

  /** Cuts off all that sounds or is to sound. */
  silence() {
    for (const part of this.parts) part?.disconnect();
    this.parts = [];
  }

  /** @param {Timbre} timbre */
  wave(timbre) {
    const known = this.waves.get(timbre);
    if (known) return known;
    const imaginary = new Float32Array([0, ...timbre.partials]);
    const wave = this.context.createPeriodicWave(new Float32Array(imaginary.length), imaginary);
    this.waves.set(timbre, wave);
    return wave;
  }

  /**
   * Sounds a note; returns what ends one of unknown length.
   * @param {number} track
   * @param {Track} kind
   * @param {number} pitch
   * @param {number} velocity
   * @param {number} at seconds of the audio clock
   * @param {number} [seconds] how long
   * @returns {() => void}
   */
  strike(track, kind, pitch, velocity, at, seconds) {
    if (kind.is_drum) return this.drum(track, pitch, velocity, at);
    const { context } = this;
    const timbre = timbreOf(kind.program);
    const hertz = 440 * 2 ** ((pitch - 69) / 12);
    const tone = context.createOscillator();
    tone.setPeriodicWave(this.wave(timbre));
    tone.frequency.value = hertz;
    const filter = context.createBiquadFilter();
    filter.frequency.setValueAtTime(Math.min(18000, hertz * timbre.bright), at);
    const gain = context.createGain();
    const loud = LOUDNESS * (velocity / 127) ** 1.4;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(loud, at + timbre.attack);
    if (timbre.decay) {
      gain.gain.setTargetAtTime(loud * 0.08, at + timbre.attack, timbre.decay);
      filter.frequency.setTargetAtTime(hertz * 2, at, timbre.decay);
    }
    tone.connect(filter).connect(gain).connect(this.part(track));
    tone.start(at);
    const end = (/** @type {number} */ when) => {
      gain.gain.cancelScheduledValues(when);
      gain.gain.setTargetAtTime(0, when, timbre.release / 2);
      tone.stop(when + 4 * timbre.release);
    };
    if (seconds !== undefined) end(at + seconds);
    return () => end(this.now);
  }

  /**
   * A short noise, duller for low drums.
   * @param {number} track
   * @param {number} pitch
   * @param {number} velocity
   * @param {number} at
   */
  drum(track, pitch, velocity, at) {
    const source = this.context.createBufferSource();
    source.buffer = this.noise;
    const filter = this.context.createBiquadFilter();
    filter.type = pitch < 38 ? "lowpass" : "bandpass";
    filter.frequency.value = pitch < 38 ? 160 : 300 + 120 * (pitch - 36);
    const gain = this.context.createGain();
    gain.gain.setValueAtTime(velocity / 127, at);
    gain.gain.setTargetAtTime(0, at, DRUM_SECONDS / 4);
    source.connect(filter).connect(gain).connect(this.part(track));
    source.start(at);
    return () => {};
  }

  /** A click of the metronome. @param {number} at @param {boolean} strong */
  click(at, strong) {
    const tone = this.context.createOscillator();
    const gain = this.context.createGain();
    tone.frequency.value = strong ? 1760 : 1175;
    gain.gain.setValueAtTime(0.2, at);
    gain.gain.setTargetAtTime(0, at, 0.015);
    tone.connect(gain).connect(this.master);
    tone.start(at);
    tone.stop(at + 0.1);
  }
}

// Plays what the roll shows, as it is at the moment: edits and bars that arrive are
// heard. Notes are scheduled a little ahead on the audio clock.


/** @import {Store} from "./store.js" */
/** @import {Range} from "./types.js" */

const AHEAD_SECONDS = 0.25;
const TICK_MILLISECONDS = 50;
const START_SECONDS = 0.06;

class Player extends EventTarget {
  /** @param {Store} store */
  constructor(store) {
    super();
    this.store = store;
    this.playing = false;
    this.looping = false;
    this.metronome = false;
    /** Plays on after the end, as a recording does. */
    this.endless = false;
    /** The player waits before this step, which isn't composed yet. */
    this.limit = Infinity;
    this.step = 0;
    /** @type {Synth | null} */
    this.made = null;
    this.timer = 0;
    // Step `step` sounds at `time`; before it the anchor before holds.
    this.anchor = { time: 0, step: 0 };
    this.anchorBefore = this.anchor;
    this.scheduled = 0;
    this.tempo = 0;
    store.on(["parts"], () => this.made?.setMix(store.mix));
  }

  /** The synthesizer, made at the first gesture. */
  get synth() {
    this.made ??= new Synth();
    return this.made;
  }

  get seconds() {
    return secondsPerStep(this.store.shown);
  }

  /** Where it plays, in steps. */
  get position() {
    if (!this.playing) return this.step;
    const { now } = this.synth;
    const anchor = now < this.anchor.time ? this.anchorBefore : this.anchor;
    return Math.min(anchor.step + (now - anchor.time) / this.seconds, this.limit);
  }

  /** What it repeats: the chosen bars, else the piece. @returns {Range} */
  get loop() {
    return this.store.range ?? { from: 0, to: this.store.shown.num_steps };
  }

  /** Where it stops or turns back. */
  get end() {
    if (this.endless) return Infinity;
    return this.looping ? this.loop.to : this.store.shown.num_steps;
  }

  /** @param {number} [from] step; before 0 the metronome counts in */
  async play(from) {
    const { synth } = this;
    await synth.wake();
    this.halt();
    let step = from ?? this.step;
    if (step >= this.end) step = this.looping ? this.loop.from : 0;
    this.playing = true;
    this.tempo = this.store.shown.tempo;
    this.anchorAt(step, synth.now + START_SECONDS);
    this.anchorBefore = this.anchor;
    this.scheduled = step;
    synth.setMix(this.store.mix);
    this.timer = setInterval(() => this.tick(), TICK_MILLISECONDS);
    this.tick(step);
    this.dispatchEvent(new Event("change"));
  }

  pause() {
    if (!this.playing) return;
    this.step = Math.max(0, this.position);
    this.halt();
    this.dispatchEvent(new Event("change"));
  }

  halt() {
    clearInterval(this.timer);
    this.playing = false;
    this.made?.silence();
  }

  /** @param {number} step */
  seek(step) {
    this.step = Math.min(Math.max(0, step), this.store.shown.num_steps);
    if (this.playing) this.play(this.step);
    else this.dispatchEvent(new Event("change"));
  }

  /** @param {number} step @param {number} time */
  anchorAt(step, time) {
    this.anchorBefore = this.anchor;
    this.anchor = { step, time };
  }

  /**
   * Schedules the next quarter of a second. Notes that began before `from` and still
   * sound there are struck when the player starts.
   * @param {number} [from]
   */
  tick(from) {
    const { now } = this.synth;
    if (this.tempo !== this.store.shown.tempo) this.keepPlace();
    if (from !== undefined) this.strikeHeld(from);
    const position = this.position;
    if (position >= this.limit) this.anchorAt(this.limit, now);
    const { end } = this;
    for (;;) {
      const reach = this.anchor.step + (now + AHEAD_SECONDS - this.anchor.time) / this.seconds;
      const until = Math.min(reach, end, this.limit);
      if (until > this.scheduled) this.schedule(this.scheduled, until);
      this.scheduled = Math.max(this.scheduled, until);
      if (!this.looping || this.scheduled < end || this.loop.to <= this.loop.from) break;
      this.anchorAt(this.loop.from, this.timeOf(end));
      this.scheduled = this.loop.from;
    }
    if (!this.looping && position >= end) {
      this.pause();
      this.step = end;
    }
  }

  /** After a change of tempo the place stays. */
  keepPlace() {
    const { now } = this.synth;
    const old = secondsPerStep({ ...this.store.shown, tempo: this.tempo });
    const step = this.anchor.step + (now - this.anchor.time) / old;
    this.anchorAt(step, now);
    this.tempo = this.store.shown.tempo;
  }

  /** @param {number} step */
  timeOf(step) {
    return this.anchor.time + (step - this.anchor.step) * this.seconds;
  }

  /** @param {number} from @param {number} to */
  schedule(from, to) {
    for (const note of this.store.shown.notes) {
      if (note.start < from || note.start >= to) continue;
      const seconds = note.duration * this.seconds * 0.97;
      this.sound(note.track, note.pitch, note.velocity, this.timeOf(note.start), seconds);
    }
    if (!this.metronome) return;
    const [beat, bar] = [beatSteps(this.store.shown), barSteps(this.store.shown)];
    const { pickup } = this.store.shown;
    for (let step = Math.ceil((from - pickup) / beat) * beat + pickup; step < to; step += beat) {
      if (step >= from) this.synth.click(this.timeOf(step), (step - pickup) % bar === 0);
    }
  }

  /** @param {number} step */
  strikeHeld(step) {
    for (const note of this.store.shown.notes) {
      const left = note.start + note.duration - step;
      if (note.start >= step || left <= 0) continue;
      const at = this.timeOf(step);
      this.sound(note.track, note.pitch, note.velocity, at, left * this.seconds * 0.97);
    }
  }

  /**
   * @param {number} track
   * @param {number} pitch
   * @param {number} velocity
   * @param {number} [at]
   * @param {number} [seconds]
   */
  sound(track, pitch, velocity, at = this.synth.now, seconds = undefined) {
    const kind = this.store.shown.tracks[track];
    return kind ? this.synth.strike(track, kind, pitch, velocity, at, seconds) : () => {};
  }

  /** Sounds a key that is pressed; returns what lets it go. @param {number} pitch */
  press(pitch, velocity = 90) {
    this.synth.wake();
    this.synth.setMix(this.store.mix);
    return this.sound(this.store.active, pitch, velocity);
  }

  /** Sounds a note for a moment, as when it is put on the roll. @param {number} pitch */
  touch(pitch) {
    const release = this.press(pitch, 70);
    setTimeout(release, 180);
  }
}

// Two players of a piece with the same interface: play(), pause(), seek(seconds),
// time(), duration and playing.

/** Plays the sound file that the page holds. */
class FilePlayer {
  constructor(piece) {
    this.audio = new Audio(piece.audio);
    this.audio.preload = "auto";
    this.duration = piece.steps * piece.secondsPerStep;
    this.audio.addEventListener("loadedmetadata", () => {
      if (isFinite(this.audio.duration)) this.duration = this.audio.duration;
    });
  }
  get playing() { return !this.audio.paused && !this.audio.ended; }
  play() {
    if (this.audio.ended) this.audio.currentTime = 0;
    return this.audio.play();
  }
  pause() { this.audio.pause(); }
  seek(seconds) { this.audio.currentTime = seconds; }
  time() { return this.audio.currentTime; }
}

/** Plays the notes: the studio's player, over a score that stays as it is. */
class NotePlayer {
  constructor(piece) {
    const notes = piece.notes.map(([start, end, pitch, velocity]) =>
      ({ track: 0, pitch, start, duration: end - start, velocity }));
    const tracks = [{ name: piece.title, program: 0, is_drum: false }];
    const grid = { num_steps: piece.steps, steps_per_quarter: 1, tempo: 60 / piece.secondsPerStep };
    const mix = [{ volume: 1, muted: false }];
    this.player = new Player({ shown: { tracks, notes, ...grid }, mix, range: null, on() {} });
    this.secondsPerStep = piece.secondsPerStep;
  }
  get duration() { return this.player.end * this.secondsPerStep; }
  get playing() { return this.player.playing; }
  play() {
    // One for all pieces of the page: a browser allows few.
    this.player.made = NotePlayer.synth ??= new Synth();
    return this.player.play();
  }
  pause() { this.player.pause(); }
  seek(seconds) { this.player.seek(seconds / this.secondsPerStep); }
  time() { return Math.max(0, this.player.position) * this.secondsPerStep; }
}

// Draws a piece: a piano roll that scrolls with the player, and a small overview.

const SECONDS_IN_VIEW = 12;

/** A colour of the style sheet, read at every drawing because the theme may change. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
}

/** Clears a canvas; its context draws in CSS pixels at the screen's resolution. */
function prepare(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

class Roll {
  constructor(piece, canvas, whole) {
    this.piece = piece;
    this.canvas = canvas;
    this.whole = whole;
    const pitches = piece.notes.map((note) => note[2]);
    this.low = Math.min(...pitches, 58) - 2;
    this.high = Math.max(...pitches, 70) + 3;
    this.first = 0; // the step at the left edge
    this.span = Math.min(SECONDS_IN_VIEW / piece.secondsPerStep, Math.max(piece.steps, 16));
  }
  /** Scrolls so that the step is at a third of the view, and draws. */
  follow(step) {
    const last = Math.max(this.piece.steps - this.span, 0);
    this.first = Math.min(Math.max(step - this.span / 3, 0), last);
    this.draw(step);
  }
  stepAt(x) { return this.first + (x / this.canvas.clientWidth) * this.span; }
  draw(step) {
    const { pen, width, height } = prepare(this.canvas);
    const x = (at) => ((at - this.first) / this.span) * width;
    const tall = height / (this.high - this.low);
    const y = (pitch) => (this.high - pitch - 1) * tall;
    this.drawPaper(pen, width, height, x, y, tall);
    this.drawNotes(pen, x, y, tall, step);
    pen.fillStyle = colour("head");
    pen.fillRect(x(step) - 1, 0, 2, height);
    this.drawWhole(step);
  }
  drawPaper(pen, width, height, x, y, tall) {
    pen.fillStyle = colour("black-key");
    for (let pitch = this.low; pitch < this.high; pitch++) {
      if (isBlack(pitch)) pen.fillRect(0, y(pitch), width, tall);
    }
    const inView = (at) => at >= this.first - 1 && at <= this.first + this.span;
    pen.fillStyle = colour("beat");
    for (const at of this.piece.beats.filter(inView)) pen.fillRect(x(at), 0, 1, height);
    pen.font = "11px system-ui, sans-serif";
    this.piece.bars.forEach((at, index) => {
      if (!inView(at)) return;
      pen.fillStyle = colour("bar");
      pen.fillRect(x(at), 0, 1, height);
      pen.fillStyle = colour("faint");
      pen.fillText(index + 1, x(at) + 4, 11);
    });
    for (let pitch = this.low; pitch < this.high; pitch++) {
      if (pitch % 12) continue;
      pen.fillStyle = colour("bar");
      pen.fillRect(0, y(pitch) + tall, width, 1);
      pen.fillStyle = colour("faint");
      pen.fillText(pitchName(pitch), 3, y(pitch) + tall - 2);
    }
  }
  drawNotes(pen, x, y, tall, step) {
    const [soft, loud, head] = [colour("soft"), colour("loud"), colour("head")];
    for (const [start, end, pitch, velocity] of this.piece.notes) {
      if (end < this.first || start > this.first + this.span) continue;
      const sounds = start <= step && step < end && step > 0;
      const share = Math.round((100 * velocity) / 127);
      pen.fillStyle = sounds ? head : `color-mix(in oklab, ${loud} ${share}%, ${soft})`;
      pen.beginPath();
      const wide = Math.max(x(end) - x(start) - 1.5, 1);
      pen.roundRect(x(start), y(pitch) + 0.5, wide, Math.max(tall - 1, 1), 2);
      pen.fill();
    }
  }
  drawWhole(step) {
    const { pen, width, height } = prepare(this.whole);
    const steps = Math.max(this.piece.steps, this.span, 1);
    const x = (at) => (at / steps) * width;
    const tall = height / (this.high - this.low);
    pen.fillStyle = colour("black-key");
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = colour("beat");
    pen.fillRect(x(this.first), 0, x(this.span), height);
    pen.fillStyle = colour("accent");
    for (const [start, end, pitch] of this.piece.notes) {
      const top = (this.high - pitch - 1) * tall;
      pen.fillRect(x(start), top, Math.max(x(end) - x(start), 1), Math.max(tall, 1));
    }
    pen.fillStyle = colour("head");
    pen.fillRect(x(step) - 1, 0, 2, height);
  }
}

// A card for each piece: a button, a clock, a piano roll and an overview of the whole.

const PLAY_ICON = '<svg viewBox="0 0 16 16"><path fill="currentColor" d="M3 1l11 7-11 7z"/></svg>';
const PAUSE_ICON = '<svg viewBox="0 0 16 16"><path fill="currentColor" d="M2 1h4v14H2zm8 0h4v14h-4z"/></svg>';
const cards = [];

/** Makes an element: make("a", {href: "x"}, "text or elements", ...). */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function minutes(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

class Card {
  constructor(piece) {
    this.piece = piece;
    this.player = piece.audio ? new FilePlayer(piece) : new NotePlayer(piece);
    this.button = make("button", { type: "button" });
    this.clock = make("span", { class: "clock" });
    this.canvas = make("canvas", { class: "roll", role: "img", "aria-label": `Piano roll of ${piece.title}` });
    this.whole = make("canvas", { class: "whole", "aria-hidden": "true" });
    this.element = make("article", {}, this.controls(), this.canvas, this.whole);
    this.button.addEventListener("click", () => this.toggle());
    this.canvas.addEventListener("click", (event) => this.seekStep(this.roll.stepAt(event.offsetX)));
    this.whole.addEventListener("click", (event) =>
      this.seekStep((event.offsetX / this.whole.clientWidth) * Math.max(piece.steps, this.roll.span)));
    this.roll = new Roll(piece, this.canvas, this.whole);
  }
  controls() {
    const { title, details, midi, file } = this.piece;
    const names = make("div", { class: "names" }, make("h2", {}, title));
    if (details) names.append(make("p", { class: "details" }, details));
    const bar = make("div", { class: "bar" }, this.button, names, this.clock);
    if (midi) bar.append(make("a", { href: midi, download: file || `${title}.mid`, class: "save" }, "MIDI"));
    return bar;
  }
  async toggle() {
    const start = !this.player.playing;
    for (const card of cards) card.player.pause();
    Card.current = this;
    let problem = "";
    if (start) await Promise.resolve(this.player.play()).catch((error) => { problem = error.message; });
    showAll();
    if (problem) this.clock.textContent = `cannot play: ${problem}`;
  }
  seekStep(step) {
    this.player.seek(Math.min(Math.max(step, 0), this.piece.steps) * this.piece.secondsPerStep);
    Card.current = this;
    showAll();
  }
  /** Moves to the bar line before (-1) or after (1) the current step. */
  seekBar(direction) {
    const step = this.player.time() / this.piece.secondsPerStep;
    const lines = [0, ...this.piece.bars, this.piece.steps];
    const target = direction > 0
      ? lines.find((line) => line > step + 0.01)
      : lines.findLast((line) => line < step - 2);
    this.seekStep(target ?? (direction > 0 ? this.piece.steps : 0));
  }
  show() {
    const icon = this.player.playing ? PAUSE_ICON : PLAY_ICON;
    if (this.icon !== icon) {
      this.button.innerHTML = this.icon = icon;
      const verb = this.player.playing ? "Pause" : "Play";
      this.button.setAttribute("aria-label", `${verb} ${this.piece.title}`);
    }
    const time = this.player.time();
    this.clock.textContent = `${minutes(time)} / ${minutes(this.player.duration)}`;
    this.element.classList.toggle("current", this === Card.current);
    this.roll.follow(Math.min(time / this.piece.secondsPerStep, this.piece.steps));
  }
}

function showAll() {
  for (const card of cards) card.show();
}

/** Draws the piece that plays, and once more after it stops. */
function animate() {
  const playing = cards.find((card) => card.player.playing);
  (playing || animate.last)?.show();
  animate.last = playing;
  requestAnimationFrame(animate);
}

window.addEventListener("resize", showAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showAll);
requestAnimationFrame(animate);

// Shows the pieces of the page and lets keys play them.

cards.push(...JSON.parse(document.getElementById("data").textContent).pieces
  .map((piece) => new Card(piece)));
Card.current = cards[0];
document.getElementById("pieces").append(...cards.map((card) => card.element));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.tagName !== "BUTTON") Card.current.toggle();
  else if (event.key === "ArrowRight") Card.current.seekBar(1);
  else if (event.key === "ArrowLeft") Card.current.seekBar(-1);
  else return;
  event.preventDefault();
});
showAll();
