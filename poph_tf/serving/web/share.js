// A link with settings and notes after the #, which is never sent to a server.

/** @import {Saved} from "./types.js" */

// Some mail programs and chats cut longer links.
const LONGEST = 6000;
const NOTHING = { settings: {}, model: "" };

/** @param {Uint8Array} bytes @param {CompressionStream | DecompressionStream} stream */
async function through(bytes, stream) {
  const body = new Blob([/** @type {BlobPart} */ (bytes)]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(body).arrayBuffer());
}

/** @param {unknown} value */
async function pack(value) {
  const text = new TextEncoder().encode(JSON.stringify(value));
  const bytes = await through(text, new CompressionStream("deflate-raw"));
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * The text after the #; without notes if they would make it too long.
 * @param {Pick<Saved, "settings" | "model" | "score">} saved
 * @returns {Promise<{hash: string, whole: boolean}>}
 */
export async function toHash({ settings, model, score }) {
  const notes = score.notes.map((n) => [n.track, n.pitch, n.start, n.duration, n.velocity]);
  const whole = await pack({ settings, model, score: { ...score, notes } });
  if (whole.length <= LONGEST) return { hash: `#s=${whole}`, whole: true };
  return { hash: `#s=${await pack({ settings, model })}`, whole: false };
}

/**
 * @param {string} hash
 * @returns {Promise<Partial<Saved>>} empty if the link is damaged
 */
export async function fromHash(hash) {
  if (!hash.startsWith("#s=")) return NOTHING;
  try {
    const letters = atob(hash.slice(3).replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    const text = await through(bytes, new DecompressionStream("deflate-raw"));
    const saved = JSON.parse(new TextDecoder().decode(text));
    if (saved.score) {
      saved.score.notes = saved.score.notes.map((/** @type {number[]} */ n) => {
        const [track, pitch, start, duration, velocity] = n;
        return { track, pitch, start, duration, velocity };
      });
    }
    return saved;
  } catch {
    return NOTHING;
  }
}
