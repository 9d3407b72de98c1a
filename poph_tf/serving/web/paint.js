// Paints the roll: rows, bar lines, the choice, notes, keys, ruler and chords.

import { barNumber, barStarts, beatSteps, HIGHEST, isBlack, LOWEST, pitchName } from "./score.js";
import { KEYS_WIDTH, ROW_HEIGHT, RULER_HEIGHT, TOP_HEIGHT } from "./view.js";

/** @import {Chord} from "./harmony.js" */
/** @import {Note, Score} from "./types.js" */
/** @import {Store} from "./store.js" */
/** @import {View} from "./view.js" */
/** @typedef {CanvasRenderingContext2D} Context */
/** @typedef {{x: number, y: number}} Point */

/**
 * What the roll shows in addition to the state of the page.
 * @typedef {object} Scene
 * @property {number} playhead step
 * @property {{step: number, pitch: number} | null} cursor of the keyboard
 * @property {[Point, Point] | null} lasso
 * @property {Set<number>} held pitches of the pressed keys
 * @property {Chord[]} chords
 */

const PARTS = 8;
// A label may be squeezed to this share of its width; below that, the next is left out.
const NARROWEST_LABEL = 0.6;
const LABEL_GAP = 4;
const FONT = "11px system-ui, sans-serif";

/** The colours of the page's theme, read from its style sheet. */
export class Colours {
  constructor() {
    // An element's computed colour follows the theme; the variable's text has both.
    const probe = document.body.appendChild(document.createElement("i"));
    const read = (/** @type {string} */ name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    this.ground = read("--roll");
    this.black = read("--roll-black");
    this.line = read("--roll-line");
    this.bar = read("--roll-bar");
    this.text = read("--text");
    this.faint = read("--faint");
    this.accent = read("--accent");
    this.chosen = read("--chosen");
    this.outside = read("--outside");
    this.parts = Array.from({ length: PARTS }, (_, k) => read(`--part-${k}`));
    probe.remove();
  }

  /** @param {number} track */
  part(track) {
    return this.parts[track % PARTS];
  }
}

/**
 * @param {Context} context
 * @param {View} view
 * @param {Store} store
 * @param {Scene} scene
 * @param {Colours} colours
 */
export function paint(context, view, store, scene, colours) {
  context.font = FONT;
  context.textBaseline = "middle";
  context.clearRect(0, 0, view.width, view.height);
  paintRows(context, view, store, colours);
  paintLines(context, view, store.shown, colours);
  paintChoice(context, view, store, colours);
  paintNotes(context, view, store, colours);
  paintMarks(context, view, store, scene, colours);
  paintTop(context, view, store, scene, colours);
  paintKeys(context, view, store, scene, colours);
}

/** @param {Context} context @param {View} view @param {Store} store @param {Colours} colours */
function paintRows(context, view, store, colours) {
  const end = view.x(store.shown.num_steps);
  const { min_pitch = LOWEST, max_pitch = HIGHEST } = store.model ?? {};
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, view.width, view.height);
  for (let pitch = LOWEST; pitch <= HIGHEST; pitch++) {
    const y = view.y(pitch);
    if (y < 0 || y > view.height) continue;
    if (isBlack(pitch)) {
      context.fillStyle = colours.black;
      context.fillRect(0, y, view.width, ROW_HEIGHT);
    }
    if (pitch < min_pitch || pitch > max_pitch) {
      context.fillStyle = colours.outside;
      context.fillRect(0, y, end, ROW_HEIGHT);
    }
    if (pitch % 12 === 0 || pitch % 12 === 5) {
      context.fillStyle = colours.line;
      context.fillRect(0, y + ROW_HEIGHT - 1, view.width, 1);
    }
  }
  context.fillStyle = colours.outside;
  context.fillRect(end, 0, view.width, view.height);
}

/** @param {Context} context @param {View} view @param {Score} score @param {Colours} colours */
function paintLines(context, view, score, colours) {
  const beat = beatSteps(score);
  for (const start of [...barStarts(score), score.num_steps]) {
    context.fillStyle = colours.bar;
    context.fillRect(Math.round(view.x(start)), 0, 1, view.height);
  }
  if (beat * view.stepWidth < 8) return;
  context.fillStyle = colours.line;
  for (let step = score.pickup % beat; step < score.num_steps; step += beat) {
    context.fillRect(Math.round(view.x(step)), TOP_HEIGHT, 1, view.height);
  }
}

/** @param {Context} context @param {View} view @param {Store} store @param {Colours} colours */
function paintChoice(context, view, store, colours) {
  context.fillStyle = colours.chosen;
  if (store.range) {
    const x = view.x(store.range.from);
    context.fillRect(x, 0, view.x(store.range.to) - x, view.height);
  }
  for (const area of store.areas.slice(0, 1)) {
    const x = view.x(area.start);
    context.fillRect(x, TOP_HEIGHT, view.x(area.end) - x, view.height);
  }
}

/** @param {Context} context @param {View} view @param {Store} store @param {Colours} colours */
function paintNotes(context, view, store, colours) {
  const order = [...store.shown.notes].sort(
    (a, b) => Number(a.track === store.active) - Number(b.track === store.active),
  );
  for (const note of order) {
    const x = view.x(note.start);
    const width = Math.max(2, note.duration * view.stepWidth - 1);
    const y = view.y(note.pitch);
    if (x > view.width || x + width < KEYS_WIDTH || y < -ROW_HEIGHT || y > view.height) continue;
    const mix = store.mix[note.track];
    context.globalAlpha = mix?.muted ? 0.3 : 0.55 + (0.45 * note.velocity) / 127;
    context.fillStyle = colours.part(note.track);
    context.beginPath();
    context.roundRect(x, y + 1, width, ROW_HEIGHT - 2, 3);
    context.fill();
    context.globalAlpha = 1;
    if (store.selection.has(note)) outline(context, colours.text, 2);
    else if (mix?.locked) outline(context, colours.text, 0.75);
  }
}

