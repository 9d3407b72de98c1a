// A synthesizer: partials by instrument family, a filter that closes as a struck string
// decays, and a little reverb. Nothing is loaded.

/** @import {Mix, Track} from "./types.js" */

/**
 * @typedef {object} Timbre
 * @property {number[]} partials their amplitudes, from the fundamental
 * @property {number} attack seconds
 * @property {number} decay seconds for a struck note to fall to a third; 0: it is held
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

export class Synth {
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

  /** Browsers allow sound only after a click or a key press. */
  wake() {
    return this.context.resume();
  }

  makeRoom() {
    return this.makeNoise(ROOM_SECONDS, (share) => (1 - share) ** 3);
  }

  /**
   * @param {number} seconds
   * @param {(share: number) => number} envelope by the share of elapsed time
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

  /** Cuts off all sounding and scheduled notes. */
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
   * Plays a note; returns a function that ends it, for unknown lengths.
   * @param {number} track
   * @param {Track} kind
   * @param {number} pitch
   * @param {number} velocity
   * @param {number} at seconds of the audio clock
   * @param {number} [seconds] length
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
   * A short burst of noise, duller for low drums.
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
