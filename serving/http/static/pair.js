// The tab for two films: two pickers over the sign-up films, answers from the precomputed table.

import * as api from "./api.js";
import { Combobox, matching } from "./combobox.js";
import { answered, counted, element, list, shareButton, spoken } from "./films.js";

const SHOWN = 60;

export class PairTab {
  constructor({ announce, seen, remember }) {
    Object.assign(this, { announce, seen, remember });
    this.films = [];
    this.results = document.getElementById("pair-results");
    this.popular = document.getElementById("pair-popular");
    const labels = { a: "First film", b: "Second film" };
    this.pickers = Object.fromEntries(["a", "b"].map((side) => [side, new Combobox(document.getElementById(`picker-${side}`), {
      id: `film-${side}`,
      label: labels[side],
      placeholder: side === "a" ? "Type a title" : "And another one",
      announce,
      find: (words, signal) => this.find(side, words, signal),
      choose: (film) => this.chosen(side, film),
    })]));
  }

  // Typing errors are beyond a plain comparison: then the service is asked.
  async find(side, words, signal) {
    const taken = this.pickers[side === "a" ? "b" : "a"].kept?.movie_id;
    const free = this.films.filter((film) => film.movie_id !== taken);
    const here = matching(free, words);
    if (here.length || !words) return here.slice(0, SHOWN);
    const found = await api.search(words, signal);
    return found.movies.filter((film) => film.signup && film.movie_id !== taken);
  }

  // The films of a release; choices it still has stay, and so does what somebody is typing.
  load(films) {
    this.films = films;
    this.known = new Map(films.map((film) => [film.movie_id, film]));
    for (const picker of Object.values(this.pickers)) {
      const film = this.known.get(picker.kept?.movie_id) ?? null;
      if (picker.typing) picker.kept = film;
      else picker.set(film);
      if (document.activeElement === picker.input && picker.typing) picker.refresh();
    }
  }

  // Ids of a link; returns those that are no sign-up films. What somebody typed while the page was loading stays.
  select(a, b) {
    for (const [side, id] of [["a", a], ["b", b]]) {
      const film = this.known.get(id);
      if (film) this.pickers[side].set(film);
      else if (!this.pickers[side].typing) this.pickers[side].clear();
    }
    return [a, b].filter((id) => Number.isInteger(id) && !this.known.has(id));
  }

  get ids() { return ["a", "b"].map((side) => this.pickers[side].kept?.movie_id ?? null); }

  chosen(side, film) {
    this.remember();
    const [a, b] = this.ids;
    if (film && (a === null || b === null)) this.pickers[side === "a" ? "b" : "a"].input.focus();
    this.show();
  }

  async show() {
    this.request?.abort();
    const [a, b] = this.ids;
    if (a === null && b === null) this.showPopular();
    else this.popular.replaceChildren();
    if (a === null || b === null) { this.results.replaceChildren(this.suggestions(a ?? b)); return; }
    await answered(this, (signal) => api.pair(a, b, signal), (answer) => this.render(answer));
  }

  // What a visitor sees first. Should it fail, the pickers still work: no alarm.
  async showPopular() {
    const answer = await api.popular().catch(() => null);
    if (!answer?.recommendations.length || this.ids.some((id) => id !== null)) return;
    this.popular.replaceChildren(element("h2", { text: "What people like" }), list(answer.recommendations, { popular: true }));
  }

  render(answer) {
    const names = answer.input.map(spoken).join(" and ");
    const films = answer.recommendations;
    const head = element("div", { class: "results-head" },
      element("h2", {}, "If you like ", element("em", { text: names })), shareButton(this.announce));
    if (!films.length) {
      this.results.replaceChildren(head, element("div", { class: "state" }, element("p", { text: "Nobody likes both and something else, too. Try another film." })));
      this.announce("No recommendations");
      return;
    }
    this.results.replaceChildren(head, list(films, { who: "you like" }));
    this.announce(`${counted(films.length, "recommendation")} for ${names}`);
  }

  suggestions(half) {
    if (half !== null) {
      return element("div", { class: "state" }, element("p", { text: "One more, and the recommendations appear." }));
    }
    const pairs = [[0, 1], [2, 3], [4, 5], [6, 7]].filter(([, second]) => second < this.films.length);
    const buttons = pairs.map((places) => {
      const [first, second] = places.map((place) => this.films[place]);
      return element("button", {
        type: "button", class: "suggestion", text: `${spoken(first)} + ${spoken(second)}`,
        onclick: () => { this.select(first.movie_id, second.movie_id); this.remember(); this.show(); },
      });
    });
    return element("div", { class: "state" }, element("p", { text: "Not sure? Start with one of these." }), element("div", { class: "suggestions" }, ...buttons));
  }
}
