// The score view: engraved by the server; it follows playback bar by bar.

import { render } from "./api.js";
import { find, make, tried } from "./dom.js";
import { barStarts } from "./score.js";

/** @import {Player} from "./player.js" */
/** @import {Store} from "./store.js" */
/** @import {Score} from "./types.js" */

const WAIT_MILLISECONDS = 400;
// Pixels of a line: shorter ones cannot hold a bar, longer ones are hard to follow.
const [NARROWEST, WIDEST] = [200, 960];
const SVG = "image/svg+xml";

export class Notation {
  /** @param {Store} store @param {Player} player */
  constructor(store, player) {
    this.store = store;
    this.player = player;
    this.box = find("notation", HTMLElement);
    /** @type {Score | null} The score that is engraved or requested. */
    this.engraved = null;
    /** Its width in pixels. */
    this.width = 0;
    /** @type {Element[]} */
    this.bars = [];
    this.timer = 0;
    this.ticking = false;
    store.on(["score"], () => this.later());
    new ResizeObserver(() => this.room !== this.width && this.later()).observe(this.box);
    player.addEventListener("change", () => this.follow());
  }

  get open() {
    return !this.box.hidden;
  }

  /** The width available for a line in pixels. */
  get room() {
    const { paddingLeft, paddingRight } = getComputedStyle(this.box);
    const inside = this.box.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    return Math.min(WIDEST, Math.max(NARROWEST, Math.floor(inside)));
  }

  /** @param {boolean} on */
  show(on) {
    this.box.hidden = !on;
    if (on) tried(() => this.engrave());
  }

  /** Engraves after a pause in editing. */
  later() {
    clearTimeout(this.timer);
    if (!this.open || document.body.classList.contains("composing")) return;
    this.timer = setTimeout(() => tried(() => this.engrave()), WAIT_MILLISECONDS);
  }

  async engrave() {
    const { shown } = this.store;
    const width = this.room;
    const asked = () => this.engraved === shown && this.width === width;
    if (!this.open || asked()) return;
    [this.engraved, this.width] = [shown, width];
    this.box.setAttribute("aria-busy", "true");
    const waiting = make("p", { role: "status" }, "Engraving the score…");
    if (!this.box.children.length) this.box.append(waiting);
    try {
      const text = await (await render(shown, "svg", width)).text();
      if (!asked()) return;
      this.box.replaceChildren(picture(text));
      this.bars = [...this.box.querySelectorAll("g.measure")];
      this.follow();
    } catch (error) {
      if (asked()) this.engraved = null;
      throw error;
    } finally {
      waiting.remove();
      this.box.removeAttribute("aria-busy");
    }
  }

  /** Marks the bar that is playing. */
  follow() {
    if (this.ticking || !this.open) return;
    const starts = barStarts(this.store.shown);
    const place = starts.findLastIndex((start) => start <= this.player.position);
    this.bars.forEach((bar, k) => bar.classList.toggle("playing", k === place));
    const bar = this.bars[place];
    if (!this.player.playing) return;
    bar?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.ticking = true;
    setTimeout(() => {
      this.ticking = false;
      this.follow();
    }, 100);
  }
}

/**
 * The picture as elements of the page. The page's policy forbids scripts and inline
 * styles, about which the browser would complain when parsing.
 * @param {string} text
 */
export function picture(text) {
  const plain = text.replace(/<style[^]*?<\/style>/g, "").replace(/\sstyle="[^"]*"/g, "");
  const svg = new DOMParser().parseFromString(plain, SVG).documentElement;
  if (svg.nodeName !== "svg") throw new Error("The server sent a score that cannot be shown.");
  for (const element of svg.querySelectorAll("script, foreignObject")) element.remove();
  const [width, height] = ["width", "height"].map((side) => parseFloat(svg.getAttribute(side) ?? ""));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "The score");
  return svg;
}
