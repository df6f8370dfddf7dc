// Showing films. Belongs here: elements for films, lists of them, and the states of a list.

import * as api from "./api.js";

const ARTICLE = /^(.*), (The|A|An|Le|La|Les|Il|Lo|El|Los|Las|Der|Die|Das|Un|Une|L')$/i;
// Colours of genres, the telling ones first: a film wears the first it has.
const HUES = {
  "Film-Noir": 240, Western: 26, War: 74, Musical: 316, Documentary: 96, Animation: 172, Horror: 0, "Sci-Fi": 206, Fantasy: 268,
  Mystery: 252, Crime: 350, Children: 190, Romance: 336, Thriller: 8, Adventure: 34, Comedy: 48, Action: 16, Drama: 222,
};

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// "Matrix, The (1999)" as people say it: "The Matrix".
export function spoken(film) {
  const bare = film.title.replace(/\s*\(\d{4}(?:[-–]\d{0,4})?\)\s*$/, "");
  const main = bare.replace(/\s*\([^)]*\)\s*$/, "") || bare;
  const match = main.match(ARTICLE);
  if (!match) return main;
  return match[2].endsWith("'") ? match[2] + match[1] : `${match[2]} ${match[1]}`;
}

export const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

export const yearOf = (film) => film.year ?? film.title.match(/\((\d{4})/)?.[1] ?? "";

function tile(film, rank) {
  const genre = Object.keys(HUES).find((name) => film.genres?.includes(name));
  const node = element("span", { class: "tile", "aria-hidden": "true", text: rank });
  node.style.setProperty("--hue", genre ? HUES[genre] : 40);
  return node;
}

function votes(film, most, note, popular) {
  const bar = element("span", { class: "votes-bar", "aria-hidden": "true" }, element("span"));
  bar.firstChild.style.inlineSize = `${Math.max(6, Math.round((100 * film.score) / most))}%`;
  const text = popular ? `${film.score.toLocaleString("en")} ${film.score === 1 ? "like" : "likes"}`
    : film.votes === null ? "" : `${film.score.toFixed(2)} · ${counted(film.votes, "vote")}`;
  const mark = note ? element("span", { class: note.found ? "mark found" : "mark", text: note.text }) : null;
  return element("p", { class: "votes" }, bar, text ? element("span", { text }) : null, mark);
}

const joined = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

// Why a film is on a list, as a sentence; nothing for lists without reasons.
function reason(film, who) {
  const named = (film.because ?? []).slice(0, 3);
  const rest = film.because?.length > 3 || named.some((each) => each.movie_id === null);
  const titles = named.filter((each) => each.movie_id !== null).map((each) => (film.because.length > 1 ? `${spoken(each)} (${Math.round(100 * each.share)}%)` : spoken(each)));
  const words = (film.common_tags ?? []).map((tag) => tag.replace(/^genre: /, "").toLowerCase()); // tags made of genres, without the word
  const tags = words.length ? `In common: ${[...new Set(words)].join(", ")}.` : "";
  const because = titles.length && who ? `Because ${who} ${joined(rest ? [...titles, "others"] : titles)}.` : "";
  return because || tags ? element("p", { class: "because", text: [because, tags].filter(Boolean).join(" ") }) : null;
}

// Opens and closes the films similar to one, below its card's facts.
function similarButton(film) {
  const box = element("div", { class: "similar", hidden: true });
  const button = element("button", { type: "button", class: "link", "aria-expanded": "false", "aria-label": `Similar films: ${spoken(film)}`, text: "Similar films" });
  button.addEventListener("click", async () => {
    const open = button.getAttribute("aria-expanded") === "false";
    button.setAttribute("aria-expanded", String(open));
    box.hidden = !open;
    if (!open || box.querySelector("ol, [role=status]")) return; // what failed is asked again
    box.replaceChildren(element("p", { class: "hint", role: "status", text: "Looking…" }));
    try {
      const { source, recommendations } = await api.similar(film.movie_id);
      const found = source === "similar" ? recommendations : [];
      const rows = found.map((each) => element("li", {}, element("span", { text: spoken(each) }), element("span", { class: "option-year", text: yearOf(each) })));
      box.replaceChildren(found.length ? element("ol", { "aria-label": `Similar to ${spoken(film)}` }, ...rows) : element("p", { class: "hint", role: "status", text: "Too little is known of this film." }));
    } catch (error) {
      box.replaceChildren(element("p", { class: "hint", role: "alert", text: error.message }));
    }
  });
  return [button, box];
}

function card(film, most, { notes, popular, who }) {
  const facts = element("p", { class: "facts" });
  if (yearOf(film)) facts.append(element("span", { class: "year", text: yearOf(film) }));
  for (const genre of film.genres) facts.append(element("span", { class: "genre", text: genre }));
  return element(
    "li",
    { class: "card", "data-movie": film.movie_id },
    tile(film, film.rank),
    element("div", { class: "card-body" }, element("h3", { text: spoken(film), title: film.title }), facts, reason(film, who),
      votes(film, most, notes?.get(film.movie_id), popular), ...similarButton(film)),
  );
}

// Options: notes by movie_id, whether scores are likes, who likes the films named as reasons, the longest bar's score.
export function list(films, options = {}) {
  const most = options.most ?? Math.max(...films.map((film) => film.score), 1e-6);
  const cards = element("ol", { class: "cards" }, ...films.map((film) => card(film, most, options)));
  cards.most = most;
  return cards;
}

function skeleton() {
  const rows = Array.from({ length: 6 }, () => element("li", { class: "card ghost" }, element("span", { class: "tile" }), element("div", { class: "card-body" })));
  return element("div", { "aria-busy": "true" }, element("p", { class: "hidden-text", text: "Loading" }), element("ol", { class: "cards", "aria-hidden": "true" }, ...rows));
}

export function failure(error, retry) {
  return element(
    "div",
    { class: "state error", role: "alert" },
    element("h2", { text: "That did not work" }),
    element("p", { text: error.message }),
    element("button", { type: "button", text: "Try again", onclick: retry }),
  );
}

// Ask for what a tab shows, in place of what it asked before: the answer is rendered, or what went wrong is.
export async function answered(tab, question, render) {
  tab.request = new AbortController();
  const { signal } = tab.request;
  // A skeleton that flashes for some milliseconds is worse than none.
  const waiting = setTimeout(() => tab.results.replaceChildren(skeleton()), 150);
  try {
    const answer = await question(signal);
    if (signal.aborted) return;
    clearTimeout(waiting);
    await render(answer, signal);
    if (!signal.aborted) tab.seen(answer.release);
  } catch (error) {
    if (error.name === "AbortError") return;
    tab.results.replaceChildren(failure(error, () => tab.show()));
    tab.announce(error.message);
  } finally {
    clearTimeout(waiting);
  }
}

export function shareButton(announce) {
  return element("button", {
    type: "button",
    class: "quiet",
    text: "Copy link",
    onclick: async (event) => {
      const button = event.currentTarget;
      try {
        await navigator.clipboard.writeText(location.href);
        button.textContent = "Link copied";
      } catch {
        button.textContent = "Copy it from the address bar";
      }
      announce(button.textContent);
      setTimeout(() => { button.textContent = "Copy link"; }, 2500);
    },
  });
}
