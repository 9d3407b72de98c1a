// The key that the network is told: as generation/conditions.py of poph_tf, with the
// tables of its theory.py.

import { philox } from "./uniforms.js";
import { REST } from "./voices.js";

/** @import {Body, Network, Task} from "./task.js" */

const CLASSES = 12;
const KEYS = 24;
const KEY_COUNTER = 1;
const UNKNOWN = -1;

/**
 * The key asked for, that of the notes given, or one drawn: 0 to 23, -1 unknown.
 * @param {Task} task @param {Body} body @param {Network} network @param {number} seed
 */
export function keyOf(task, { key = "", music }, network, seed) {
  if (key && key !== "auto") return network.key_names.indexOf(key);
  if (music) return findKey(task, network);
  const [bits] = philox([0, 0, 0, KEY_COUNTER], [seed, 0]);
  return Math.floor(((bits >>> 8) * KEYS) / 2 ** 24);
}

/** The key of the notes that are given. @param {Task} task @param {Network} network */
function findKey({ voices, free, score }, { key_profiles, key_endings, tracks }) {
  const counts = new Array(CLASSES).fill(0);
  let lowest = 0;
  for (let step = 0; step < score.num_steps; step++) {
    const sounding = new Set();
    for (let place = step * tracks.length; place < (step + 1) * tracks.length; place++) {
      if (!free[place] && voices.pitch[place] !== REST) sounding.add(voices.pitch[place]);
    }
    for (const pitch of sounding) counts[pitch % CLASSES] += 1;
    if (sounding.size) lowest = Math.min(...sounding);
  }
  const mean = counts.reduce((a, b) => a + b) / CLASSES;
  const norm = Math.hypot(...counts.map((count) => count - mean));
  if (!norm) return UNKNOWN;
  const fits = key_profiles.map((profile, key) => {
    const fit = profile.reduce((sum, value, k) => sum + value * (counts[k] - mean), 0);
    return fit / norm + key_endings[lowest % CLASSES][key];
  });
  return fits.indexOf(Math.max(...fits));
}