/** @param {Context} context @param {string} colour @param {number} width */
function outline(context, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

/**
 * Playhead, cursor and lasso.
 * @param {Context} context @param {View} view @param {Store} store @param {Scene} scene
 * @param {Colours} colours
 */
function paintMarks(context, view, store, scene, colours) {
  context.fillStyle = colours.accent;
  context.fillRect(Math.round(view.x(scene.playhead)) - 1, 0, 2, view.height);
  context.strokeStyle = colours.text;
  context.lineWidth = 1.5;
  if (scene.cursor) {
    const { step, pitch } = scene.cursor;
    context.strokeRect(view.x(step), view.y(pitch), Math.max(4, view.stepWidth), ROW_HEIGHT);
  }
  if (scene.lasso) {
    const [a, b] = scene.lasso;
    context.setLineDash([4, 3]);
    context.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
    context.setLineDash([]);
  }
}

/**
 * The ruler with bar numbers, and the chords below it.
 * @param {Context} context @param {View} view @param {Store} store @param {Scene} scene
 * @param {Colours} colours
 */
function paintTop(context, view, store, scene, colours) {
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, view.width, TOP_HEIGHT);
  const { range } = store;
  if (range) {
    context.fillStyle = colours.chosen;
    context.fillRect(view.x(range.from), 0, (range.to - range.from) * view.stepWidth, TOP_HEIGHT);
  }
  context.fillStyle = colours.text;
  let free = -Infinity;
  for (const start of barStarts(store.shown)) {
    const x = view.x(start);
    context.fillRect(Math.round(x), 0, 1, TOP_HEIGHT);
    if (x > view.width || x < free) continue;
    context.fillText(String(barNumber(store.shown, start)), x + 4, RULER_HEIGHT / 2);
    free = x + 26;
  }
  free = -Infinity;
  scene.chords.forEach(({ start, name }, k) => {
    const x = view.x(start);
    if (x > view.width || x < free) return;
    const { width } = context.measureText(name);
    const room = view.x(scene.chords[k + 1]?.start ?? Infinity) - x - LABEL_GAP;
    const wide = Math.min(width, Math.max(room, NARROWEST_LABEL * width));
    context.fillText(name, x + LABEL_GAP, RULER_HEIGHT + (TOP_HEIGHT - RULER_HEIGHT) / 2, wide);
    free = x + LABEL_GAP + wide;
  });
  context.fillStyle = colours.bar;
  context.fillRect(0, TOP_HEIGHT - 1, view.width, 1);
  const x = view.x(scene.playhead);
  context.fillStyle = colours.accent;
  context.beginPath();
  context.moveTo(x - 6, 0);
  context.lineTo(x + 6, 0);
  context.lineTo(x, 9);
  context.fill();
}

/**
 * The keyboard at the side; sounding keys have the colour of their part.
 * @param {Context} context @param {View} view @param {Store} store @param {Scene} scene
 * @param {Colours} colours
 */
function paintKeys(context, view, store, scene, colours) {
  context.fillStyle = "#fff";
  context.fillRect(0, TOP_HEIGHT, KEYS_WIDTH, view.height);
  for (let pitch = LOWEST; pitch <= HIGHEST; pitch++) {
    const y = view.y(pitch);
    if (y < 0 || y > view.height) continue;
    context.fillStyle = isBlack(pitch) ? "#222" : "#fff";
    const lit = scene.held.has(pitch);
    if (lit) context.fillStyle = colours.part(store.active);
    context.fillRect(0, y, isBlack(pitch) ? KEYS_WIDTH * 0.62 : KEYS_WIDTH, ROW_HEIGHT);
    context.fillStyle = "#999";
    if ([0, 5].includes(pitch % 12)) context.fillRect(0, y + ROW_HEIGHT - 1, KEYS_WIDTH, 1);
    context.fillStyle = "#222";
    if (pitch % 12 === 0) context.fillText(pitchName(pitch), KEYS_WIDTH - 22, y + 7);
  }
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, KEYS_WIDTH, TOP_HEIGHT);
  context.fillStyle = colours.faint;
  context.fillText("bars", 6, RULER_HEIGHT / 2);
  context.fillText("chords", 6, RULER_HEIGHT + (TOP_HEIGHT - RULER_HEIGHT) / 2);
  context.fillStyle = colours.bar;
  context.fillRect(KEYS_WIDTH - 1, 0, 1, view.height);
}

/**
 * A miniature of a whole score, for a candidate.
 * @param {HTMLCanvasElement} canvas
 * @param {Score} score
 * @param {Colours} colours
 */
export function paintSmall(canvas, score, colours) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, width, height);
  const pitches = score.notes.map((note) => note.pitch);
  const [low, high] = [Math.min(48, ...pitches) - 1, Math.max(72, ...pitches) + 1];
  const [scaleX, scaleY] = [width / score.num_steps, height / (high - low + 1)];
  for (const note of /** @type {Note[]} */ (score.notes)) {
    context.fillStyle = colours.part(note.track);
    const y = (high - note.pitch) * scaleY;
    context.fillRect(note.start * scaleX, y, Math.max(1, note.duration * scaleX - 1), scaleY);
  }
}
