// A card for each piece: a button, a clock, a piano roll and an overview.

const PLAY_ICON = '<svg viewBox="0 0 16 16"><path fill="currentColor" d="M3 1l11 7-11 7z"/></svg>';
const PAUSE_ICON = '<svg viewBox="0 0 16 16"><path fill="currentColor" d="M2 1h4v14H2zm8 0h4v14h-4z"/></svg>';
const cards = [];

function minutes(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

class Card {
  constructor(piece) {
    this.piece = piece;
    this.player = piece.audio ? new FilePlayer(piece) : new NotePlayer(piece);
    this.button = make("button", { type: "button" });
    this.clock = make("span", { class: "clock" });
    this.canvas = make("canvas", { class: "roll", role: "img", "aria-label": `Piano roll of ${piece.title}` });
    this.whole = make("canvas", { class: "whole", "aria-hidden": "true" });
    this.element = make("article", {}, this.controls(), this.canvas, this.whole);
    this.button.addEventListener("click", () => this.toggle());
    this.canvas.addEventListener("click", (event) => this.seekStep(this.roll.stepAt(event.offsetX)));
    this.whole.addEventListener("click", (event) =>
      this.seekStep((event.offsetX / this.whole.clientWidth) * Math.max(piece.steps, this.roll.span)));
    this.roll = new Roll(piece, this.canvas, this.whole);
  }
  controls() {
    const { title, details, midi, file, tracks } = this.piece;
    const names = make("div", { class: "names" }, make("h2", {}, title));
    const named = tracks.filter(({ name }) => name).map(({ name, colour }) =>
      make("span", {}, make("i", { style: `color: ${colour}`, "aria-hidden": "true" }, "■ "), name));
    if (details || named.length) names.append(make("p", { class: "details" }, details, ...named));
    const bar = make("div", { class: "bar" }, this.button, names, this.clock);
    if (midi) bar.append(make("a", { href: midi, download: file || `${title}.mid`, class: "save" }, "MIDI"));
    return bar;
  }
  async toggle() {
    const start = !this.player.playing;
    for (const card of cards) card.player.pause();
    Card.current = this;
    let problem = "";
    if (start) await Promise.resolve(this.player.play()).catch((error) => { problem = error.message; });
    showAll();
    if (problem) this.clock.textContent = `cannot play: ${problem}`;
  }
  seekStep(step) {
    this.player.seek(Math.min(Math.max(step, 0), this.piece.steps) * this.piece.secondsPerStep);
    Card.current = this;
    showAll();
  }
  /** Moves to the bar line before (-1) or after (1) the current step. */
  seekBar(direction) {
    const step = this.player.time() / this.piece.secondsPerStep;
    const lines = [0, ...this.piece.bars, this.piece.steps];
    const target = direction > 0
      ? lines.find((line) => line > step + 0.01)
      : lines.findLast((line) => line < step - 2);
    this.seekStep(target ?? (direction > 0 ? this.piece.steps : 0));
  }
  show() {
    const icon = this.player.playing ? PAUSE_ICON : PLAY_ICON;
    if (this.icon !== icon) {
      this.button.innerHTML = this.icon = icon;
      const verb = this.player.playing ? "Pause" : "Play";
      this.button.setAttribute("aria-label", `${verb} ${this.piece.title}`);
    }
    const time = this.player.time();
    this.clock.textContent = `${minutes(time)} / ${minutes(this.player.duration)}`;
    this.element.classList.toggle("current", this === Card.current);
    this.roll.follow(Math.min(time / this.piece.secondsPerStep, this.piece.steps));
  }
}

function showAll() {
  for (const card of cards) card.show();
}

/** Draws the playing piece, and once more after it stops. */
function animate() {
  const playing = cards.find((card) => card.player.playing);
  (playing || animate.last)?.show();
  animate.last = playing;
  requestAnimationFrame(animate);
}

window.addEventListener("resize", showAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showAll);
requestAnimationFrame(animate);
