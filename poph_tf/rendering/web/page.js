// Shows the pieces of the page and plays them by keyboard.

cards.push(...JSON.parse(document.getElementById("data").textContent).pieces
  .map((piece) => new Card(piece)));
Card.current = cards[0];
document.getElementById("pieces").append(...cards.map((card) => card.element));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.tagName !== "BUTTON") Card.current.toggle();
  else if (event.key === "ArrowRight") Card.current.seekBar(1);
  else if (event.key === "ArrowLeft") Card.current.seekBar(-1);
  else return;
  event.preventDefault();
});
showAll();
