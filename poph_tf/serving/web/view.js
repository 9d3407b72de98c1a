// Positions on the roll, in pixels of its visible part, and hit testing.

import { HIGHEST, LOWEST } from "./score.js";

/** @import {Note, Score} from "./types.js" */

export const KEYS_WIDTH = 46;
export const RULER_HEIGHT = 22;
export const TOP_HEIGHT = 44; // ruler and chords
export const ROW_HEIGHT = 13;
const EDGE_PIXELS = 8;
const NARROWEST = 2;
const WIDEST = 40;

export class View {
  constructor() {
    this.stepWidth = 9;
    this.left = 0;
    this.top = 0;
    this.width = 0;
    this.height = 0;
  }

  /** @param {number} step */
  x(step) {
    return KEYS_WIDTH + step * this.stepWidth - this.left;
  }

  /** @param {number} pitch */
  y(pitch) {
    return TOP_HEIGHT + (HIGHEST - pitch) * ROW_HEIGHT - this.top;
  }

  /** The fractional step at a place. @param {number} x */
  step(x) {
    return Math.max(0, (x - KEYS_WIDTH + this.left) / this.stepWidth);
  }

  /** @param {number} y */
  pitch(y) {
    const pitch = HIGHEST - Math.floor((y - TOP_HEIGHT + this.top) / ROW_HEIGHT);
    return Math.min(HIGHEST, Math.max(LOWEST, pitch));
  }

  /** Size of the whole roll. @param {Score} score */
  size(score) {
    return {
      width: KEYS_WIDTH + score.num_steps * this.stepWidth + 40,
      height: TOP_HEIGHT + (HIGHEST - LOWEST + 1) * ROW_HEIGHT,
    };
  }

  /** @param {number} factor */
  zoom(factor) {
    this.stepWidth = Math.min(WIDEST, Math.max(NARROWEST, this.stepWidth * factor));
  }

  /**
   * The area of the roll at a place.
   * @param {number} x
   * @param {number} y
   * @returns {"ruler" | "keys" | "grid"}
   */
  region(x, y) {
    if (y < TOP_HEIGHT) return "ruler";
    return x < KEYS_WIDTH ? "keys" : "grid";
  }

  /**
   * The note at a place, and whether the place is at its end. The active part is on top.
   * @param {Score} score
   * @param {number} active
   * @param {number} x
   * @param {number} y
   * @returns {{note: Note, atEnd: boolean} | null}
   */
  hit(score, active, x, y) {
    const [step, pitch] = [this.step(x), this.pitch(y)];
    const here = score.notes.filter(
      (note) => note.pitch === pitch && note.start <= step && step < note.start + note.duration,
    );
    const note = here.find((one) => one.track === active) ?? here.at(-1);
    if (!note) return null;
    const edge = Math.min(EDGE_PIXELS, (note.duration * this.stepWidth) / 3);
    return { note, atEnd: this.x(note.start + note.duration) - x < edge };
  }

  /**
   * The notes that touch a rectangle.
   * @param {Score} score
   * @param {{x: number, y: number}} a
   * @param {{x: number, y: number}} b
   */
  inside(score, a, b) {
    const [from, to] = [this.step(Math.min(a.x, b.x)), this.step(Math.max(a.x, b.x))];
    const [high, low] = [this.pitch(Math.min(a.y, b.y)), this.pitch(Math.max(a.y, b.y))];
    return score.notes.filter(
      ({ pitch, start, duration }) =>
        low <= pitch && pitch <= high && start < to && start + duration > from,
    );
  }
}
