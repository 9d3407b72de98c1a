// The random numbers of a piece: Philox4x32-10 of (seed, step, pitch, track), bit for bit
// those of poph_tf, so that a seed gives the same piece in both.
//
// Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (2011),
// doi:10.1145/2063384.2063405, section 4.3 and its constants.

const ROUNDS = 10;
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57];
const WEYL = [0x9e3779b9, 0xbb67ae85];
const HALF = 0xffff;
/** Numbers per pitch: one for play, one for replay. */
const DRAWS = 2;

/** The high word of the product of two 32-bit words. @param {number} a @param {number} b */
function high(a, b) {
  const [a0, a1, b0, b1] = [a & HALF, a >>> 16, b & HALF, b >>> 16];
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const other = a0 * b1 + (middle & HALF);
  return a1 * b1 + Math.floor(middle / 65536) + Math.floor(other / 65536);
}

/**
 * The block function.
 * @param {number[]} counter four words
 * @param {number[]} key two words
 * @returns {number[]} four words, each below 2**32
 */
export function philox(counter, key) {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const [high0, low0] = [high(c0, MULTIPLIERS[0]), Math.imul(c0, MULTIPLIERS[0])];
    const [high1, low1] = [high(c2, MULTIPLIERS[1]), Math.imul(c2, MULTIPLIERS[1])];
    [c0, c1, c2, c3] = [high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0].map((word) => word >>> 0);
    [k0, k1] = [(k0 + WEYL[0]) >>> 0, (k1 + WEYL[1]) >>> 0];
  }
  return [c0, c1, c2, c3];
}

/**
 * Numbers for a step, in [0, 1): [track, pitch, 2].
 * @param {number} seed
 * @param {number} step counted from the start of the piece
 * @param {number} tracks
 * @param {number} pitches
 */
export function uniforms(seed, step, tracks, pitches) {
  const numbers = new Float32Array(tracks * pitches * DRAWS);
  for (let place = 0; place < tracks * pitches; place++) {
    const bits = philox([step, place % pitches, Math.floor(place / pitches), 0], [seed, 0]);
    for (let draw = 0; draw < DRAWS; draw++) {
      numbers[place * DRAWS + draw] = (bits[draw] >>> 8) * 2 ** -24;
    }
  }
  return numbers;
}
