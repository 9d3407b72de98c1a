// Opens files, from a button or dropped on the page, and saves the score as a file.

import { FORMATS, read, render } from "./api.js";
import { button, counted, find, make, say, tried } from "./dom.js";
import { isScore } from "./score.js";

/** @import {Store} from "./store.js" */

const LARGEST_FILE = 8 * 2 ** 20;

export class Files {
  /** @param {Store} store @param {() => void} opened */
  constructor(store, opened) {
    this.store = store;
    this.opened = opened;
    const input = find("file", HTMLInputElement);
    button("open").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      input.value = "";
      if (file) tried(() => this.open(file));
    });
    const select = find("format", HTMLSelectElement);
    select.append(...FORMATS.map((ending) => make("option", { value: ending }, `.${ending}`)));
    button("save").addEventListener("click", () => tried(() => this.save(select.value)));
    this.takeDrops();
  }

  takeDrops() {
    const { body } = document;
    const over = (/** @type {boolean} */ on) => body.classList.toggle("dropping", on);
    body.addEventListener("dragover", (event) => {
      event.preventDefault();
      over(true);
    });
    body.addEventListener("dragleave", (event) => event.relatedTarget || over(false));
    body.addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      const file = event.dataTransfer?.files[0];
      if (file) tried(() => this.open(file));
    });
  }

  /** @param {File} file */
  async open(file) {
    if (file.size > LARGEST_FILE) throw new Error(`${file.name} is larger than 8 MB; open a smaller file.`);
    say(`Reading ${file.name}…`);
    const { score, changes } = await read(file);
    if (!isScore(score)) throw new Error(`${file.name} holds no notes.`);
    this.store.name = file.name.replace(/\.[^.]*$/, "");
    this.store.edit(score);
    this.store.tell("parts");
    this.opened();
    const counts = `${counted(score.notes.length, "note")}, ${counted(score.tracks.length, "part")}`;
    say([`Opened ${file.name}: ${counts}.`, ...changes].join(" "));
  }

  /** @param {string} ending */
  async save(ending) {
    const { name, shown } = this.store;
    say(`Writing ${name}.${ending}…`);
    const blob = await render(shown, ending === "mid" ? "midi" : ending);
    const address = URL.createObjectURL(blob);
    const link = make("a", { href: address, download: `${name}.${ending}` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    say(`Saved ${name}.${ending}.`);
  }
}
