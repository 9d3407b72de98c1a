// The state of the page: the score and its history, the choice, the settings.
// Views listen to the kinds of change that concern them.

import { isScore, silence } from "./score.js";

/** @import {Area, Candidate, Mix, Model, Note, Range, Saved, Score, Settings} from "./types.js" */
/** @typedef {"score" | "choice" | "parts" | "settings" | "candidates"} Kind */

const KEY = "poph-studio";
const SAVE_MILLISECONDS = 300;
const MOST_UNDOS = 200;
export const UNNAMED = "music";

export class Store {
  /** @param {Settings} defaults */
  constructor(defaults) {
    /** @type {Score} */
    this.score = silence([]);
    /** Name of the file that Save writes, without its suffix. */
    this.name = UNNAMED;
    /** @type {Score | null} A candidate that is played but not kept. */
    this.preview = null;
    /** @type {Model[]} */
    this.models = [];
    /** @type {Model | undefined} */
    this.model = undefined;
    /** @type {Mix[]} */
    this.mix = [];
    /** @type {Settings} */
    this.settings = { ...defaults };
    /** @type {Candidate[]} */
    this.candidates = [];
    this.active = 0;
    /** @type {Set<Note>} */
    this.selection = new Set();
    /** @type {Range | null} */
    this.range = null;
    /** @type {Area[]} */
    this.areas = [];
    /** @type {Score[]} */
    this.past = [];
    /** @type {Score[]} */
    this.future = [];
    /** @type {Map<Kind, (() => void)[]>} */
    this.listeners = new Map();
    /** @type {string} */
    this.savedModel = "";
    this.timer = 0;
  }

  /** The score that the roll shows and the player plays. */
  get shown() {
    return this.preview ?? this.score;
  }

  /**
   * @param {Kind[]} kinds
   * @param {() => void} listener
   */
  on(kinds, listener) {
    for (const kind of kinds) {
      this.listeners.set(kind, [...(this.listeners.get(kind) ?? []), listener]);
    }
  }

  /** @param {...Kind} kinds */
  tell(...kinds) {
    const listeners = new Set(kinds.flatMap((kind) => this.listeners.get(kind) ?? []));
    for (const listener of listeners) listener();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), SAVE_MILLISECONDS);
  }

  /**
   * An edit that can be undone. Editing a candidate keeps it.
   * @param {Score} score
   * @param {Iterable<Note>} [selection]
   */
  edit(score, selection = []) {
    this.remember(this.score);
    this.show(score, selection);
  }

  /**
   * An intermediate state of a gesture, which is remembered when it ends.
   * @param {Score} score
   * @param {Iterable<Note>} selection
   */
  show(score, selection) {
    const parts = score.tracks !== this.shown.tracks;
    this.score = score;
    this.preview = null;
    this.selection = new Set(selection);
    if (parts) this.fitParts();
    this.tell("score", "choice", ...(parts ? /** @type {Kind[]} */ (["parts"]) : []));
  }

  /** @param {Score} score */
  remember(score) {
    this.past = [...this.past, score].slice(-MOST_UNDOS);
    this.future = [];
  }

  undo() {
    const [from, to] = [this.past, this.future];
    return this.travel(from, to);
  }

  redo() {
    return this.travel(this.future, this.past);
  }

  /**
   * @param {Score[]} from
   * @param {Score[]} to
   * @returns {boolean} whether there was anything to take
   */
  travel(from, to) {
    const score = from.pop();
    if (!score) return false;
    to.push(this.score);
    this.show(score, []);
    return true;
  }

  /** @param {Score | null} score */
  look(score) {
    this.preview = score;
    this.selection = new Set();
    this.fitParts();
    this.tell("score", "choice", "parts");
  }

  /** Gives each part of the score its entry in the mixer. */
  fitParts() {
    const tracks = this.shown.tracks;
    this.mix = tracks.map((_, k) => this.mix[k] ?? { volume: 0.8, muted: false, locked: false });
    this.active = Math.min(this.active, tracks.length - 1);
    if (this.range && this.range.to > this.shown.num_steps) this.range = null;
    this.areas = this.areas.filter((area) => area.end <= this.shown.num_steps);
  }

  /**
   * @param {Range | null} range
   * @param {Area[]} [areas]
   */
  choose(range, areas = []) {
    this.range = range;
    this.areas = areas;
    this.tell("choice");
  }

  /** @param {string} name */
  setModel(name) {
    this.model = this.models.find((model) => model.name === name) ?? this.models[0];
    if (this.model && !this.shown.notes.length && !this.past.length) {
      const { metre, tempo } = this.score;
      this.score = silence(this.model.tracks, 8, metre, tempo);
    }
    this.fitParts();
    this.tell("score", "parts", "settings");
  }

  save() {
    const { name, score, mix, settings, candidates } = this;
    const model = this.model?.name ?? this.savedModel;
    const saved = { name, score: this.preview ?? score, mix, settings, candidates, model };
    try {
      localStorage.setItem(KEY, JSON.stringify(saved));
    } catch {
      // Storage may be unavailable in private windows, or full; the page still works.
      localStorage.removeItem(KEY);
    }
  }

  /** Restores the state of the last visit, if it can be read. */
  restore() {
    try {
      this.take(JSON.parse(localStorage.getItem(KEY) ?? "{}"));
    } catch {
      localStorage.removeItem(KEY);
    }
  }

  /** @param {Partial<Saved>} saved */
  take(saved) {
    if (isScore(saved.score)) [this.score, this.name] = [saved.score, saved.name ?? UNNAMED];
    if (Array.isArray(saved.mix)) this.mix = saved.mix;
    for (const [name, value] of Object.entries(saved.settings ?? {})) {
      if (typeof value === typeof this.settings[name]) this.settings[name] = value;
    }
    const offered = (saved.candidates ?? []).filter(({ score }) => isScore(score));
    if (offered.length) this.candidates = offered;
    this.savedModel = saved.model ?? this.savedModel;
    this.fitParts();
  }
}
