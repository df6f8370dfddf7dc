// The tab for any films: a list of films, live answers, and how far the live engines and the table agree.

import * as api from "./api.js";
import { Combobox } from "./combobox.js";
import { answered, counted, element, failure, list, shareButton, spoken, yearOf } from "./films.js";

const MOST = 100;
const MOST_PAIRS = 15;

export class AnyTab {
  constructor({ announce, seen, remember, notice }) {
    Object.assign(this, { announce, seen, remember, notice });
    this.films = [];
    this.signup = new Set();
    this.engine = "exact";
    this.results = document.getElementById("any-results");
    this.chosenList = document.getElementById("any-chosen");
    this.picker = new Combobox(document.getElementById("picker-any"), {
      id: "film-any", label: "Add a film", placeholder: "Type any title", keepsChoice: false, announce,
      find: async (words, signal) => {
        if (!words) return [];
        await new Promise((resolve) => setTimeout(resolve, 80)); // one request for a burst of keys
        if (signal.aborted) return [];
        const found = (await api.search(words, signal)).movies;
        return found.filter((film) => !this.ids.includes(film.movie_id));
      },
      choose: (film) => { if (film) this.add(film); },
    });
    for (const radio of document.querySelectorAll("input[name=engine]")) {
      radio.addEventListener("change", () => { this.engine = radio.value; this.remember(); this.show(); });
    }
  }

  get ids() { return this.films.map((film) => film.movie_id); }

  load(films) { this.signup = new Set(films.map((film) => film.movie_id)); }

  async select(ids, engine) {
    this.engine = engine === "annoy" ? "annoy" : "exact";
    if (ids.join() !== this.ids.join()) {
      try {
        const { input, unknown } = ids.length ? await api.named(ids) : { input: [], unknown: [] };
        this.films = input;
        if (unknown.length) this.notice(`The link names ${counted(unknown.length, "film")} this release does not have: ${unknown.join(", ")}.`);
      } catch (error) {
        this.films = [];
        this.drawChosen();
        this.results.replaceChildren(failure(error, () => this.select(ids, engine).then(() => this.show())));
        return false;
      }
    }
    this.drawChosen();
    return true;
  }

  add(film) {
    if (this.films.length >= MOST) { this.announce(`A list has at most ${MOST} films`); return; }
    this.films.push(film);
    this.announce(`${spoken(film)} added`);
    this.changed();
  }

  remove(film) {
    const place = this.films.indexOf(film);
    this.films.splice(place, 1);
    this.announce(`${spoken(film)} removed`);
    this.changed();
    const buttons = this.chosenList.querySelectorAll("button");
    (buttons[Math.min(place, buttons.length - 1)] ?? this.picker.input).focus();
  }

  changed() { this.drawChosen(); this.remember(); this.show(); }

  drawChosen() {
    for (const radio of document.querySelectorAll("input[name=engine]")) radio.checked = radio.value === this.engine;
    this.chosenList.replaceChildren(...this.films.map((film) => element("li", {},
      element("span", { text: `${spoken(film)}${yearOf(film) ? ` (${yearOf(film)})` : ""}` }),
      element("button", { type: "button", "aria-label": `Remove ${spoken(film)}`, text: "×", onclick: () => this.remove(film) }))));
  }

  async show() {
    this.request?.abort();
    if (!this.films.length) {
      this.results.replaceChildren(element("div", { class: "state" }, element("p", { text: "Films you add appear above, recommendations here." })));
      return;
    }
    const started = performance.now();
    await answered(this, (signal) => api.recommend(this.ids, this.engine, signal), async (answer, signal) => {
      const took = performance.now() - started;
      const compared = await this.compare(answer, signal);
      if (!signal.aborted) this.render(answer, compared, took);
    });
  }

  // What the other engine and the table say about the same films. Their silence is no failure of the answer.
  async compare(answer, signal) {
    const other = this.engine === "exact" ? "annoy" : "exact";
    const quiet = (promise) => promise.catch((error) => { if (error.name === "AbortError") throw error; return null; });
    const inTable = this.ids.filter((id) => this.signup.has(id));
    const pairs = [];
    for (let i = 0; i < inTable.length; i++) for (let j = i + 1; j < inTable.length; j++) pairs.push([inTable[i], inTable[j]]);
    const [engine, ...tables] = await Promise.all([
      quiet(api.recommend(this.ids, other, signal)),
      ...pairs.slice(0, MOST_PAIRS).map(([a, b]) => quiet(api.pair(a, b, signal))),
    ]);
    const same = (found) => found && found.release === answer.release;
    const ranks = new Map();
    for (const table of tables.filter(same)) {
      for (const film of table.recommendations) {
        ranks.set(film.movie_id, Math.min(film.rank, ranks.get(film.movie_id) ?? Infinity));
      }
    }
    const size = tables.filter(same).length === 1 && this.films.length === 2 ? tables.find(same).recommendations.length : null;
    return { other, engine: same(engine) ? engine : null, ranks, tables: tables.filter(same).length, size };
  }

  render(answer, compared, took) {
    const films = answer.recommendations;
    const notes = new Map();
    if (compared.tables) {
      for (const film of films) {
        const rank = compared.ranks.get(film.movie_id);
        notes.set(film.movie_id, rank ? { text: `table no. ${rank}`, found: true } : { text: "not in table", found: false });
      }
    }
    const popular = answer.source === "popular";
    const text = popular ? "Popular films" : films.length ? "You might also like" : "Nothing found";
    const head = element("div", { class: "results-head" }, element("h2", { text }), shareButton(this.announce));
    const about = popular ? element("p", { class: "notice", text: "Nobody has described these films with tags yet, so nothing can be compared. These are the films most people like." })
      : this.agreement(films, compared, took);
    this.results.replaceChildren(...[head, about, list(films, { notes, popular, who: "you like" })]);
    this.announce(`${counted(films.length, "recommendation")} for ${counted(answer.input.length, "film")}`);
    if (answer.unknown.length) this.notice(`Not in this release, left out: ${answer.unknown.join(", ")}.`);
  }

  agreement(films, compared, took) {
    const rows = [];
    if (compared.tables) {
      const shown = compared.size ? films.slice(0, compared.size) : films;
      const found = shown.filter((film) => compared.ranks.has(film.movie_id)).length;
      const what = this.films.length === 2 ? "with the precomputed table" : `with the table's answers for ${compared.tables} ${compared.tables === 1 ? "pair" : "pairs"} of these films`;
      rows.push(meter(found, shown.length, what));
    }
    if (compared.engine) {
      const other = new Set(compared.engine.recommendations.map((film) => film.movie_id));
      const found = films.filter((film) => other.has(film.movie_id)).length;
      rows.push(meter(found, films.length, compared.other === "annoy" ? "with the index" : "with comparing everybody"));
    }
    const time = element("p", { class: "hint", text: `Answered live in ${Math.max(1, Math.round(took))} ms` });
    return element("section", { class: "agreement", "aria-label": "Agreement" }, element("h3", { text: "How far the answers agree" }), ...rows, time);
  }
}

function meter(found, of, text) {
  const bar = element("span", { class: "meter", "aria-hidden": "true" }, element("span"));
  bar.firstChild.style.inlineSize = `${of ? Math.round((100 * found) / of) : 0}%`;
  return element("p", { class: "agree" }, bar, element("span", {}, element("strong", { text: `${found} of ${of}` }), ` ${text}`));
}
