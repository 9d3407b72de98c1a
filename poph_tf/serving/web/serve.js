// The form, and a card for each piece that came of it.

const PLAY_ICON = "▶";
const PAUSE_ICON = "⏸";
const MAX_SEED = 2 ** 31;
const field = (id) => document.getElementById(id);
const model = new Model(new URLSearchParams(location.search).get("model") || "poph");
const cards = [];

/** Makes an element: make("a", {href: "x"}, "text or elements", ...). */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function tell(text, isError = false) {
  field("status").textContent = text;
  field("status").classList.toggle("error", isError);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** One slider for each style, set to the shares of the training pieces. */
function showStyles(names, shares) {
  if (names.length < 2) return;
  const most = Math.max(...(shares || []));
  names.forEach((name, index) => {
    const start = shares ? Math.round((100 * shares[index]) / most) : 100;
    const slider = make("input", { type: "range", min: 0, max: 100, value: start, class: "style" });
    const shown = make("output", {});
    slider.addEventListener("input", showShares);
    field("styles").append(make("label", {}, name, slider, shown));
  });
  field("styles").hidden = false;
  showShares();
}

/** The sliders' values as shares that add up to 1. */
function styleShares() {
  const values = [...document.querySelectorAll("input.style")].map((s) => Number(s.value));
  const total = values.reduce((sum, value) => sum + value, 0);
  if (!values.length) return [1];
  return values.map((value) => value / total);
}

function showShares() {
  const shares = styleShares();
  document.querySelectorAll("#styles output").forEach((output, index) => {
    output.textContent = Number.isFinite(shares[index]) ? `${Math.round(100 * shares[index])} %` : "–";
  });
}

/** What the form asks for, or an error that says what to change. */
function readWishes() {
  for (const input of document.querySelectorAll("input[type=number]")) {
    const good = input.checkValidity();
    input.setAttribute("aria-invalid", String(!good));
    if (!good) {
      input.focus();
      const name = input.closest("label").firstChild.textContent.trim();
      const whole = input.step === "1" ? "a whole number" : "a number";
      throw new Refusal(`${name} must be ${whole} from ${input.min} to ${input.max}.`);
    }
  }
  const style = styleShares();
  if (!style.every(Number.isFinite)) throw new Refusal("Give at least one style a share.");
  return {
    seed: [Number(field("seed").value), 0],
    num_steps: Number(field("bars").value) * BAR_STEPS,
    temperature: Number(field("temperature").value),
    style,
    tempo_qpm: Number(field("tempo").value),
  };
}

class Card {
  constructor(bytes, wishes) {
    this.piece = readMidi(bytes);
    this.player = new NotePlayer(this.piece);
    const bars = wishes.num_steps / BAR_STEPS;
    const title = `Seed ${wishes.seed[0]}, ${bars} bars, temperature ${wishes.temperature}`;
    this.button = make("button", { type: "button", "aria-label": `Play ${title}` }, PLAY_ICON);
    this.clock = make("span", { class: "clock" });
    this.canvas = make("canvas", { class: "roll", role: "img", "aria-label": `Piano roll of ${title}` });
    this.whole = make("canvas", { class: "whole", "aria-hidden": "true" });
    const file = URL.createObjectURL(new Blob([bytes], { type: "audio/midi" }));
    const save = make("a", { href: file, download: `poph-${wishes.seed[0]}.mid`, class: "save" }, "Save MIDI");
    const names = make("div", { class: "names" }, make("h2", {}, title),
      make("p", { class: "details" }, `${this.piece.notes.length} notes`));
    const bar = make("div", { class: "bar" }, this.button, names, this.clock, save);
    this.element = make("article", {}, bar, this.canvas, this.whole);
    this.button.addEventListener("click", () => this.toggle());
    this.canvas.addEventListener("click", (event) => this.seek(this.roll.stepAt(event.offsetX)));
    this.whole.addEventListener("click", (event) =>
      this.seek((event.offsetX / this.whole.clientWidth) * Math.max(this.piece.steps, this.roll.span)));
    this.roll = new Roll(this.piece, this.canvas, this.whole);
  }
  async toggle() {
    const start = !this.player.playing;
    for (const card of cards) card.player.pause();
    try {
      if (start) await this.player.play();
    } catch (error) {
      tell(`This browser cannot play: ${error.message}`, true);
    }
    this.show();
  }
  seek(step) {
    const inside = Math.min(Math.max(step, 0), this.piece.steps);
    this.player.seek(inside * this.piece.secondsPerStep);
    this.show();
  }
  show() {
    const time = this.player.time();
    this.button.textContent = this.player.playing ? PAUSE_ICON : PLAY_ICON;
    this.clock.textContent = `${clock(time)} / ${clock(this.player.duration)}`;
    this.roll.follow(Math.min(time / this.piece.secondsPerStep, this.piece.steps));
  }
}

async function compose() {
  if (field("fresh").checked) field("seed").value = Math.floor(Math.random() * MAX_SEED);
  const wishes = readWishes();
  tell("Composing…");
  const started = performance.now();
  const card = new Card(await model.compose(wishes), wishes);
  cards.unshift(card);
  field("pieces").prepend(card.element);
  card.show();
  tell(`Composed in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
}

field("wishes").addEventListener("submit", async (event) => {
  event.preventDefault();
  field("compose").disabled = true;
  try {
    await compose();
  } catch (error) {
    tell(error instanceof Refusal ? error.message : `Something went wrong: ${error.message}`, true);
  } finally {
    field("compose").disabled = false;
  }
});

/** Asks what the model knows and allows, and opens the form. */
async function begin() {
  try {
    const card = await model.card();
    const limits = card.limits;
    const { styles, style_shares: shares, preset } = card.model;
    field("about").textContent = `Model ${card.name}${preset ? `, of kind ${preset}` : ""}.`;
    field("bars").max = Math.max(Math.floor((limits.max_steps || 512) / BAR_STEPS), 1);
    field("bars").value = Math.min(field("bars").value, field("bars").max);
    if (limits.max_temperature) field("temperature").max = limits.max_temperature;
    showStyles(styles, shares);
    field("compose").disabled = false;
  } catch (error) {
    field("about").textContent = "";
    tell(`${error.message} Load this page again to try again.`, true);
  }
}

/** Draws the piece that plays, and once more when it has stopped. */
function animate() {
  const playing = cards.find((card) => card.player.playing);
  if (playing) playing.show();
  else if (animate.last) animate.last.show();
  animate.last = playing;
  requestAnimationFrame(animate);
}

window.addEventListener("resize", () => cards.forEach((card) => card.show()));
begin();
requestAnimationFrame(animate);
