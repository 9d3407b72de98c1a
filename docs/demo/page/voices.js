// The voices of a piece on the grid, each with one note at a time: read from a score,
// written by the network step by step, and read back as notes.

/** @import {Note, Score, Track} from "./types.js" */

/** The pitch of a rest. */
export const REST = -1;

export class Voices {
  /** @param {number} steps @param {number} tracks */
  constructor(steps, tracks) {
    this.steps = steps;
    this.tracks = tracks;
    /** MIDI pitches, [step, track]. */
    this.pitch = new Int16Array(steps * tracks).fill(REST);
    /** 1 where a note begins. */
    this.onset = new Uint8Array(steps * tracks);
    this.velocity = new Uint8Array(steps * tracks);
  }

  /**
   * Reads a score; of simultaneous notes, a voice keeps the highest, the last voice the
   * lowest.
   * @param {Score} score in the model's tracks
   * @param {number} steps at least those of the score
   */
  static of(score, steps) {
    const count = score.tracks.length;
    const voices = new Voices(steps, count);
    const upward = (/** @type {Note} */ a, /** @type {Note} */ b) => a.pitch - b.pitch || a.start - b.start;
    // The note written last stays.
    for (const note of [...score.notes].sort(upward)) {
      const place = (/** @type {number} */ step) => step * count + note.track;
      for (let step = note.start; step < note.start + note.duration; step++) {
        const lower = note.track === count - 1 && voices.pitch[place(step)] !== REST;
        if (lower && voices.pitch[place(step)] < note.pitch) continue;
        voices.put(step, note.track, note.pitch, step === note.start, note.velocity);
      }
    }
    return voices;
  }

  /**
   * @param {number} step
   * @param {number} track
   * @param {number} pitch MIDI, or REST
   * @param {boolean} begins
   * @param {number} velocity
   */
  put(step, track, pitch, begins, velocity) {
    const place = step * this.tracks + track;
    this.pitch[place] = pitch;
    this.onset[place] = Number(begins);
    this.velocity[place] = velocity;
  }

  /** Whether a note begins, which includes a change of pitch. @param {number} step @param {number} track */
  begins(step, track) {
    const place = step * this.tracks + track;
    if (this.pitch[place] === REST) return false;
    return step === 0 || this.onset[place] === 1 || this.pitch[place] !== this.pitch[place - this.tracks];
  }

  /**
   * The notes of some steps; a note that continues from the previous step is tied.
   * @param {number} from
   * @param {number} to
   * @returns {(Note & {tied?: boolean})[]}
   */
  notes(from = 0, to = this.steps) {
    /** @type {(Note & {tied?: boolean})[]} */
    const found = [];
    for (let track = 0; track < this.tracks; track++) {
      for (let step = from; step < to; step++) {
        const place = step * this.tracks + track;
        const pitch = this.pitch[place];
        const begins = this.begins(step, track);
        if (pitch === REST) continue;
        if (!begins && step > from) found[found.length - 1].duration += 1;
        else {
          const note = { track, pitch, start: step, duration: 1, velocity: this.velocity[place] };
          found.push(begins ? note : { ...note, tied: true });
        }
      }
    }
    return found;
  }
}
