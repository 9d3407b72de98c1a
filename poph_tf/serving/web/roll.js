// The roll: a fixed canvas in a scrolling box, painted when something changes or plays.

import { find } from "./dom.js";
import { chords, KEYS, keyOf, pretty } from "./harmony.js";
import { Colours, paint } from "./paint.js";
import { KEYS_WIDTH, ROW_HEIGHT, TOP_HEIGHT, View } from "./view.js";

/** @import {Scene} from "./paint.js" */
/** @import {Player} from "./player.js" */
/** @import {Store} from "./store.js" */

export class Roll {
  /** @param {Store} store @param {Player} player */
  constructor(store, player) {
    this.store = store;
    this.player = player;
    this.view = new View();
    this.box = find("roll", HTMLElement);
    this.space = find("space", HTMLElement);
    this.canvas = find("canvas", HTMLCanvasElement);
    this.colours = new Colours();
    this.follows = true;
    /** @type {Scene} */
    this.scene = { playhead: 0, cursor: null, lasso: null, held: new Set(), chords: [] };
    this.waiting = false;
    store.on(["score"], () => this.fit());
    store.on(["score", "choice", "parts", "settings"], () => this.repaint());
    this.box.addEventListener("scroll", () => this.repaint());
    player.addEventListener("change", () => this.repaint());
    new ResizeObserver(() => this.fit()).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    this.fit();
    this.centre();
  }

  /** Reads the colours of the new theme. */
  recolour() {
    this.colours = new Colours();
    this.repaint();
  }

  /** Fits the canvas and scroll bars to the box and the score. */
  fit() {
    const { view, box, canvas } = this;
    const { width, height } = view.size(this.store.shown);
    this.space.style.width = `${Math.max(width, box.clientWidth)}px`;
    this.space.style.height = `${height}px`;
    [view.width, view.height] = [box.clientWidth, box.clientHeight];
    const dots = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(view.width * dots), Math.round(view.height * dots)];
    if (canvas.width !== wide || canvas.height !== high) {
      [canvas.width, canvas.height] = [wide, high];
      canvas.style.width = `${view.width}px`;
      canvas.style.height = `${view.height}px`;
    }
    const key = keyOf(this.store.shown);
    this.scene.chords = chords(this.store.shown, key);
    find("key-found", HTMLElement).textContent = key < 0 ? "" : `Sounds like ${pretty(KEYS[key])}`;
    this.repaint();
  }

  /** Scrolls to the middle of the notes, or to middle C. */
  centre() {
    const pitches = this.store.shown.notes.map((note) => note.pitch);
    const middle = pitches.length ? (Math.min(...pitches) + Math.max(...pitches)) / 2 : 60;
    const y = this.view.y(Math.round(middle)) + this.view.top - TOP_HEIGHT;
    this.box.scrollTop = y - (this.box.clientHeight - TOP_HEIGHT) / 2 + ROW_HEIGHT / 2;
  }

  /** @param {number} factor */
  zoom(factor) {
    const middle = this.view.step(this.view.width / 2);
    this.view.zoom(factor);
    this.fit();
    this.box.scrollLeft = middle * this.view.stepWidth - this.view.width / 2 + KEYS_WIDTH;
  }

  /** Scrolls as far as needed to show a cell. @param {number} step @param {number} pitch */
  reveal(step, pitch) {
    const { view, box } = this;
    const [x, y] = [view.x(step), view.y(pitch)];
    if (x < KEYS_WIDTH) box.scrollLeft += x - KEYS_WIDTH;
    if (x > view.width - 20) box.scrollLeft += x - view.width + 60;
    if (y < TOP_HEIGHT) box.scrollTop += y - TOP_HEIGHT;
    if (y > view.height - ROW_HEIGHT) box.scrollTop += y - view.height + 2 * ROW_HEIGHT;
  }

  repaint() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.waiting = false;
    const { view, scene, player } = this;
    scene.playhead = Math.max(0, player.position);
    if (player.playing && this.follows) this.follow();
    [view.left, view.top] = [this.box.scrollLeft, this.box.scrollTop];
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const dots = this.canvas.width / Math.max(1, view.width);
    context.setTransform(dots, 0, 0, dots, 0, 0);
    paint(context, view, this.store, scene, this.colours);
    if (player.playing) this.repaint();
  }

  /** Turns the page when the playhead leaves it, instead of scrolling smoothly. */
  follow() {
    const x = this.view.x(this.scene.playhead);
    if (x >= KEYS_WIDTH && x < this.view.width - 24) return;
    this.box.scrollLeft = this.scene.playhead * this.view.stepWidth - 12;
  }
}
