// A melody to start with: the first lines of "Freude, schöner Götterfunken" (Beethoven,
// 1824), in quarters unless a length follows.

/** @import {Score, Track} from "./types.js" */

const TUNE =
  "66 66 67 69 69 67 66 64 62 62 64 66 66:6 64:2 64:8 " +
  "66 66 67 69 69 67 66 64 62 62 64 66 64:6 62:2 62:8";

/** @param {Track[]} tracks whose first gets the melody @returns {Score} */
export function example(tracks) {
  let start = 0;
  const notes = TUNE.split(" ").map((word) => {
    const [pitch, duration = 4] = word.split(":").map(Number);
    const note = { track: 0, pitch, start, duration, velocity: 84 };
    start += duration;
    return note;
  });
  const score = { tracks, notes, num_steps: start, steps_per_quarter: 4 };
  return { ...score, metre: "4/4", tempo: 100, pickup: 0 };
}
