// Editing the selection with buttons and keys: delete, copy, paste, move, undo.

import { say } from "./dom.js";
import { moved, replaceNotes, resized } from "./score.js";

/** @import {Store} from "./store.js" */
/** @import {Note} from "./types.js" */

export class Editing {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** @type {Note[]} */
    this.clipboard = [];
  }

  get chosen() {
    return [...this.store.selection];
  }

  /** @param {Note[]} notes replacement for the selection */
  put(notes) {
    this.store.edit(replaceNotes(this.store.shown, this.chosen, notes), notes);
  }

  remove() {
    const count = this.chosen.length;
    if (!count) return say("Nothing is selected. Click a note, or draw a lasso around some.");
    this.put([]);
    say(`Deleted ${count === 1 ? "a note" : `${count} notes`}.`);
  }

  copy() {
    if (!this.chosen.length) return say("Nothing is selected to copy.");
    const first = Math.min(...this.chosen.map((note) => note.start));
    this.clipboard = this.chosen.map((note) => ({ ...note, start: note.start - first }));
    say(`Copied ${this.clipboard.length === 1 ? "a note" : `${this.clipboard.length} notes`}.`);
  }

  cut() {
    this.copy();
    if (this.chosen.length) this.put([]);
  }

  /** Pastes the notes into the parts they came from. @param {number} at step */
  paste(at) {
    if (!this.clipboard.length) return say("Nothing has been copied yet.");
    const { shown } = this.store;
    const last = shown.tracks.length - 1;
    const notes = this.clipboard.map((note) => ({
      ...note,
      start: note.start + at,
      track: Math.min(note.track, last),
    }));
    this.store.edit(replaceNotes(shown, [], notes), notes);
    say(`Pasted ${notes.length === 1 ? "a note" : `${notes.length} notes`}.`);
  }

  /** @param {number} steps @param {number} semitones */
  move(steps, semitones) {
    if (this.chosen.length) this.put(moved(this.chosen, steps, semitones));
  }

  /** @param {number} steps */
  resize(steps) {
    if (this.chosen.length) this.put(resized(this.chosen, steps));
  }

  selectAll() {
    this.store.selection = new Set(this.store.shown.notes);
    this.store.tell("choice");
  }

  undo() {
    say(this.store.undo() ? "Undone." : "Nothing to undo.");
  }

  redo() {
    say(this.store.redo() ? "Redone." : "Nothing to redo.");
  }
}
