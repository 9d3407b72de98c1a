// Draws pieces with the flatbuffer of a network, like generation/light_engine.py in
// poph_tf. Its signatures: `step` draws one step from the state, the controls and the
// random numbers; `ahead` reads the given notes, from the end.

import { chordBias } from "./chords.js";
import { KEYS } from "./harmony.js";
import { keyOf } from "./key.js";
import { clamped } from "./task.js";
import { uniforms } from "./uniforms.js";
import { REST } from "./voices.js";

/** @import {Body, Network, Task} from "./task.js" */
/** @typedef {Record<string, any>} Tensors by the names of a signature */
/** @typedef {Record<string, Float32Array | Int32Array | number>} Values */

const STATE = "state";
const DEFAULT_VELOCITY = 80;

export class Engine {
  /**
   * @param {any} lite the module of LiteRT.js
   * @param {any} compiled the flatbuffer
   * @param {Network} network
   */
  constructor(lite, compiled, network) {
    this.lite = lite;
    this.signatures = compiled.signatures;
    this.network = network;
  }

  /** The name of the key given to the network. @param {Task} task @param {Body} body @param {number} seed */
  keyName(task, body, seed) {
    return KEYS[keyOf(task, body, seed, this.network)] ?? "";
  }

  /**
   * Draws the free cells of a task into its voices.
   * @param {Task} task
   * @param {Body} body
   * @param {number} seed
   * @returns {AsyncGenerator<number>} each drawn step
   */
  async *draw(task, body, seed) {
    const { network } = this;
    const { temperature } = body;
    const whole = { ...network.controls, temperature, key: keyOf(task, body, seed, network) };
    const bias = chordBias(task, body, network);
    const ahead = task.looksAhead ? await this.lookAhead(task, whole.key) : [];
    let state = this.zeroState("step");
    for (let step = 0; step < task.stop; step++) {
      state = await this.run("step", state, {
        ...whole,
        bar_position: task.position[step],
        bars_left: task.left[step],
        pitch_bias: bias(step),
        constraints: clamped(task, step, network),
        look_ahead: ahead[step] ?? 0,
        numbers: uniforms(seed, step, network.tracks.length, network.num_pitches),
      });
      // The drawn frame is in the state too; the runtime names a tensor only once.
      this.take(task, step, state.state_frame.toTypedArray());
      if (step >= task.start) yield step;
    }
    release(state);
  }

  /** Writes a frame, [track, pitch, play and replay and volume]. @param {Task} task @param {number} step @param {Float32Array} frame */
  take({ voices, free }, step, frame) {
    const { num_pitches, min_pitch, tracks } = this.network;
    for (let track = 0; track < tracks.length; track++) {
      if (!free[step * tracks.length + track]) continue;
      const cells = frame.subarray(track * num_pitches * 3, (track + 1) * num_pitches * 3);
      let pitch = 0;
      while (pitch < num_pitches && cells[pitch * 3] < 0.5) pitch += 1;
      const [, again, volume] = cells.subarray(pitch * 3);
      const rests = pitch === num_pitches;
      const velocity = Math.round(volume * 127) || DEFAULT_VELOCITY;
      voices.put(step, track, rests ? REST : pitch + min_pitch, again > 0.5, velocity);
    }
  }

  /** The look-ahead: features of the given notes at and after each step. @param {Task} task @param {number} key */
  async lookAhead(task, key) {
    /** @type {Float32Array[]} */
    const found = [];
    let state = this.zeroState("ahead");
    for (let step = task.score.num_steps - 1; step >= 0; step--) {
      const given = [step - 1, step].map((at) => clamped(task, at, this.network));
      const cells = new Float32Array(2 * given[0].length);
      given.forEach((one, k) => cells.set(one, k * one.length));
      const out = await this.run("ahead", state, {
        given: cells,
        bar_position: task.position[step],
        bars_left: task.left[step],
        key,
      });
      const { look_ahead, ...after } = out;
      found[step] = look_ahead.toTypedArray().slice();
      look_ahead.delete();
      state = after;
    }
    release(state);
    return found;
  }

  /** @param {string} signature @returns {Tensors} */
  zeroState(signature) {
    const details = this.signatures[signature].getInputDetails();
    const states = details.filter((/** @type {any} */ { name }) => name.startsWith(STATE));
    return Object.fromEntries(states.map((/** @type {any} */ detail) => [detail.name, this.tensor(detail, 0)]));
  }

  /**
   * Runs a signature and releases its inputs.
   * @param {string} signature @param {Tensors} state @param {Values} values
   * @returns {Promise<Tensors>}
   */
  async run(signature, state, values) {
    const runner = this.signatures[signature];
    const inputs = { ...state };
    for (const detail of runner.getInputDetails()) {
      inputs[detail.name] ??= this.tensor(detail, values[detail.name]);
    }
    const out = await runner.run(inputs);
    release(inputs);
    return out;
  }

  /** @param {any} detail of an input @param {Float32Array | Int32Array | number} value for all, or each */
  tensor({ shape, dtype }, value) {
    const size = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    const numbers = dtype === "int32" ? new Int32Array(size) : new Float32Array(size);
    if (typeof value === "number") numbers.fill(value);
    else numbers.set(value);
    return new this.lite.Tensor(numbers, shape);
  }
}

/** @param {Tensors} tensors */
function release(tensors) {
  for (const tensor of Object.values(tensors)) tensor.delete();
}
