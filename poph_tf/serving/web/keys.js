// Keyboard control: using the roll by keyboard alone, shortcuts, and the computer's
// keyboard as a piano.

import { whisper } from "./dom.js";
import { barsAround, barSteps, HIGHEST, LOWEST, pitchName, place, replaceNotes } from "./score.js";

/** @import {Editing} from "./editing.js" */
/** @import {Pointer} from "./pointer.js" */
/** @import {Recorder} from "./record.js" */
/** @import {Roll} from "./roll.js" */

// Two rows of a keyboard from C4, by key position, whatever the layout.
const PIANO = [
  "KeyA", "KeyW", "KeyS", "KeyE", "KeyD", "KeyF", "KeyT", "KeyG", "KeyY", "KeyH", "KeyU",
  "KeyJ", "KeyK", "KeyO", "KeyL", "KeyP", "Semicolon", "Quote",
];
const MIDDLE_C = 60;

/** Whether an element handles letters or arrows itself. @param {EventTarget | null} target */
function types(target) {
  return target instanceof HTMLElement && !!target.closest("input, select, textarea, [role=dialog]");
}

export class Keys {
  /** @param {Roll} roll @param {Editing} editing @param {Pointer} pointer @param {Recorder} recorder */
  constructor(roll, editing, pointer, recorder) {
    this.roll = roll;
    this.store = roll.store;
    this.editing = editing;
    this.pointer = pointer;
    this.recorder = recorder;
    this.piano = false;
    this.octave = 0;
    roll.box.addEventListener("keydown", (event) => this.onRoll(event));
    roll.box.addEventListener("focus", () => this.showCursor());
    roll.box.addEventListener("blur", () => this.hideCursor());
    document.addEventListener("keydown", (event) => this.anywhere(event));
    document.addEventListener("keyup", (event) => this.letGo(event));
    window.addEventListener("blur", () => recorder.releaseAll());
  }

  /** The cursor is only shown after keyboard focus. */
  showCursor() {
    if (!this.roll.box.matches(":focus-visible")) return;
    const step = Math.floor(this.roll.player.position);
    this.roll.scene.cursor ??= { step, pitch: MIDDLE_C };
    this.tellCursor();
  }

  hideCursor() {
    this.roll.scene.cursor = null;
    this.roll.repaint();
  }

  get cursor() {
    const step = Math.floor(this.roll.player.position);
    return (this.roll.scene.cursor ??= { step, pitch: MIDDLE_C });
  }

  /** The note under the cursor. */
  get under() {
    const { step, pitch } = this.cursor;
    return this.store.shown.notes.find(
      (note) => note.pitch === pitch && note.start <= step && step < note.start + note.duration,
    );
  }

  tellCursor() {
    const { step, pitch } = this.cursor;
    const { under, store } = this;
    const what = under ? `, ${store.shown.tracks[under.track].name}, ${under.duration} steps` : "";
    whisper(`${pitchName(pitch)}, ${place(store.shown, step)}${what}`);
    this.roll.reveal(step, pitch);
    this.roll.repaint();
  }

