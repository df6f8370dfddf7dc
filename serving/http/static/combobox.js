// A text field with suggestions, after the ARIA combobox pattern (list autocomplete, manual selection).
// Belongs here: keys, pointer, what assistive technology is told. What is suggested comes from `find(words, signal)`.

import { element, spoken, yearOf } from "./films.js";

const plain = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();

export class Combobox {
  constructor(host, { id, label, placeholder, find, choose, announce, keepsChoice = true }) {
    Object.assign(this, { id, find, choose, announce, keepsChoice });
    this.films = [];
    this.active = -1;
    this.film = null;
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
    this.input.addEventListener("input", () => { this.film = null; this.refresh(); });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("click", () => { if (!this.open) this.refresh(); });
    this.input.addEventListener("focus", () => { if (this.film) this.input.select(); });
    this.input.addEventListener("blur", () => { this.close(); this.restore(); });
    this.clearButton.addEventListener("click", () => { this.clear(); this.choose(null); this.input.focus(); this.refresh(); });
    // A press must not take the focus from the field, or the list would close before the click arrives.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.take(Number(option.dataset.index));
    });
  }

  get open() { return !this.list.hidden; }

  async refresh() {
    this.request?.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    this.clearButton.hidden = !this.input.value;
    let films;
    try {
      films = await this.find(this.film ? "" : this.input.value.trim(), signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      films = [];
    }
    if (signal.aborted || document.activeElement !== this.input) return;
    this.show(films);
  }

  show(films) {
    this.films = films;
    this.active = -1;
    this.list.replaceChildren(...films.map((film, index) => this.option(film, index)));
    this.list.hidden = films.length === 0;
    this.list.scrollTop = 0;
    const nothing = films.length === 0 && this.input.value.trim() !== "";
    this.empty.hidden = !nothing;
    this.empty.textContent = nothing ? "No film of that name here" : "";
    this.input.setAttribute("aria-expanded", String(films.length > 0));
    this.input.removeAttribute("aria-activedescendant");
    if (this.input.value.trim()) this.announce(films.length ? `${films.length} films` : "No film of that name here");
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
      if (!this.open) { this.refresh(); return; }
      this.move(this.active + (key === "ArrowDown" ? 1 : -1));
    } else if (key === "Enter" && this.open) {
      event.preventDefault();
      this.take(Math.max(this.active, 0));
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
