// Sends requests to TF Serving, or to a server with its REST API, at this page's address.

const TIMEOUT_SECONDS = 180;

/** A request that failed; the message is for the user. */
class RequestError extends Error {}

class Model {
  constructor(name) {
    this.name = name;
    this.path = `v1/models/${encodeURIComponent(name)}`;
  }
  /** The model card of the served version, or the part of it that the server's metadata tell. */
  async card() {
    const state = await send(this.path);
    const ready = (state.model_version_status || []).find((v) => v.state === "AVAILABLE");
    if (!ready) throw new RequestError("The server has no version of the model ready yet.");
    try {
      return await send(`model_cards/${ready.version}`);
    } catch {
      // TF Serving alone knows the number of styles, but not their names.
      const { metadata } = await send(`${this.path}/metadata`);
      const { style } = metadata.signature_def.signature_def.compose_midi.inputs;
      const count = Number(style.tensor_shape.dim[1].size);
      const styles = Array.from({ length: count }, (_, k) => `style ${k + 1}`);
      return { name: this.name, model: { styles }, limits: {} };
    }
  }
  /** The bytes of a piece's MIDI file. */
  async compose(inputs) {
    const body = { signature_name: "compose_midi", instances: [inputs] };
    const answer = await send(`${this.path}:predict`, body);
    const text = answer?.predictions?.[0]?.b64;
    if (!text) throw new RequestError("The server's answer holds no piece.");
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }
}

/** Sends a request; returns the JSON of the answer, or throws a RequestError. */
async function send(path, body) {
  const options = { signal: AbortSignal.timeout(TIMEOUT_SECONDS * 1000) };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new RequestError(late ? reason(504) : "The server does not answer; is it running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new RequestError(reason(response.status, answer.error));
}

/** The reason of a failure in a sentence: TF Serving wraps the model's own message. */
function reason(status, error) {
  const found = /assertion failed: \[(.*?)\](?: (\[.*\]))?$/m.exec(error || "");
  if (found) return `${found[1]} ${found[2] || ""}`.trim();
  if (status === 503) return "The server is busy; try again in a moment.";
  if (status === 504) return "The server takes too long; ask for fewer bars.";
  return error || `The server answers with code ${status}.`;
}
