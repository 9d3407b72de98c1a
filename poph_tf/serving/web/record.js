// Records a MIDI keyboard or the computer's keyboard, after a one-bar count-in.

import { say } from "./dom.js";
import { barSteps, replaceNotes } from "./score.js";

/** @import {Roll} from "./roll.js" */
/** @import {Note} from "./types.js" */
/** @typedef {{pitch: number, velocity: number, start: number, release: () => void}} Held */

const [NOTE_OFF, NOTE_ON] = [8, 9];

export class Recorder extends EventTarget {
  /** @param {Roll} roll */
  constructor(roll) {
    super();
    this.roll = roll;
    this.store = roll.store;
    this.player = roll.player;
    this.recording = false;
    /** The first recorded step; earlier notes are ignored. */
    this.start = 0;
    this.wasLooping = false;
    /** @type {Note[]} */
    this.taken = [];
    /** @type {Map<string, Held>} by the key that holds it */
    this.held = new Map();
    /** @type {MIDIAccess | null} */
    this.access = null;
    this.player.addEventListener("change", () => {
      if (this.recording && !this.player.playing) this.finish();
    });
  }

  /** Asks for access to MIDI keyboards; one can also be plugged in later. */
  async connect() {
    if (!navigator.requestMIDIAccess) {
      throw new Error("This browser has no WebMIDI; the computer's keyboard can play instead.");
    }
    this.access ??= await navigator.requestMIDIAccess().catch(() => {
      throw new Error("The browser did not allow MIDI; allow it for this page and try again.");
    });
    const listen = () => {
      for (const input of this.access?.inputs.values() ?? []) {
        input.onmidimessage = (event) => this.receive(event.data);
      }
    };
    this.access.onstatechange = listen;
    listen();
    const names = [...this.access.inputs.values()].map((input) => input.name ?? "a keyboard");
    return names;
  }

  /** @param {Uint8Array | null} data a MIDI message */
  receive(data) {
    if (!data || data.length < 3) return;
    const [kind, pitch, velocity] = [data[0] >> 4, data[1], data[2]];
    if (kind === NOTE_ON && velocity > 0) this.noteOn(pitch, velocity, `midi ${pitch}`);
    else if (kind === NOTE_ON || kind === NOTE_OFF) this.noteOff(`midi ${pitch}`);
  }

  /** @param {number} pitch @param {number} velocity @param {string} key */
  noteOn(pitch, velocity, key) {
    this.noteOff(key);
    const release = this.player.press(pitch, velocity);
    this.held.set(key, { pitch, velocity, start: this.player.position, release });
    this.light();
  }

  /** @param {string} key */
  noteOff(key) {
    const held = this.held.get(key);
    if (!held) return;
    held.release();
    this.held.delete(key);
    if (this.recording) this.take(held);
    this.light();
  }

  releaseAll() {
    for (const key of [...this.held.keys()]) this.noteOff(key);
  }

  light() {
    this.roll.scene.held = new Set([...this.held.values()].map((held) => held.pitch));
    this.roll.repaint();
  }

  /** Quantizes a played note. @param {Held} held */
  take({ pitch, velocity, start }) {
    const first = Math.round(start);
    const duration = Math.max(1, Math.round(this.player.position) - first);
    if (first < this.start) return;
    this.taken.push({ track: this.store.active, pitch, start: first, duration, velocity });
  }

  /** Starts after a one-bar count-in, at the player's bar. */
  async record() {
    const { store, player } = this;
    const bar = barSteps(store.shown);
    this.start = Math.floor(player.position / bar) * bar;
    this.taken = [];
    this.wasLooping = player.looping;
    player.looping = false;
    player.endless = player.metronome = true;
    await player.play(this.start - bar);
    this.recording = true;
    say("A one-bar count-in, then play. Stop ends the recording.");
    this.dispatchEvent(new Event("change"));
  }

  /** Ends the recording; its notes are one step of the history. */
  finish() {
    const { store, player, taken } = this;
    this.releaseAll();
    this.recording = false;
    player.endless = player.metronome = false;
    player.looping = this.wasLooping;
    if (player.playing) player.pause();
    if (taken.length) store.edit(replaceNotes(store.shown, [], taken), taken);
    const count = taken.length === 1 ? "1 note" : `${taken.length} notes`;
    say(taken.length ? `Recorded ${count}.` : "Nothing was played.");
    this.dispatchEvent(new Event("change"));
  }
}
