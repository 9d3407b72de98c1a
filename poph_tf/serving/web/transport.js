// The buttons of the player, the roll and the recorder.

import { button, find, press, say, tried } from "./dom.js";
import { barSteps, place } from "./score.js";

/** @import {Editing} from "./editing.js" */
/** @import {Keys} from "./keys.js" */
/** @import {Notation} from "./notation.js" */
/** @import {Pointer, Tool} from "./pointer.js" */
/** @import {Recorder} from "./record.js" */
/** @import {Roll} from "./roll.js" */

/**
 * @typedef {object} Desk
 * @property {Roll} roll
 * @property {Pointer} pointer
 * @property {Editing} editing
 * @property {Keys} keys
 * @property {Recorder} recorder
 * @property {Notation} notation
 */

const METRES = ["4/4", "3/4", "2/4", "6/8", "9/8", "12/8", "2/2", "5/4"];
const [SLOWEST, FASTEST] = [20, 300];
const ZOOM = 1.4;

/** @param {string} id @param {() => unknown} work */
const onClick = (id, work) => button(id).addEventListener("click", () => tried(work));

/** @param {Desk} desk */
export function connect(desk) {
  connectPlayer(desk);
  connectTools(desk);
  connectRecorder(desk);
  connectTime(desk);
  connectViews(desk);
}

/** @param {Desk} desk */
function connectPlayer({ roll, recorder }) {
  const { player, store } = roll;
  onClick("play", () => (player.playing ? player.pause() : player.play()));
  onClick("rewind", () => player.seek(store.range?.from ?? 0));
  onClick("loop", () => {
    player.looping = !player.looping;
    press(button("loop"), player.looping);
    if (player.playing) player.seek(player.position);
  });
  onClick("follow", () => {
    roll.follows = !roll.follows;
    press(button("follow"), roll.follows);
  });
  const seek = find("seek", HTMLInputElement);
  seek.addEventListener("input", () => player.seek(Number(seek.value)));
  const show = () => {
    button("play").textContent = player.playing ? "Pause" : "Play";
    const at = Math.min(Math.max(0, player.position), store.shown.num_steps);
    seek.max = String(store.shown.num_steps);
    seek.step = String(Math.min(4, barSteps(store.shown)));
    seek.value = String(at);
    const bar = place(store.shown, Math.max(0, Math.floor(player.position)));
    seek.setAttribute("aria-valuetext", `bar ${bar}`);
    find("position", HTMLElement).textContent = bar;
    press(button("record"), recorder.recording);
    if (player.playing) setTimeout(show, 100);
  };
  player.addEventListener("change", show);
  store.on(["score"], () => player.playing || show());
  show();
}

/** @param {Desk} desk */
function connectTools({ roll, pointer, editing }) {
  const { store, player } = roll;
  const choose = (/** @type {Tool} */ tool) => {
    pointer.tool = tool;
    press(button("draw"), tool === "draw");
    press(button("lasso"), tool === "lasso");
    roll.box.dataset.tool = tool;
  };
  onClick("draw", () => choose("draw"));
  onClick("lasso", () => choose("lasso"));
  onClick("undo", () => editing.undo());
  onClick("redo", () => editing.redo());
  onClick("copy", () => editing.copy());
  onClick("paste", () => editing.paste(Math.floor(player.position)));
  onClick("delete", () => editing.remove());
  onClick("zoom-in", () => roll.zoom(ZOOM));
  onClick("zoom-out", () => roll.zoom(1 / ZOOM));
  const more = button("more");
  onClick("more", () => more.setAttribute("aria-expanded", String(more.ariaExpanded === "false")));
  onClick("let-go", () => {
    store.selection = new Set();
    store.choose(null);
    roll.box.focus();
  });
  choose("draw");
}

/** @param {Desk} desk */
function connectRecorder({ recorder, keys }) {
  onClick("record", () => (recorder.recording ? recorder.finish() : recorder.record()));
  recorder.addEventListener("change", () => press(button("record"), recorder.recording));
  onClick("midi", async () => {
    const names = await recorder.connect();
    press(button("midi"), true);
    say(names.length ? `Listening to ${names.join(", ")}.` : "No MIDI keyboard yet; plug one in.");
  });
  onClick("piano", () => {
    keys.piano = !keys.piano;
    press(button("piano"), keys.piano);
    say(keys.piano ? "Keys A to ' play from C4, W E T Y U O P are black; Z and X change octave." : "Keys are shortcuts again.");
  });
}

/** Tempo and metre, which belong to the music. @param {Desk} desk */
function connectTime({ roll: { store } }) {
  const tempo = find("tempo", HTMLInputElement);
  const metre = find("metre", HTMLSelectElement);
  metre.append(...METRES.map((name) => new Option(name)));
  tempo.addEventListener("change", () => {
    const value = Math.min(FASTEST, Math.max(SLOWEST, Number(tempo.value) || store.shown.tempo));
    store.edit({ ...store.shown, tempo: value }, store.selection);
  });
  metre.addEventListener("change", () => {
    const { shown } = store;
    const bars = Math.ceil((shown.num_steps - shown.pickup) / barSteps(shown));
    const changed = { ...shown, metre: metre.value };
    const length = barSteps(changed);
    const steps = shown.notes.length ? Math.ceil(shown.num_steps / length) : bars;
    store.edit({ ...changed, pickup: 0, num_steps: steps * length });
  });
  const show = () => {
    if (document.activeElement !== tempo) tempo.value = String(Math.round(store.shown.tempo * 10) / 10);
    if (![...metre.options].some((option) => option.value === store.shown.metre)) {
      metre.append(new Option(store.shown.metre));
    }
    metre.value = store.shown.metre;
  };
  store.on(["score"], show);
  show();
}

/** The roll and score tabs. @param {Desk} desk */
function connectViews({ roll, notation }) {
  const tabs = [button("tab-roll"), button("tab-score")];
  const show = (/** @type {boolean} */ score) => {
    find("roll-panel", HTMLElement).hidden = score;
    notation.show(score);
    tabs.forEach((tab, k) => {
      const on = (k === 1) === score;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
    });
    if (!score) roll.fit();
  };
  tabs.forEach((tab, k) => {
    tab.addEventListener("click", () => show(k === 1));
    tab.addEventListener("keydown", (event) => {
      if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      tabs[1 - k].focus();
      show(k === 0);
    });
  });
}