  /** @param {KeyboardEvent} event */
  onRoll(event) {
    const arrows = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, 1],
      ArrowDown: [0, -1],
    });
    const arrow = arrows[event.key];
    if (arrow) this.arrow(event, ...arrow);
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "Enter") this.enter();
    else if (event.key === "PageUp") this.moveCursor(0, 12);
    else if (event.key === "PageDown") this.moveCursor(0, -12);
    else if (event.key === "Home") this.moveCursor(-this.cursor.step, 0);
    else if (event.key === "End") this.moveCursor(this.store.shown.num_steps, 0);
    else if (event.key === "[" || event.key === "]") this.jump(event.key === "]");
    else return;
    event.preventDefault();
  }

  /**
   * Arrows move the cursor, by bars with Ctrl; with Alt they move the selection, with
   * Shift its end, with both the chosen bars.
   * @param {KeyboardEvent} event @param {number} steps @param {number} semitones
   */
  arrow(event, steps, semitones) {
    const bar = barSteps(this.store.shown);
    if (event.altKey && event.shiftKey) return this.extendBars(steps);
    if (event.altKey) return this.editing.move(steps, semitones);
    if (event.shiftKey) return this.editing.resize(steps || semitones);
    const far = event.ctrlKey || event.metaKey;
    this.moveCursor(steps * (far ? bar : 1), semitones * (far ? 12 : 1));
  }

  /** @param {number} steps @param {number} semitones */
  moveCursor(steps, semitones) {
    const { cursor } = this;
    const last = this.store.shown.num_steps - 1;
    cursor.step = Math.min(last, Math.max(0, cursor.step + steps));
    cursor.pitch = Math.min(HIGHEST, Math.max(LOWEST, cursor.pitch + semitones));
    if (semitones) this.roll.player.touch(cursor.pitch);
    this.tellCursor();
  }

  /** Chooses the cursor's bar, or extends the chosen bars. @param {number} steps */
  extendBars(steps) {
    const { shown, range } = this.store;
    const bar = barSteps(shown);
    const from = range?.from ?? this.cursor.step;
    const to = Math.max(from, (range ? range.to - 1 : from) + (range ? steps * bar : 0));
    const chosen = barsAround(shown, from, Math.min(to, shown.num_steps - 1));
    this.store.choose(chosen);
    whisper(`Chosen: ${place(shown, chosen.from)} to ${place(shown, chosen.to - 1)}`);
  }

  /** Adds a note at the cursor, or selects the one there, or deletes it if selected. */
  enter() {
    const { store, under, cursor, pointer } = this;
    if (under && store.selection.has(under)) return this.editing.remove();
    if (under) {
      store.selection = new Set([under]);
      store.active = under.track;
      store.tell("choice", "parts");
      return whisper(`${pitchName(under.pitch)} selected`);
    }
    const note = { track: store.active, pitch: cursor.pitch, start: cursor.step };
    const whole = { ...note, duration: pointer.length, velocity: 80 };
    store.edit(replaceNotes(store.shown, [], [whole]), [whole]);
    this.roll.player.touch(cursor.pitch);
    whisper(`${pitchName(cursor.pitch)} added, ${pointer.length} steps`);
  }

  /** Goes to the next or previous note of the active part. @param {boolean} forward */
  jump(forward) {
    const { store, cursor } = this;
    const notes = store.shown.notes
      .filter((note) => note.track === store.active)
      .filter((note) => (forward ? note.start > cursor.step : note.start < cursor.step))
      .sort((a, b) => (forward ? a.start - b.start : b.start - a.start));
    if (!notes.length) return whisper("No more notes in this part");
    [cursor.step, cursor.pitch] = [notes[0].start, notes[0].pitch];
    this.tellCursor();
  }

  /** @param {KeyboardEvent} event */
  anywhere(event) {
    if (event.defaultPrevented || types(event.target)) return;
    if (event.ctrlKey || event.metaKey) return this.command(event);
    const { player } = this.roll;
    const onButton = event.target instanceof Element && event.target.closest("button, summary, a");
    if (event.key === " " && !onButton) player.playing ? player.pause() : player.play();
    else if (event.key === "Delete" || event.key === "Backspace") this.editing.remove();
    else if (event.key === "Escape") this.letChoiceGo();
    else if (event.key === "," || event.key === ".") this.seek(event.key === "." ? 1 : -1);
    else if (!this.playPiano(event)) return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  command(event) {
    const { editing, roll, store } = this;
    const at = roll.scene.cursor?.step ?? Math.floor(roll.player.position);
    const commands = /** @type {Record<string, () => void>} */ ({
      z: () => (event.shiftKey ? editing.redo() : editing.undo()),
      y: () => editing.redo(),
      c: () => editing.copy(),
      x: () => editing.cut(),
      v: () => editing.paste(at),
      a: () => editing.selectAll(),
    });
    const command = commands[event.key.toLowerCase()];
    if (!command || (event.key === "c" && !store.selection.size)) return;
    event.preventDefault();
    command();
  }

  letChoiceGo() {
    this.store.selection = new Set();
    this.store.choose(null);
  }

  /** @param {number} bars */
  seek(bars) {
    const { player } = this.roll;
    const bar = barSteps(this.store.shown);
    const at = Math.max(0, (Math.round(player.position / bar) + bars) * bar);
    player.seek(at);
    whisper(`Bar ${place(this.store.shown, at)}`);
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it is a piano key */
  playPiano(event) {
    if (!this.piano || event.altKey) return false;
    if (event.code === "KeyZ" || event.code === "KeyX") {
      this.octave = Math.min(3, Math.max(-3, this.octave + (event.code === "KeyX" ? 1 : -1)));
      whisper(`Piano from ${pitchName(MIDDLE_C + 12 * this.octave)}`);
      return true;
    }
    const place = PIANO.indexOf(event.code);
    if (place < 0) return false;
    if (!event.repeat) this.recorder.noteOn(MIDDLE_C + 12 * this.octave + place, 90, event.code);
    return true;
  }

  /** @param {KeyboardEvent} event */
  letGo(event) {
    if (PIANO.includes(event.code)) this.recorder.noteOff(event.code);
  }
}
