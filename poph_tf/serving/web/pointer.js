// Mouse, pen and touch on the roll: draw, move, resize, delete, lasso, choose bars.

import { moved, barsAround, notesOf, replaceNotes, resized } from "./score.js";

/** @import {Roll} from "./roll.js" */
/** @import {Point} from "./paint.js" */
/** @import {Area, Note, Score} from "./types.js" */
/** @typedef {{move: (point: Point) => void, end: () => void}} Gesture */
/** @typedef {"draw" | "lasso"} Tool */

const CLICK_PIXELS = 4;

export class Pointer {
  /** @param {Roll} roll */
  constructor(roll) {
    this.roll = roll;
    this.store = roll.store;
    this.view = roll.view;
    /** @type {Tool} */
    this.tool = "draw";
    this.length = 4;
    /** @type {Gesture | null} */
    this.gesture = null;
    const { canvas } = roll;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.up());
    canvas.addEventListener("dblclick", (event) => this.erase(event));
    canvas.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      this.erase(event);
    });
    // A finger scrolls empty parts of the roll; notes, ruler and lasso take the touch.
    const taken = (/** @type {TouchEvent} */ event) => this.takes(event) && event.preventDefault();
    canvas.addEventListener("touchstart", taken, { passive: false });
  }

  /** @param {{clientX: number, clientY: number}} event @returns {Point} */
  point(event) {
    const { left, top } = this.roll.canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  /** @param {TouchEvent} event */
  takes(event) {
    const { x, y } = this.point(event.touches[0]);
    if (event.touches.length > 1) return false;
    const onNote = this.view.hit(this.store.shown, this.store.active, x, y);
    return this.tool === "lasso" || this.view.region(x, y) !== "grid" || !!onNote;
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button !== 0 || this.gesture) return;
    const point = this.point(event);
    this.roll.scene.cursor = null;
    this.roll.canvas.setPointerCapture(event.pointerId);
    this.gesture = this.begin(point, event);
  }

  /** @param {Point} point @param {PointerEvent} event @returns {Gesture} */
  begin(point, event) {
    const region = this.view.region(point.x, point.y);
    if (region === "ruler") return this.chooseBars(point);
    if (region === "keys") return this.playKey(point);
    const hit = this.view.hit(this.store.shown, this.store.active, point.x, point.y);
    const held = hit && (this.tool === "draw" || this.store.selection.has(hit.note));
    if (hit && held && !event.shiftKey) return this.drag(hit.note, hit.atEnd, point);
    if (this.tool === "lasso" || event.shiftKey) return this.lasso(point);
    return event.pointerType === "touch" ? this.tap(point) : this.draw(point);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const point = this.point(event);
    if (this.gesture) return this.gesture.move(point);
    const hit = this.view.hit(this.store.shown, this.store.active, point.x, point.y);
    const inGrid = this.view.region(point.x, point.y) === "grid";
    let shape = inGrid ? (this.tool === "draw" ? "crosshair" : "default") : "pointer";
    if (inGrid && hit) shape = hit.atEnd ? "ew-resize" : "grab";
    this.roll.canvas.style.cursor = shape;
  }

  up() {
    const { gesture } = this;
    this.gesture = null;
    gesture?.end();
  }

  /** Deletes the note under the pointer. @param {MouseEvent} event */
  erase(event) {
    const { x, y } = this.point(event);
    if (this.view.region(x, y) !== "grid") return;
    const hit = this.view.hit(this.store.shown, this.store.active, x, y);
    if (hit) this.store.edit(replaceNotes(this.store.shown, [hit.note], []));
  }

  /**
   * A gesture that changes the original score at each move, and is one step of the
   * history.
   * @param {(point: Point) => [Score, Note[]] | null} change
   * @param {() => void} [done]
   * @returns {Gesture}
   */
  editing(change, done = () => {}) {
    const base = this.store.score;
    let changed = false;
    return {
      move: (point) => {
        const made = change(point);
        if (!made) return;
        changed = true;
        this.store.show(...made);
      },
      end: () => {
        if (changed) this.store.remember(base);
        if (changed) this.store.tell("score");
        done();
      },
    };
  }

  /** Draws a new note; dragging sets its length. @param {Point} point @returns {Gesture} */
  draw(point) {
    const { store, view, roll } = this;
    const base = store.shown;
    const [pitch, start] = [view.pitch(point.y), Math.floor(view.step(point.x))];
    const note = { track: store.active, pitch, start, duration: this.length, velocity: 80 };
    const gesture = this.editing(({ x }) => {
      const far = Math.abs(x - point.x) > CLICK_PIXELS;
      const drawn = far ? Math.max(1, Math.ceil(view.step(x)) - start) : this.length;
      const longer = { ...note, duration: drawn };
      this.drawn = drawn;
      return [replaceNotes(base, [], [longer]), [longer]];
    }, () => (this.length = this.drawn ?? this.length));
    gesture.move(point);
    roll.player.touch(pitch);
    return gesture;
  }

  /** A finger adds a note if it has not scrolled. @param {Point} point @returns {Gesture} */
  tap(point) {
    let still = true;
    return {
      move: ({ x, y }) => (still &&= Math.hypot(x - point.x, y - point.y) < 2 * CLICK_PIXELS),
      end: () => still && this.draw(point).end(),
    };
  }

  /**
   * Moves or resizes a note and those selected with it.
   * @param {Note} note @param {boolean} atEnd @param {Point} point @returns {Gesture}
   */
  drag(note, atEnd, point) {
    const { store, view } = this;
    const base = store.shown;
    const notes = store.selection.has(note) ? [...store.selection] : [note];
    store.selection = new Set(notes);
    store.active = note.track;
    store.tell("choice", "parts");
    this.roll.player.touch(note.pitch);
    let last = "";
    return this.editing(({ x, y }) => {
      const steps = Math.round((x - point.x) / view.stepWidth);
      const semitones = atEnd ? 0 : view.pitch(y) - view.pitch(point.y);
      const to = `${steps} ${semitones}`;
      if (to === last || (!last && to === "0 0")) return null;
      last = to;
      const made = atEnd ? resized(notes, steps) : moved(notes, steps, semitones);
      if (atEnd && notes.length === 1) this.length = made[0].duration;
      return [replaceNotes(base, notes, made), made];
    });
  }

  /** Selects notes, and areas of their parts for Infill. @param {Point} a @returns {Gesture} */
  lasso(a) {
    const { store, view, roll } = this;
    let b = a;
    return {
      move: (point) => {
        b = point;
        roll.scene.lasso = [a, b];
        roll.repaint();
      },
      end: () => {
        roll.scene.lasso = null;
        store.selection = new Set(view.inside(store.shown, a, b));
        const drawn = Math.abs(b.x - a.x) > CLICK_PIXELS;
        store.choose(null, drawn ? this.areas(a, b) : []);
      },
    };
  }

  /** @param {Point} a @param {Point} b @returns {Area[]} */
  areas(a, b) {
    const { store, view } = this;
    const start = Math.round(view.step(Math.min(a.x, b.x)));
    const end = Math.min(store.shown.num_steps, Math.round(view.step(Math.max(a.x, b.x))));
    const parts = new Set([...store.selection].map((note) => note.track));
    if (!parts.size) parts.add(store.active);
    return end > start ? [...parts].map((track) => ({ track, start, end })) : [];
  }

  /** A click on the ruler seeks; a drag chooses bars. @param {Point} point @returns {Gesture} */
  chooseBars(point) {
    const { store, view, roll } = this;
    let dragged = false;
    const first = view.step(point.x);
    return {
      move: ({ x }) => {
        dragged ||= Math.abs(x - point.x) > CLICK_PIXELS;
        if (dragged) store.choose(barsAround(store.shown, first, view.step(x)));
      },
      end: () => {
        if (dragged) return;
        if (store.range && (first < store.range.from || first >= store.range.to)) store.choose(null);
        roll.player.seek(Math.floor(first));
      },
    };
  }

  /** Plays keys of the keyboard at the side. @param {Point} point @returns {Gesture} */
  playKey(point) {
    const { roll, view } = this;
    let pitch = view.pitch(point.y);
    let release = roll.player.press(pitch);
    const light = (/** @type {number[]} */ pitches) => {
      roll.scene.held = new Set(pitches);
      roll.repaint();
    };
    light([pitch]);
    return {
      move: ({ y }) => {
        if (view.pitch(y) === pitch) return;
        release();
        pitch = view.pitch(y);
        release = roll.player.press(pitch);
        light([pitch]);
      },
      end: () => {
        release();
        light([]);
      },
    };
  }

  /** Selects all notes of the active part. */
  selectPart() {
    this.store.selection = new Set(notesOf(this.store.shown, this.store.active));
    this.store.tell("choice");
  }
}
