// Asks TF Serving, or a server that speaks like it, at the address of this page.

const PATIENCE_SECONDS = 180;

/** What the server cannot or will not do; the message is for the person. */
class Refusal extends Error {}

class Model {
  constructor(name) {
    this.name = name;
    this.path = `v1/models/${encodeURIComponent(name)}`;
  }
  /** The model card of the version that is served; what it lacks is asked of the server. */
  async card() {
    const state = await ask(this.path);
    const ready = (state.model_version_status || []).find((v) => v.state === "AVAILABLE");
    if (!ready) throw new Refusal("The server has no version of the model ready yet.");
    try {
      return await ask(`model_cards/${ready.version}`);
    } catch {
      // A bare TF Serving tells no names of styles, but how many there are.
      const metadata = await ask(`${this.path}/metadata`);
      const inputs = metadata.metadata.signature_def.signature_def.compose_midi.inputs;
      const count = Number(inputs.style.tensor_shape.dim[1].size);
      const styles = Array.from({ length: count }, (_, k) => `style ${k + 1}`);
      return { name: this.name, model: { styles }, limits: {} };
    }
  }
  /** Bytes of the MIDI file of a piece. */
  async compose(wishes) {
    const answer = await ask(`${this.path}:predict`, {
      signature_name: "compose_midi",
      instances: [wishes],
    });
    const text = answer?.predictions?.[0]?.b64;
    if (!text) throw new Refusal("The server's answer holds no piece.");
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }
}

/** Sends a request and gives the JSON of its answer, or throws a Refusal. */
async function ask(path, body) {
  const options = { signal: AbortSignal.timeout(PATIENCE_SECONDS * 1000) };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "TimeoutError") throw new Refusal("The server takes too long; ask for fewer bars.");
    throw new Refusal("The server does not answer; is it running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new Refusal(kindly(response.status, answer.error));
}

/** Turns a server's words into a person's: TF Serving wraps what the model says. */
function kindly(status, error) {
  const said = /assertion failed: \[(.*?)\](?: (\[.*\]))?$/m.exec(error || "");
  if (said) return `${said[1]} ${said[2] || ""}`.trim();
  if (status === 503) return "The server is busy; try again in a moment.";
  if (status === 504) return "The server takes too long; ask for fewer bars.";
  return error || `The server answers with code ${status}.`;
}
