// A text field with suggestions, after the ARIA combobox pattern (list autocomplete, manual selection).
// Belongs here: keys, pointer, what assistive technology is told. What is suggested comes from `find(words, signal)`.

import { counted, element, spoken, yearOf } from "./films.js";

const plain = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();

export class Combobox {
  constructor(host, { id, label, placeholder, find, choose, announce, keepsChoice = true }) {
    Object.assign(this, { id, find, choose, announce, keepsChoice });
    this.films = [];
    this.active = -1;
    this.film = null; // what the text stands for; null while somebody types
    this.kept = null; // the choice, which stays while somebody types
    this.listedFor = null; // the text the list was made for
    this.entered = false; // Enter was pressed before its list was there
    this.input = element("input", {
      id, type: "text", role: "combobox", autocomplete: "off", autocapitalize: "off", spellcheck: "false", placeholder,
      "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${id}-list`,
    });
    this.clearButton = element("button", { type: "button", class: "clear", "aria-label": `Clear ${label.toLowerCase()}`, hidden: true, text: "×" });
    this.list = element("ul", { id: `${id}-list`, role: "listbox", "aria-label": label, hidden: true });
    this.empty = element("p", { class: "no-match", hidden: true });
    this.box = element("div", { class: "field" }, this.input, this.clearButton, this.list, this.empty);
    host.replaceChildren(element("label", { for: id, text: label }), this.box);
    this.listen();
  }

  listen() {
    this.input.addEventListener("input", () => { this.film = null; this.entered = false; this.deselect(); this.refresh(); });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("click", () => { if (!this.open) this.refresh(); });
    this.input.addEventListener("focus", () => { if (this.film) this.input.select(); });
    this.input.addEventListener("blur", () => { this.entered = false; this.close(); this.restore(); });
    this.clearButton.addEventListener("click", () => { this.clear(); this.choose(null); this.input.focus(); this.refresh(); });
    // A press must not take the focus from the field, or the list would close before the click arrives.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.take(Number(option.dataset.index));
    });
  }

  get open() { return !this.list.hidden; }
  get typing() { return this.film === null && this.input.value.trim() !== ""; }
  get current() { return this.open && this.listedFor === this.input.value; }

  async refresh() {
    this.request?.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    const text = this.input.value;
    this.clearButton.hidden = !text;
    this.list.classList.toggle("stale", this.listedFor !== text); // it cannot be chosen from any more
    let films = [], problem = "";
    try {
      films = await this.find(this.film ? "" : text.trim(), signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      problem = error.message;
    }
    if (signal.aborted || document.activeElement !== this.input) return;
    this.show(films, text, problem);
    if (this.entered && films.length) this.take(0);
    this.entered = false;
  }

  show(films, text, problem = "") {
    this.films = films;
    this.listedFor = text;
    this.list.classList.remove("stale");
    this.active = -1;
    this.list.replaceChildren(...films.map((film, index) => this.option(film, index)));
    this.list.hidden = films.length === 0;
    this.list.scrollTop = 0;
    const nothing = problem || (films.length === 0 && text.trim() !== "" ? "No film of that name here" : "");
    this.empty.hidden = !nothing;
    this.empty.textContent = nothing;
    this.input.setAttribute("aria-expanded", String(films.length > 0));
    this.input.removeAttribute("aria-activedescendant");
    if (nothing) this.announce(nothing);
    else if (text.trim()) this.announce(counted(films.length, "film"));
  }

  option(film, index) {
    const title = element("span", { class: "option-title" }, ...this.marked(spoken(film)));
    return element("li", { role: "option", id: `${this.id}-option-${index}`, "data-index": index, "aria-selected": "false" },
      title, element("span", { class: "option-year", text: yearOf(film) }));
  }

  marked(title) {
    const words = this.film ? "" : plain(this.input.value.trim());
    const at = words ? plain(title).indexOf(words) : -1;
    if (at < 0 || plain(title).length !== title.length) return [title];
    return [title.slice(0, at), element("mark", { text: title.slice(at, at + words.length) }), title.slice(at + words.length)];
  }

  key(event) {
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      if (!this.current) { if (!this.open) this.refresh(); return; }
      this.move(this.active + (key === "ArrowDown" ? 1 : -1));
    } else if (key === "Enter" && (this.current || this.typing)) {
      event.preventDefault();
      if (this.current) { this.take(Math.max(this.active, 0)); return; }
      this.entered = true; // taken as soon as the list for this text is there
      this.refresh();
    } else if (key === "Escape") {
      if (this.open) this.close();
      else { this.clear(); this.choose(null); }
    }
  }

  move(to) {
    const options = this.list.children;
    const next = (to + options.length) % options.length;
    options[this.active]?.setAttribute("aria-selected", "false");
    this.active = next;
    options[next].setAttribute("aria-selected", "true");
    options[next].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", options[next].id);
  }

  deselect() {
    this.list.children[this.active]?.setAttribute("aria-selected", "false");
    this.active = -1;
    this.input.removeAttribute("aria-activedescendant");
  }

  take(index) {
    const film = this.films[index];
    if (!film) return;
    if (this.keepsChoice) this.set(film);
    else this.clear();
    this.close();
    this.choose(film);
  }

  set(film) {
    this.film = this.kept = film;
    this.input.value = film ? `${spoken(film)}${yearOf(film) ? ` (${yearOf(film)})` : ""}` : "";
    this.clearButton.hidden = !film;
  }

  clear() {
    this.set(null);
    this.close();
  }

  // Leaving the field with unfinished words brings the last choice back.
  restore() {
    if (!this.keepsChoice) return;
    if (!this.film && this.kept) this.set(this.kept);
  }

  close() {
    this.request?.abort();
    this.entered = false;
    this.list.hidden = true;
    this.empty.hidden = true;
    this.active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}

// Films whose words begin with the words typed, in the films' own order; those that begin with the whole text first.
export function matching(films, words) {
  const asked = plain(words).replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  if (!asked) return films;
  const parts = asked.split(" ");
  const first = [], others = [];
  for (const film of films) {
    film.words ??= ` ${plain(`${spoken(film)} ${film.title}`).replace(/['’]/g, "").replace(/[^\p{L}\p{N}]+/gu, " ").trim()}`;
    if (!parts.every((part) => film.words.includes(` ${part}`))) continue;
    (film.words.startsWith(` ${asked}`) || film.words.startsWith(` the ${asked}`) ? first : others).push(film);
  }
  return [...first, ...others];
}
