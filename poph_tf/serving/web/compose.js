// Sends requests to the composer and shows bars as they arrive; one request at a time,
// which can be cancelled.

import * as api from "./api.js";
import { button, find, say, tried } from "./dom.js";
import { pretty } from "./harmony.js";
import { request, roles } from "./request.js";
import { barNumber, barStarts, barSteps, isEmpty, silence } from "./score.js";
import { UNNAMED } from "./store.js";

/** @import {Bar, Piece} from "./api.js" */
/** @import {Player} from "./player.js" */
/** @import {Task} from "./request.js" */
/** @import {Store} from "./store.js" */
/** @import {Score} from "./types.js" */

/** What each task composes. */
const TASKS = {
  compose: "a new piece, as long as Length says",
  continue: "bars after the music",
  harmonize: "the parts that are not locked; without a lock all but the melody",
  accompany: "the parts that are not locked; without a lock all but the active part",
  infill: "the lasso, or the chosen bars of the parts that are not locked",
  vary: "the parts that are not locked, in the chosen bars if some are; without a lock the active part",
  reharmonize: "all but the melody",
};
const LARGEST_SEED = 2 ** 31;
const MOST_TRIES = 4;
// After this many silent bars, another seed is tried.
const SILENT_BARS = 2;

export class Composing {
  /** @param {Store} store @param {Player} player @param {() => void} done */
  constructor(store, player, done) {
    this.store = store;
    this.player = player;
    this.done = done;
    /** @type {AbortController | null} */
    this.running = null;
    /** @type {Score[]} */
    this.drafts = [];
    /** The first new step; -1 before it has arrived. */
    this.first = -1;
    /** How many bars of a draft are expected, and how many have arrived. */
    this.bars = 0;
    this.seen = 0;
    /** Whether the last request was abandoned because nothing sounded. */
    this.silent = false;
    /** Whether a silent piece may be abandoned early. */
    this.retries = false;
    for (const task of /** @type {Task[]} */ (Object.keys(TASKS))) {
      button(`do-${task}`).addEventListener("click", () => tried(() => this.run(task)));
    }
    button("cancel").addEventListener("click", () => this.cancel());
    store.on(["settings"], () => this.showTasks());
  }

  cancel() {
    this.running?.abort();
    say("Cancelled.");
  }

  /** Disables what the model cannot do, and says why. */
  showTasks() {
    const { model } = this.store;
    for (const [task, what] of Object.entries(TASKS)) {
      const able = !!model && (!model.tasks.length || model.tasks.includes(task));
      const element = button(`do-${task}`);
      element.setAttribute("aria-disabled", String(!able));
      element.classList.toggle("unable", !able);
      element.title = able || !model ? `Composes ${what}` : `The model ${model.name} cannot ${task}`;
    }
  }

  /** @param {Task} task */
  async run(task) {
    if (button(`do-${task}`).getAttribute("aria-disabled") === "true") {
      return say(this.store.model ? button(`do-${task}`).title : "No model is loaded yet.", true);
    }
    const { settings } = this.store;
    // Nobody wants silence: it is drawn again with another seed.
    for (let left = settings.fresh ? MOST_TRIES : 1; left > 0; left--) {
      if (settings.fresh) settings.seed = this.freshSeed();
      if (await this.ask(task)) return;
    }
    say("The composer chose silence; try again, or another seed.");
  }

  freshSeed() {
    const { model } = this.store;
    const seed = model?.first_seed ?? Math.floor(Math.random() * LARGEST_SEED);
    delete model?.first_seed;
    return seed;
  }

  /** @param {Task} task @returns {Promise<boolean>} whether anything sounds */
  async ask(task) {
    const { store, player } = this;
    const name = button(`do-${task}`).textContent ?? task;
    const body = request(store, task);
    // Must be resumed within the click, while the composer starts.
    if (store.settings.listen) player.synth.wake();
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.prepare(task, Number(store.settings.candidates));
    this.showRunning(name);
    try {
      const started = performance.now();
      const answer = await api.compose(task, body, (bar) => this.take(bar), running.signal);
      if (answer.pieces.every(isEmpty)) {
        this.giveUp();
        return false;
      }
      this.finish(answer.pieces, name);
      if (task === "compose") store.name = UNNAMED;
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const keys = new Set(answer.pieces.filter(({ key }) => key).map(({ key }) => `, in ${pretty(key)}`));
      say([`${name}: done in ${seconds} s${[...keys].join("")}.`, ...(answer.changes ?? [])].join(" "));
      return true;
    } catch (error) {
      if (this.running === running) this.giveUp();
      if (this.silent) return false;
      throw error;
    } finally {
      if (this.running === running) this.stopRunning();
    }
  }

  /** @param {string} name */
  showRunning(name) {
    document.body.classList.add("composing");
    find("progress", HTMLProgressElement).removeAttribute("value");
    say(`${name}: composing…`);
    button("cancel").hidden = false;
  }

