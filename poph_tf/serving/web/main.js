// The studio: makes the parts of the page and connects them.

import { models } from "./api.js";
import { Candidates } from "./candidates.js";
import { Composing } from "./compose.js";
import { button, counted, find, make, say, tried } from "./dom.js";
import { Editing } from "./editing.js";
import { example } from "./example.js";
import { Files } from "./files.js";
import { Keys } from "./keys.js";
import { Notation } from "./notation.js";
import { Parts } from "./parts.js";
import { Player } from "./player.js";
import { Pointer } from "./pointer.js";
import { Recorder } from "./record.js";
import { barsText } from "./request.js";
import { Roll } from "./roll.js";
import { silence } from "./score.js";
import { defaults, Form } from "./settings.js";
import { fromHash, toHash } from "./share.js";
import { Store, UNNAMED } from "./store.js";
import { connect } from "./transport.js";

const THEMES = ["auto", "light", "dark"];

const store = new Store(defaults());
store.restore();
const player = new Player(store);
const roll = new Roll(store, player);
const pointer = new Pointer(roll);
const editing = new Editing(store);
const recorder = new Recorder(roll);
const keys = new Keys(roll, editing, pointer, recorder);
const notation = new Notation(store, player);
new Form(store);
new Parts(store);
new Candidates(store, player);
new Composing(store, player, () => roll.centre());
new Files(store, () => roll.centre());
connect({ roll, pointer, editing, keys, recorder, notation });
connectPieces();
connectTheme();
showChoice();
store.on(["choice", "score"], showChoice);
addEventListener("pagehide", () => store.save());
addEventListener("hashchange", () => tried(takeLink));
tried(start);

/** Opens a link, then asks the server for its models. */
async function start() {
  await takeLink();
  const greeting = find("status", HTMLElement).textContent ?? "";
  store.models = await models(say);
  say(greeting);
  const select = find("model", HTMLSelectElement);
  select.replaceChildren(...store.models.map(({ name }) => make("option", { value: name }, name)));
  select.addEventListener("change", () => store.setModel(select.value));
  store.setModel(store.savedModel);
  select.value = store.model?.name ?? "";
  store.tell("score", "parts", "settings");
}

async function takeLink() {
  const { hash } = location;
  if (!hash) return;
  const saved = await fromHash(hash);
  // The link is used only once, so that a reload keeps later edits.
  history.replaceState(null, "", location.pathname + location.search);
  const old = store.score;
  store.take(saved);
  if (store.score !== old) store.remember(old);
  store.tell("score", "parts", "settings", "choice");
  roll.centre();
  if (!saved.settings || !Object.keys(saved.settings).length) say("This link is damaged.", true);
}

/** The buttons New, Example melody and Link. */
function connectPieces() {
  const put = (/** @type {import("./types.js").Score} */ score) => {
    player.pause();
    player.step = 0;
    store.active = 0;
    store.name = UNNAMED;
    store.mix = store.mix.map((mix) => ({ ...mix, locked: false, role: undefined }));
    store.edit(score);
    store.tell("parts");
    roll.centre();
  };
  button("new").addEventListener("click", () => {
    const { metre, tempo } = store.shown;
    put(silence(store.model?.tracks ?? [], Number(store.settings.bars), metre, tempo));
    say("A new piece; undo brings back the last one.");
  });
  button("example").addEventListener("click", () => {
    put(example(silence(store.model?.tracks ?? []).tracks));
    say("The Ode to Joy: now click Harmonize.");
  });
  button("share").addEventListener("click", () => tried(share));
}

async function share() {
  const saved = { score: store.shown, settings: store.settings, model: store.model?.name ?? "" };
  const { hash, whole } = await toHash(saved);
  history.replaceState(null, "", hash);
  const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
  const where = copied ? "The link is copied" : "The link is in the address line";
  say(whole ? `${where}: settings, seed and notes.` : `${where}: settings and seed; the piece is too long for a link.`);
}

/** Describes the choice in words. */
function showChoice() {
  const { range, areas, selection, shown } = store;
  const parts = [
    range ? `bar${barsText(shown, range).includes("-") ? "s" : ""} ${barsText(shown, range)}` : "",
    areas.length ? `lasso in ${areas.map((area) => shown.tracks[area.track].name).join(", ")}` : "",
    selection.size ? counted(selection.size, "note") : "",
  ].filter(Boolean);
  find("choice", HTMLElement).textContent = parts.length ? `Chosen: ${parts.join("; ")}` : "";
  button("let-go").hidden = !parts.length;
}

/** Light, dark, or the system's theme. */
function connectTheme() {
  const show = (/** @type {string} */ theme) => {
    document.documentElement.dataset.theme = theme;
    find("theme-name", HTMLElement).textContent = theme;
    roll.recolour();
    store.tell("parts", "candidates");
  };
  let theme = localStorage.getItem("poph-theme") ?? "auto";
  if (!THEMES.includes(theme)) theme = "auto";
  button("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem("poph-theme", theme);
    show(theme);
  });
  show(theme);
}
