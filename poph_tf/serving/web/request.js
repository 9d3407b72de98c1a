// Builds the body of a request from the choices on the page.

import { barNumber, isEmpty, notesOf } from "./score.js";

/** @import {Store} from "./store.js" */
/** @import {Score} from "./types.js" */
/** @typedef {"compose" | "continue" | "harmonize" | "accompany" | "infill" | "vary" | "reharmonize"} Task */

/**
 * The model's track for each part of the score, "" if none: as chosen, by name, or from
 * high to low.
 * @param {Store} store
 * @returns {string[]}
 */
export function roles(store) {
  const names = store.model?.tracks.map((track) => track.name) ?? [];
  const { tracks } = store.shown;
  const same = (/** @type {string} */ name) =>
    names.find((one) => one.toLowerCase() === name.trim().toLowerCase());
  if (tracks.every((track) => same(track.name))) return tracks.map((track) => same(track.name) ?? "");
  const order = tracks
    .map((_, k) => ({ k, mean: meanPitch(store.shown, k) }))
    .filter(({ mean }) => !Number.isNaN(mean))
    .sort((a, b) => b.mean - a.mean)
    .map(({ k }) => k);
  return tracks.map((track, k) => {
    const chosen = store.mix[k]?.role;
    if (chosen !== undefined && (chosen === "" || names.includes(chosen))) return chosen;
    return same(track.name) ?? names[order.indexOf(k)] ?? "";
  });
}

/** @param {Score} score @param {number} track */
function meanPitch(score, track) {
  const pitches = notesOf(score, track).map((note) => note.pitch);
  return pitches.reduce((sum, pitch) => sum + pitch, 0) / pitches.length;
}

/**
 * The settings that all tasks share.
 * @param {Store} store
 */
function common({ settings, shown, model }) {
  const body = /** @type {Record<string, unknown>} */ ({
    model: model?.name,
    candidates: Number(settings.candidates),
    seed: settings.seed,
    temperature: settings.temperature,
    tempo_qpm: shown.tempo,
  });
  if (settings.key) body.key = settings.key;
  const form = String(settings.form).replace(/\s/g, "").toUpperCase();
  if (form && model?.form) body.form = form === "FREE" ? "free" : form;
  if (settings.chords) body.chords = settings.chords;
  if (!settings.ending) body.ending = false;
  const style = styleOf(settings);
  if (style && (model?.styles.length ?? 0) > 1) body.style = style;
  return body;
}

/** @param {Store["settings"]} settings */
export function styleOf({ style, style_other, balance }) {
  if (!style || !style_other || style === style_other) return String(style);
  const share = Number(balance) / 100;
  return `${style}:${(1 - share).toFixed(2)},${style_other}:${share.toFixed(2)}`;
}

/**
 * The body of a request.
 * @param {Store} store
 * @param {Task} task
 * @returns {Record<string, unknown>}
 * @throws {Error} a message that says what to choose first
 */
export function request(store, task) {
  const body = common(store);
  const { shown, settings } = store;
  if (task === "compose") return { ...body, num_bars: settings.bars, metre: shown.metre };
  if (isEmpty(shown)) {
    throw new Error("There are no notes yet: draw some, open a file or take the example.");
  }
  Object.assign(body, music(store));
  if (task === "continue") return { ...body, num_bars: settings.bars };
  return { ...body, ...drawn(store, task) };
}

/** The notes and the tracks that they belong to. @param {Store} store */
function music(store) {
  const found = roles(store);
  const { shown } = store;
  const tracks = shown.tracks.map((track, k) => ({ ...track, name: track.name || `part ${k + 1}` }));
  const named = tracks
    .map((track, k) => (found[k] && notesOf(shown, k).length ? `${track.name}:${found[k]}` : ""))
    .filter((pair, k) => pair && tracks[k].name !== found[k]);
  const body = /** @type {Record<string, unknown>} */ ({ music: { ...shown, tracks } });
  if (!named.length || !store.model?.tracks.length) return body;
  // With a map, only the parts that it names are used, so name all.
  const all = tracks.map((track, k) => (found[k] && notesOf(shown, k).length ? `${track.name}:${found[k]}` : ""));
  return { ...body, map: all.filter(Boolean) };
}

/**
 * What is kept and what is drawn.
 * @param {Store} store
 * @param {Task} task
 */
function drawn(store, task) {
  const { range, areas, shown, mix, active } = store;
  /** @type {{bars?: string}} */
  const bars = range ? { bars: barsText(shown, range) } : {};
  if (!store.model?.tracks.length) return withoutTracks(task, bars);
  const found = roles(store);
  const parts = shown.tracks.map((_, k) => k).filter((k) => found[k]);
  const sounding = parts.filter((k) => notesOf(shown, k).length);
  const locked = parts.filter((k) => mix[k]?.locked);
  const names = (/** @type {number[]} */ places) => places.map((k) => found[k]);
  if (task === "infill") {
    if (areas.length) {
      return { draw: areas.map((area) => ({ ...area, track: found[area.track] })) };
    }
    if (!range) throw new Error("Choose what to fill in: drag over the bars' numbers, or draw a lasso.");
    return { ...bars, given: names(locked) };
  }
  if (task === "vary") {
    const held = locked.length ? locked : parts.filter((k) => k !== active);
    const free = (store.model?.tracks ?? []).map((track) => track.name);
    const draw = free.filter((name) => !names(held).includes(name));
    if (!draw.length) throw new Error("All parts are locked: unlock one to draw it again.");
    return { ...bars, draw };
  }
  return { ...bars, given: names(heldFor(task, sounding, locked, active)) };
}

/**
 * @param {Task} task
 * @param {{bars?: string}} bars
 */
function withoutTracks(task, bars) {
  if (task === "infill" && !bars.bars) {
    throw new Error("Choose bars to fill in: drag over their numbers.");
  }
  return task === "infill" ? bars : {};
}

/**
 * The parts that a harmonization or accompaniment keeps: the locked ones with notes, or
 * the only one with notes, else the melody: the active part or the first.
 * @param {Task} task @param {number[]} sounding @param {number[]} locked @param {number} active
 */
function heldFor(task, sounding, locked, active) {
  const held = sounding.filter((k) => locked.includes(k));
  if (held.length && task !== "reharmonize") return held;
  if (sounding.length === 1 || !sounding.includes(active)) return sounding.slice(0, 1);
  return task === "accompany" ? [active] : sounding.slice(0, 1);
}

/**
 * Bars as written in the settings: 3-4.
 * @param {Score} score
 * @param {{from: number, to: number}} range
 */
export function barsText(score, range) {
  const [first, last] = [barNumber(score, range.from), barNumber(score, range.to - 1)];
  return first === last ? `${first}` : `${first}-${last}`;
}