  stopRunning() {
    this.running = null;
    this.player.limit = Infinity;
    document.body.classList.remove("composing");
    const cancel = button("cancel");
    const focused = document.activeElement === cancel;
    cancel.hidden = true;
    if (focused) button("do-compose").focus();
  }

  /** Back to the kept score. */
  giveUp() {
    this.player.pause();
    this.store.look(null);
  }

  /** Drafts that receive the bars. @param {Task} task @param {number} count */
  prepare(task, count) {
    const { store } = this;
    const tracks = store.model?.tracks ?? [];
    const kept = arranged(store, task);
    const { metre, tempo } = store.shown;
    const base = kept ?? silence(tracks, Number(store.settings.bars), metre, tempo);
    const more = task === "continue" ? Number(store.settings.bars) * barSteps(base) : 0;
    const draft = { ...base, num_steps: base.num_steps + more };
    this.drafts = Array.from({ length: count }, () => draft);
    this.first = -1;
    this.silent = false;
    this.retries = task === "compose" && count === 1 && !!store.settings.fresh;
    this.bars = task === "compose" || task === "continue" ? Number(store.settings.bars) : barStarts(base).length;
    this.seen = 0;
  }

  /** Inserts a drawn bar. @param {Bar} bar */
  take({ candidate, start, num_steps, notes }) {
    const draft = this.drafts[candidate];
    if (!draft) return;
    const end = start + num_steps;
    this.drafts[candidate] = withBar(draft, start, end, notes);
    if (candidate !== 0) return;
    this.store.look(this.drafts[0]);
    this.seen += 1;
    if (this.retries && this.seen >= SILENT_BARS && isEmpty(this.drafts[0])) {
      this.silent = true;
      this.running?.abort();
      return;
    }
    const progress = find("progress", HTMLProgressElement);
    progress.max = Math.max(this.bars, this.seen);
    progress.value = this.seen;
    say(`Composing: bar ${barNumber(draft, start)}.`);
    this.player.limit = end;
    if (this.first < 0) this.begin(start);
  }

  /** Plays from the first new bar on. @param {number} start */
  begin(start) {
    this.first = start;
    if (this.store.settings.listen) this.player.play(start);
  }

  /** @param {Piece[]} pieces @param {string} name */
  finish(pieces, name) {
    const { store, player } = this;
    player.limit = Infinity;
    const order = roles(store);
    // A key that a file states is kept; a key drawn for a piece is not.
    const { key } = this.drafts[0];
    const scores = pieces.map((piece) => (key ? { ...scoreOf(piece), key } : scoreOf(piece)));
    store.candidates = scores.map((score, k) => ({ score, label: `${name} ${k + 1}` }));
    store.look(null);
    store.mix = carried(store, order, scores[0]);
    if (scores.length === 1) store.edit(scores[0]);
    else store.look(scores[0]);
    store.tell("candidates", "parts", "settings");
    this.done();
    if (this.first < 0 && store.settings.listen) player.play(0);
  }
}

/**
 * A draft with the notes of a bar added; notes tied to the previous bar are extended.
 * @param {Score} draft
 * @param {number} start
 * @param {number} end
 * @param {Bar["notes"]} drawn
 * @returns {Score}
 */
export function withBar(draft, start, end, drawn) {
  const notes = draft.notes.filter((note) => note.start < start || note.start >= end);
  for (const { tied, ...note } of drawn) {
    const before = notes.findLastIndex(
      (one) => one.track === note.track && one.pitch === note.pitch && one.start < start,
    );
    if (!tied || before < 0) notes.push(note);
    else notes[before] = { ...notes[before], duration: note.start + note.duration - notes[before].start };
  }
  return { ...draft, notes };
}

/** A piece without the fields that only a response has. @param {Piece} piece @returns {Score} */
function scoreOf({ seed, key, ...score }) {
  return score;
}

/**
 * The score in the model's tracks; null for a task that takes no music.
 * @param {Store} store @param {Task} task @returns {Score | null}
 */
function arranged(store, task) {
  const { shown, model } = store;
  if (task === "compose" || isEmpty(shown)) return null;
  if (!model?.tracks.length) return shown;
  const places = roles(store).map((role) => model.tracks.findIndex((track) => track.name === role));
  const notes = shown.notes
    .map((note) => ({ ...note, track: places[note.track] }))
    .filter((note) => note.track >= 0);
  return { ...shown, tracks: model.tracks, notes };
}

/**
 * Volumes and locks of the parts, carried over to the tracks of the response.
 * @param {Store} store @param {string[]} order previous roles @param {Score} score
 */
function carried(store, order, score) {
  return score.tracks.map((track, k) => {
    const before = store.mix[order.indexOf(track.name)];
    const mix = before ?? { ...(store.mix[k] ?? { volume: 0.8, muted: false }), locked: false };
    return { volume: mix.volume, muted: mix.muted, locked: mix.locked };
  });
}
