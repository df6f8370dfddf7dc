// The tab for members: whose evening it is, what they like, their list with reasons, by genre and decade.

import * as api from "./api.js";
import { answered, counted, element, failure, list, shareButton, spoken } from "./films.js";

export class UserTab {
  constructor({ announce, seen, remember }) {
    Object.assign(this, { announce, seen, remember });
    this.user = null;
    this.results = document.getElementById("user-results");
    this.input = document.getElementById("user-id");
    this.filters = { genre: document.getElementById("user-genre"), years: document.getElementById("user-years") };
    document.getElementById("user-form").addEventListener("submit", (event) => { event.preventDefault(); this.typed(); });
    document.getElementById("user-draw").addEventListener("click", () => this.draw());
    for (const select of Object.values(this.filters)) select.addEventListener("change", () => { this.remember(); this.show(); });
  }

  // Genres and decades to choose from are those of the sign-up films.
  load(films) {
    const genres = [...new Set(films.flatMap((film) => film.genres))].sort();
    const decades = [...new Set(films.map((film) => film.year).filter(Boolean).map((year) => year - (year % 10)))].sort();
    this.offer("genre", genres.map((name) => [name, name]));
    this.offer("years", decades.map((year) => [`${year}-${year + 9}`, `${year}s`]));
  }

  offer(name, choices) {
    const select = this.filters[name];
    const chosen = select.value;
    const every = element("option", { value: "", text: name === "genre" ? "Every genre" : "Every decade" });
    select.replaceChildren(every, ...choices.map(([value, text]) => element("option", { value, text })));
    this.set(name, chosen);
  }

  set(name, value) {
    const select = this.filters[name];
    select.value = value ?? "";
    if (select.selectedIndex < 0) select.value = "";
  }

  select(user, genre, years) {
    this.user = user;
    this.input.value = user ?? "";
    this.set("genre", genre);
    this.set("years", years);
  }

  query() {
    return Object.entries(this.filters).filter(([, select]) => select.value).map(([name, select]) => [name, select.value]);
  }

  typed() {
    const text = this.input.value.trim();
    if (!/^[1-9]\d{0,9}$/.test(text) || Number(text) > 2147483647) {
      this.say("A member is a number, like 7.");
      return;
    }
    this.user = Number(text);
    this.remember();
    this.show();
  }

  async draw() {
    try {
      const { users } = await api.draw();
      if (!users.length) { this.say("This release has no lists for members."); return; }
      this.user = users[0].user_id;
      this.input.value = this.user;
      this.remember();
      await this.show();
    } catch (error) {
      this.results.replaceChildren(failure(error, () => this.draw()));
    }
  }

  say(text) {
    this.results.replaceChildren(element("div", { class: "state" }, element("p", { text })));
    this.announce(text);
  }

  async show() {
    this.request?.abort();
    if (this.user === null) {
      this.results.replaceChildren(element("div", { class: "state" }, element("p", { text: "Type a member's number, or draw somebody." })));
      return;
    }
    await answered(this, (signal) => api.user(this.user, this.query(), null, signal), (answer) => this.render(answer));
  }

  render(answer) {
    const films = answer.recommendations;
    const popular = answer.source === "popular";
    const parts = [element("div", { class: "results-head" },
      element("h2", {}, popular ? "Popular films for member " : "Tonight for member ", element("em", { text: this.user })), shareButton(this.announce))];
    if (popular) {
      const why = answer.inputs ? "likes too few films for a list of their own" : "is not known to this release";
      parts.push(element("p", { class: "notice", text: `Member ${this.user} ${why}. These are the films most people like.` }));
    }
    if (answer.inputs) parts.push(this.liked(answer));
    if (answer.films_left !== null) parts.push(element("p", { class: "hint left", text: `${answer.films_left.toLocaleString("en")} ${answer.films_left === 1 ? "film" : "films"} to choose from` }));
    const cards = list(films, { popular, who: "they like" });
    parts.push(films.length ? cards : element("div", { class: "state" }, element("p", { text: "No film is left. Choose another genre or decade." })));
    if (answer.cursor) parts.push(this.moreButton(cards, answer.cursor, popular));
    this.results.replaceChildren(...parts);
    this.announce(`${counted(films.length, "recommendation")} for member ${this.user}`);
  }

  liked(answer) {
    const rest = answer.inputs - answer.input.length;
    const names = answer.input.map((film) => element("li", {}, element("span", { text: spoken(film) })));
    if (rest > 0) names.push(element("li", { class: "rest" }, element("span", { text: `and ${rest} more` })));
    return element("details", { class: "liked", open: answer.inputs <= 8 },
      element("summary", { text: `Likes ${counted(answer.inputs, "film")}` }), element("ul", { class: "chosen" }, ...names));
  }

  moreButton(cards, cursor, popular) {
    let next = cursor;
    const button = element("button", {
      type: "button", class: "quiet more", text: "Show more",
      onclick: async () => {
        button.disabled = true;
        try {
          const answer = await api.user(this.user, this.query(), next, this.request.signal);
          const added = list(answer.recommendations, { popular, who: "they like", most: cards.most });
          const first = added.firstElementChild;
          cards.append(...added.children);
          this.announce(`${counted(answer.recommendations.length, "more film")}`);
          next = answer.cursor;
          if (next) button.disabled = false;
          else button.remove();
          first?.querySelector("button")?.focus({ preventScroll: true });
        } catch (error) {
          if (error.name === "AbortError") return;
          button.replaceWith(failure(error, () => this.show()));
        }
      },
    });
    return button;
  }
}
