// The worker that composes: loads the network and its runtime once, then handles
// requests. A classic worker, since the runtime loads its script with importScripts.

const BASE = new URL(".", self.location.href);

/** @param {string} path */
async function file(path) {
  const response = await fetch(new URL(path, BASE));
  if (!response.ok) throw new Error(`The file ${path} is missing (${response.status}).`);
  return response;
}

/** @param {string} path path of a gzip file */
async function unpacked(path) {
  const stream = (await file(path)).body.pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Loads all files in parallel. */
async function load() {
  const [lite, { Engine }, { task }, wasmBinary, flatbuffer, network] = await Promise.all([
    ...["litert/index.js", "engine.js", "task.js"].map((path) => import(new URL(path, BASE).href)),
    unpacked("litert/litert.wasm.gzip"),
    file("../model/step.tflite").then((response) => response.arrayBuffer()),
    file("../model/network.json").then((response) => response.json()),
  ]);
  // Visitors do not need what the runtime prints.
  self.Module = { wasmBinary, print: () => {}, printErr: () => {} };
  await lite.loadLiteRt(new URL("litert/litert_wasm_compat_internal.js", BASE).href);
  const compiled = await lite.loadAndCompile(new Uint8Array(flatbuffer), { accelerator: "wasm" });
  return { engine: new Engine(lite, compiled, network), task };
}

const loaded = load();
let running = 0;

self.onmessage = async ({ data }) => {
  running = data.id;
  if (!data.kind) return;
  try {
    await compose(data.id, data.kind, data.body);
  } catch (error) {
    self.postMessage({ id: data.id, error: String(error?.message ?? error) });
  }
};

/** Draws the candidates one after the other and reports each bar. */
async function compose(id, kind, body) {
  const { engine, task } = await loaded;
  const pieces = [];
  for (let candidate = 0; candidate < body.candidates; candidate++) {
    const drawn = task(kind, body, engine.network);
    const { voices, position, score } = drawn;
    let start = drawn.start;
    for await (const step of engine.draw(drawn, body, body.seed + candidate)) {
      const end = step + 1;
      if (end < drawn.stop && position[end] !== 0) continue;
      const bar = { candidate, start, num_steps: end - start, notes: voices.notes(start, end) };
      self.postMessage({ id, bar });
      start = end;
      // Lets a message arrive that cancels this.
      await new Promise((resolve) => setTimeout(resolve));
      if (running !== id) return;
    }
    const notes = voices.notes().map(({ tied, ...note }) => note);
    const seed = body.seed + candidate;
    pieces.push({ ...score, tempo: body.tempo_qpm, notes, seed, key: engine.keyName(drawn, body, seed) });
  }
  self.postMessage({ id, answer: { pieces } });
}
