// Reads the MIDI files that compose_midi writes: one track, one tempo.

const STEPS_PER_QUARTER = 4;
const BAR_STEPS = 16;

/** Reads bytes one after another: big-endian numbers, and variable-length ones. */
class Bytes {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  number(count) {
    if (this.at + count > this.bytes.length) throw new Error("the MIDI file ends too early");
    let value = 0;
    for (let k = 0; k < count; k++) value = value * 256 + this.bytes[this.at++];
    return value;
  }
  variable() {
    let [value, byte] = [0, 128];
    while (byte >= 128) {
      byte = this.number(1);
      value = value * 128 + (byte & 127);
    }
    return value;
  }
}

/** The notes of a file: {secondsPerStep, steps, bars, beats, notes: [[start, end, pitch, velocity]]}. */
function readMidi(bytes) {
  const file = new Bytes(bytes);
  if (file.number(4) !== 0x4d546864) throw new Error("this is not a MIDI file");
  file.at = 12;
  const stepTicks = file.number(2) / STEPS_PER_QUARTER;
  file.at = 22; // after the track's name and length
  const sounding = new Map();
  const notes = [];
  let [tick, microseconds] = [0, 500000];
  for (;;) {
    tick += file.variable();
    const status = file.number(1);
    if (status === 0xff) {
      const [kind, length] = [file.number(1), file.variable()];
      if (kind === 0x2f) break;
      if (kind === 0x51) microseconds = file.number(length);
      else file.at += length;
    } else if (status === 0xc0) {
      file.at += 1;
    } else {
      const [pitch, velocity, step] = [file.number(1), file.number(1), tick / stepTicks];
      if (status === 0x90) sounding.set(pitch, [step, velocity]);
      else {
        const [start, struck] = sounding.get(pitch);
        notes.push([start, step, pitch, struck]);
      }
    }
  }
  notes.sort((a, b) => a[0] - b[0] || a[2] - b[2]);
  const steps = tick / stepTicks;
  const every = (distance) =>
    Array.from({ length: Math.ceil(steps / distance) }, (_, k) => k * distance);
  const secondsPerStep = microseconds / 1e6 / STEPS_PER_QUARTER;
  return { secondsPerStep, steps, bars: every(BAR_STEPS), beats: every(STEPS_PER_QUARTER), notes };
}
