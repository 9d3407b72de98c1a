// The form, and a card for each piece.

const MAX_SEED = 2 ** 31;
const field = (id) => document.getElementById(id);
const model = new Model(new URLSearchParams(location.search).get("model") || "poph");

function showStatus(text, isError = false) {
  field("status").textContent = text;
  field("status").classList.toggle("error", isError);
}

/** Shows one slider for each style, set to the shares of the training pieces. */
function showStyles(names, shares) {
  if (names.length < 2) return;
  const most = Math.max(...(shares || []));
  names.forEach((name, index) => {
    const value = shares ? Math.round((100 * shares[index]) / most) : 100;
    const slider = make("input", { type: "range", min: 0, max: 100, value, class: "style" });
    slider.addEventListener("input", showShares);
    field("styles").append(make("label", {}, name, slider, make("output", {})));
  });
  field("styles").hidden = false;
  showShares();
}

/** The sliders' values as shares that add up to 1. */
function styleShares() {
  const values = [...document.querySelectorAll("input.style")].map((s) => Number(s.value));
  const total = values.reduce((sum, value) => sum + value, 0);
  return values.length ? values.map((value) => value / total) : [1];
}

function showShares() {
  const shares = styleShares();
  document.querySelectorAll("#styles output").forEach((output, index) => {
    output.textContent = Number.isFinite(shares[index]) ? `${Math.round(100 * shares[index])} %` : "–";
  });
}

/** The inputs of compose_midi, or an error that says which field to change. */
function readForm() {
  for (const input of document.querySelectorAll("input[type=number]")) {
    const valid = input.checkValidity();
    input.setAttribute("aria-invalid", String(!valid));
    if (!valid) {
      input.focus();
      const name = input.closest("label").firstChild.textContent.trim();
      const kind = input.step === "1" ? "a whole number" : "a number";
      throw new RequestError(`${name} must be ${kind} from ${input.min} to ${input.max}.`);
    }
  }
  const style = styleShares();
  if (!style.every(Number.isFinite)) throw new RequestError("Give at least one style a share.");
  return {
    seed: [Number(field("seed").value), 0],
    num_steps: Number(field("bars").value) * BAR_STEPS,
    temperature: Number(field("temperature").value),
    style,
    tempo_qpm: Number(field("tempo").value),
  };
}

/** The card of a composed MIDI file. */
function cardOf(bytes, inputs) {
  const piece = readMidi(bytes);
  const [seed, bars] = [inputs.seed[0], inputs.num_steps / BAR_STEPS];
  return new Card({
    ...piece,
    title: `Seed ${seed}, ${bars} bars, temperature ${inputs.temperature}`,
    details: `${piece.notes.length} notes`,
    midi: URL.createObjectURL(new Blob([bytes], { type: "audio/midi" })),
    file: `poph-${seed}.mid`,
  });
}

async function compose() {
  if (field("fresh").checked) field("seed").value = Math.floor(Math.random() * MAX_SEED);
  const inputs = readForm();
  showStatus("Composing…");
  const started = performance.now();
  const card = cardOf(await model.compose(inputs), inputs);
  cards.unshift(card);
  field("pieces").prepend(card.element);
  card.show();
  showStatus(`Composed in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
}

field("request").addEventListener("submit", async (event) => {
  event.preventDefault();
  field("compose").disabled = true;
  try {
    await compose();
  } catch (error) {
    const known = error instanceof RequestError;
    showStatus(known ? error.message : `The page failed: ${error.message}`, true);
  } finally {
    field("compose").disabled = false;
  }
});

/** Shows the model's name, styles and limits, and enables the form. */
async function start() {
  try {
    const { name, limits, model: config } = await model.card();
    field("about").textContent = `Model ${name}${config.preset ? `, preset ${config.preset}` : ""}.`;
    field("bars").max = Math.max(Math.floor((limits.max_steps || 512) / BAR_STEPS), 1);
    field("bars").value = Math.min(field("bars").value, field("bars").max);
    if (limits.max_temperature) field("temperature").max = limits.max_temperature;
    showStyles(config.styles, config.style_shares);
    field("compose").disabled = false;
  } catch (error) {
    field("about").textContent = "";
    showStatus(`${error.message} Reload this page to try again.`, true);
  }
}

start();
