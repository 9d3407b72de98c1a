// The pieces of the last response side by side: play each, keep one.

import { find, make, press, say } from "./dom.js";
import { Colours, paintSmall } from "./paint.js";

/** @import {Player} from "./player.js" */
/** @import {Store} from "./store.js" */
/** @import {Candidate} from "./types.js" */

export class Candidates {
  /** @param {Store} store @param {Player} player */
  constructor(store, player) {
    this.store = store;
    this.player = player;
    this.box = find("candidates", HTMLElement);
    store.on(["candidates"], () => this.make());
    store.on(["score"], () => this.update());
    player.addEventListener("change", () => this.update());
    this.make();
  }

  make() {
    const { candidates } = this.store;
    this.box.hidden = candidates.length < 2;
    const list = find("candidate-list", HTMLElement);
    list.replaceChildren(...candidates.map((candidate) => this.card(candidate)));
    this.update();
  }

  /** @param {Candidate} candidate */
  card(candidate) {
    const { score, label } = candidate;
    const picture = make("canvas", { width: 220, height: 64, role: "img", "aria-label": `Notes of ${label}` });
    paintSmall(picture, score, new Colours());
    const play = make("button", { type: "button" }, "Play");
    play.addEventListener("click", () => this.play(candidate));
    const keep = make("button", { type: "button" }, "Keep");
    keep.addEventListener("click", () => {
      this.store.edit(score);
      say(`${label} is kept; undo brings back what was there.`);
    });
    return make("li", { class: "candidate" }, make("h3", {}, label), picture, make("div", { class: "row" }, play, keep));
  }

  /** Plays or pauses a candidate. @param {Candidate} candidate */
  play({ score }) {
    const { store, player } = this;
    const heard = store.shown === score;
    if (heard && player.playing) return player.pause();
    if (!heard) store.look(score);
    player.play(heard ? undefined : 0);
  }

  update() {
    this.store.candidates.forEach(({ score, label }, k) => {
      const card = find("candidate-list", HTMLElement).children[k];
      if (!card) return;
      const shown = this.store.shown === score;
      card.classList.toggle("shown", shown);
      const [play] = card.querySelectorAll("button");
      const playing = shown && this.player.playing;
      play.textContent = playing ? "Pause" : "Play";
      play.setAttribute("aria-label", `${play.textContent} ${label}`);
      press(play, playing);
    });
  }
}
