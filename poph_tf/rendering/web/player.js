// Plays what the roll shows at the moment, including edits and arriving bars. Notes are
// scheduled a little ahead on the audio clock.

import { barSteps, beatSteps, secondsPerStep } from "./score.js";
import { Synth } from "./synth.js";

/** @import {Store} from "./store.js" */
/** @import {Range} from "./types.js" */

const AHEAD_SECONDS = 0.25;
const TICK_MILLISECONDS = 50;
const START_SECONDS = 0.06;

export class Player extends EventTarget {
  /** @param {Store} store */
  constructor(store) {
    super();
    this.store = store;
    this.playing = false;
    this.looping = false;
    this.metronome = false;
    /** Whether to play on after the end, as when recording. */
    this.endless = false;
    /** The player waits before this step, which is not composed yet. */
    this.limit = Infinity;
    this.step = 0;
    /** @type {Synth | null} */
    this.made = null;
    this.timer = 0;
    // Step `step` sounds at `time`; before that, the previous anchor applies.
    this.anchor = { time: 0, step: 0 };
    this.anchorBefore = this.anchor;
    this.scheduled = 0;
    this.tempo = 0;
    store.on(["parts"], () => this.made?.setMix(store.mix));
  }

  /** The synthesizer, created at the first user gesture. */
  get synth() {
    this.made ??= new Synth();
    return this.made;
  }

  get seconds() {
    return secondsPerStep(this.store.shown);
  }

  /** The playback position in steps. */
  get position() {
    if (!this.playing) return this.step;
    const { now } = this.synth;
    const anchor = now < this.anchor.time ? this.anchorBefore : this.anchor;
    return Math.min(anchor.step + (now - anchor.time) / this.seconds, this.limit);
  }

  /** What it loops: the chosen bars, else the piece. @returns {Range} */
  get loop() {
    return this.store.range ?? { from: 0, to: this.store.shown.num_steps };
  }

  /** Where it stops or loops back. */
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
   * Schedules the next quarter of a second. Notes that begin before `from` and still
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

  /** Keeps the position after a change of tempo. */
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

  /** Plays a pressed key; returns a function that releases it. @param {number} pitch */
  press(pitch, velocity = 90) {
    this.synth.wake();
    this.synth.setMix(this.store.mix);
    return this.sound(this.store.active, pitch, velocity);
  }

  /** Plays a note for a moment, as when it is added to the roll. @param {number} pitch */
  touch(pitch) {
    const release = this.press(pitch, 70);
    setTimeout(release, 180);
  }
}
