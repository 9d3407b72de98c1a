// Pairs of a real and a composed piece: asks which is which, counts and saves answers.

const { pairs } = JSON.parse(document.getElementById("data").textContent);
const answers = pairs.map(() => null);
const line = make("p", { role: "status" });
const save = make("button", { type: "button", class: "wide", disabled: "" }, "Show and save the result");

function countAnswers() {
  const given = answers.filter((answer) => answer !== null).length;
  line.textContent = `${given} of ${pairs.length} answered.`;
  save.disabled = given < pairs.length;
}

/** A card whose piece can be chosen as the composed one of its pair. */
function choice(piece, pair, place) {
  const card = new Card(piece);
  cards.push(card);
  const radio = make("input", { type: "radio", name: `pair-${pair}` });
  radio.addEventListener("change", () => { answers[pair] = place; countAnswers(); });
  card.element.append(make("label", {}, radio, " This one is composed by the computer."));
  return card.element;
}

/** Shows how many answers are right, and downloads them as JSON. */
function finish() {
  const right = pairs.filter(({ composed }, k) => answers[k] === composed).length;
  line.textContent = `${right} of ${pairs.length} right; by chance ${pairs.length / 2}.`;
  const rows = pairs.map(({ composed, names }, k) => ({ names, composed, chosen: answers[k] }));
  const text = JSON.stringify({ date: new Date().toISOString(), right, pairs: rows }, null, 1);
  const href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  make("a", { href, download: "answers.json" }).click();
}

pairs.forEach(({ pieces }, pair) => {
  const choices = pieces.map((piece, place) => choice(piece, pair, place));
  document.getElementById("pieces").append(make("h2", {}, `Pair ${pair + 1}`), ...choices);
});
document.getElementById("pieces").append(line, save);
save.addEventListener("click", finish);
countAnswers();
showAll();
