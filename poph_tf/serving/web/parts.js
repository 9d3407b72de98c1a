// The list of parts: which one is active, which are locked, how loud each is.

import { find, make, press } from "./dom.js";
import { Colours } from "./paint.js";
import { roles } from "./request.js";

/** @import {Store} from "./store.js" */

export class Parts {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.box = find("parts", HTMLElement);
    this.shape = "";
    store.on(["score", "parts", "settings"], () => this.show());
    this.show();
  }

  /** Rebuilds the rows only if the parts have changed, so that the focus stays. */
  show() {
    const { shown, model } = this.store;
    const names = shown.tracks.map((track) => track.name);
    const shape = JSON.stringify([names, model?.name, this.asks]);
    if (shape !== this.shape) {
      this.box.replaceChildren(...names.map((name, track) => this.row(name, track)));
      this.shape = shape;
    }
    names.forEach((_, track) => this.update(track));
  }

  /** Whether the parts' names do not tell which of the model's tracks they are. */
  get asks() {
    const known = new Set(this.store.model?.tracks.map((track) => track.name.toLowerCase()));
    return known.size > 1 && !this.store.shown.tracks.every((t) => known.has(t.name.toLowerCase()));
  }

  /** @param {string} name @param {number} track */
  row(name, track) {
    const { store } = this;
    const text = name || `part ${track + 1}`;
    const swatch = make("canvas", { class: "swatch", width: 14, height: 14, "aria-hidden": "true" });
    const active = make("input", { type: "radio", name: "active", value: track });
    active.addEventListener("change", () => {
      store.active = track;
      store.tell("choice", "parts");
    });
    const lock = this.toggle("Lock", `Lock ${text}: it is held when the composer draws`, track, "locked");
    const mute = this.toggle("Mute", `Mute ${text}`, track, "muted");
    const volume = make("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": `Volume of ${text}` });
    volume.addEventListener("input", () => {
      store.mix[track].volume = Number(volume.value);
      store.tell("parts");
    });
    const choice = make("label", { class: "name" }, active, swatch, make("span", {}, text));
    const row = make("li", { class: "part" }, choice, lock, mute, volume);
    if (this.asks) row.append(this.roleOf(text, track));
    return row;
  }

  /** @param {string} text @param {string} label @param {number} track @param {"locked" | "muted"} name */
  toggle(text, label, track, name) {
    const element = make("button", { type: "button", class: `toggle ${name}`, "aria-label": label, title: label }, text);
    element.addEventListener("click", () => {
      this.store.mix[track][name] = !this.store.mix[track][name];
      this.store.tell("parts");
    });
    return element;
  }

  /** Selects the model's track for a part of a file. @param {string} text @param {number} track */
  roleOf(text, track) {
    const names = this.store.model?.tracks.map((one) => one.name) ?? [];
    const options = ["", ...names].map((name) => make("option", { value: name }, name || "left out"));
    const select = make("select", { "aria-label": `${text} is the composer's part` }, ...options);
    select.addEventListener("change", () => {
      this.store.mix[track].role = select.value;
      this.store.tell("parts");
    });
    return make("label", { class: "role" }, "as", select);
  }

  /** @param {number} track */
  update(track) {
    const { store } = this;
    const row = this.box.children[track];
    const mix = store.mix[track];
    if (!row || !mix) return;
    const [lock, mute] = row.querySelectorAll("button");
    press(lock, mix.locked);
    press(mute, mix.muted);
    for (const input of row.querySelectorAll("input")) {
      if (input.type === "radio") input.checked = store.active === track;
      else input.value = String(mix.volume);
    }
    const select = row.querySelector("select");
    if (select) select.value = roles(store)[track];
    const context = row.querySelector("canvas")?.getContext("2d");
    if (!context) return;
    context.fillStyle = new Colours().part(track);
    context.fillRect(0, 0, 14, 14);
  }
}
