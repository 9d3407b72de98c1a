// Draws a piece: a piano roll that scrolls with the player, and a small overview.

const SECONDS_IN_VIEW = 12;

/** A colour of the style sheet, read at every drawing because the theme may change. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
}

/** Clears a canvas; its context draws in CSS pixels at the screen's resolution. */
function prepare(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

class Roll {
  constructor(piece, canvas, whole) {
    this.piece = piece;
    this.canvas = canvas;
    this.whole = whole;
    const pitches = piece.notes.map((note) => note[2]);
    this.low = Math.min(...pitches, 58) - 2;
    this.high = Math.max(...pitches, 70) + 3;
    this.first = 0; // the step at the left edge
    this.span = Math.min(SECONDS_IN_VIEW / piece.secondsPerStep, Math.max(piece.steps, 16));
  }
  /** Scrolls so that the step is at a third of the view, and draws. */
  follow(step) {
    const last = Math.max(this.piece.steps - this.span, 0);
    this.first = Math.min(Math.max(step - this.span / 3, 0), last);
    this.draw(step);
  }
  stepAt(x) { return this.first + (x / this.canvas.clientWidth) * this.span; }
  draw(step) {
    const { pen, width, height } = prepare(this.canvas);
    const x = (at) => ((at - this.first) / this.span) * width;
    const tall = height / (this.high - this.low);
    const y = (pitch) => (this.high - pitch - 1) * tall;
    this.drawPaper(pen, width, height, x, y, tall);
    this.drawNotes(pen, x, y, tall, step);
    pen.fillStyle = colour("head");
    pen.fillRect(x(step) - 1, 0, 2, height);
    this.drawWhole(step);
  }
  drawPaper(pen, width, height, x, y, tall) {
    pen.fillStyle = colour("black-key");
    for (let pitch = this.low; pitch < this.high; pitch++) {
      if (isBlack(pitch)) pen.fillRect(0, y(pitch), width, tall);
    }
    const inView = (at) => at >= this.first - 1 && at <= this.first + this.span;
    pen.fillStyle = colour("beat");
    for (const at of this.piece.beats.filter(inView)) pen.fillRect(x(at), 0, 1, height);
    pen.font = "11px system-ui, sans-serif";
    this.piece.bars.forEach((at, index) => {
      if (!inView(at)) return;
      pen.fillStyle = colour("bar");
      pen.fillRect(x(at), 0, 1, height);
      pen.fillStyle = colour("faint");
      pen.fillText(index + 1, x(at) + 4, 11);
    });
    for (let pitch = this.low; pitch < this.high; pitch++) {
      if (pitch % 12) continue;
      pen.fillStyle = colour("bar");
      pen.fillRect(0, y(pitch) + tall, width, 1);
      pen.fillStyle = colour("faint");
      pen.fillText(pitchName(pitch), 3, y(pitch) + tall - 2);
    }
  }
  drawNotes(pen, x, y, tall, step) {
    const [card, ink] = [colour("card"), colour("ink")];
    for (const [start, end, pitch, velocity, track] of this.piece.notes) {
      if (end < this.first || start > this.first + this.span) continue;
      const sounds = start <= step && step < end && step > 0;
      const share = Math.round((100 * velocity) / 127);
      const own = this.piece.tracks[track].colour;
      const [soft, loud] = [`${own} 45%, ${card}`, `${own} 80%, ${ink}`].map((mixed) => `color-mix(in oklab, ${mixed})`);
      pen.fillStyle = sounds ? ink : `color-mix(in oklab, ${loud} ${share}%, ${soft})`;
      pen.beginPath();
      const wide = Math.max(x(end) - x(start) - 1.5, 1);
      pen.roundRect(x(start), y(pitch) + 0.5, wide, Math.max(tall - 1, 1), 2);
      pen.fill();
    }
  }
  drawWhole(step) {
    const { pen, width, height } = prepare(this.whole);
    const steps = Math.max(this.piece.steps, this.span, 1);
    const x = (at) => (at / steps) * width;
    const tall = height / (this.high - this.low);
    pen.fillStyle = colour("black-key");
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = colour("beat");
    pen.fillRect(x(this.first), 0, x(this.span), height);
    for (const [start, end, pitch, , track] of this.piece.notes) {
      pen.fillStyle = this.piece.tracks[track].colour;
      const top = (this.high - pitch - 1) * tall;
      pen.fillRect(x(start), top, Math.max(x(end) - x(start), 1), Math.max(tall, 1));
    }
    pen.fillStyle = colour("head");
    pen.fillRect(x(step) - 1, 0, 2, height);
  }
}
