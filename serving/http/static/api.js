// Talking to the service. Belongs here: requests, their failures, which release answered. Nothing here touches the page.

// What a visitor reads. The service's own words are for programmers and stay in the console of the network.
const WORDS = {
  "no-vector": "Nobody has described these films with tags yet, so there is nothing to compare. Add another film.",
  "not-found": "The current release does not have this choice. Try another film.",
  "no-index": "The index is not available at the moment. Compare everybody instead.",
  "no-release": "There are no recommendations yet.",
  "rate-limit": "That was a lot at once. Wait a moment, then try again.",
  "no-key": "This page needs a key that whoever runs the service has to add.",
  "missing-scope": "The key of this page does not open this.",
  busy: "Many people are asking at the moment. Wait a moment, then try again.",
  gone: "What you were looking at was replaced by newer recommendations. Begin again.",
  away: "The service cannot be reached.",
};

export class Refusal extends Error {
  constructor(problem) {
    super(WORDS[(problem.type ?? "").split(":").pop()] ?? "The service could not answer that.");
    this.status = problem.status ?? 0;
    this.parameter = problem.parameter;
    this.kind = (problem.type ?? "").split(":").pop();
  }
}

// A key that names this browser, so that it always meets the same variant; it is random and never logged.
function clientKey() {
  const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (n) => n.toString(16).padStart(2, "0")).join("");
  try {
    let key = localStorage.getItem("marquee-client");
    if (!key) localStorage.setItem("marquee-client", (key = fresh()));
    return key;
  } catch {
    return fresh();
  }
}

const headers = { Accept: "application/json", "Marquee-Client": clientKey() };

export async function ask(path, signal) {
  let response;
  try {
    response = await fetch(path, { headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ status: 0, type: "away" });
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal({ status: response.status, ...body });
  return body;
}

export const signupMovies = () => ask("/signup-movies");
export const release = () => ask("/release");
export const pair = (a, b, signal) => ask(`/pairs/${a}/${b}`, signal);
export const search = (words, signal) => ask(`/movies?limit=20&q=${encodeURIComponent(words.slice(0, 100))}`, signal);
export const recommend = (ids, engine, signal) => ask(`/recommend?ids=${ids.join(",")}&num=10&engine=${engine}`, signal);

// Titles of films of a shared link: /recommend names its input films, and those it does not know.
export const named = (ids) => ask(`/recommend?ids=${ids.join(",")}&num=1`);

export const similar = (id) => ask(`/movies/${id}/similar?num=5`);
export const draw = () => ask("/users?num=1");
export const user = (id, filters, cursor, signal) => {
  const query = new URLSearchParams([["num", "12"], ...filters, ...(cursor ? [["cursor", cursor]] : [])]);
  return ask(`/users/${id}/recommendations?${query}`, signal);
};

// What is liked of late, or, in a release without such a list, at all.
export const popular = () => ask("/popular?list=recent&num=12").catch((error) => {
  if (error.status !== 404) throw error;
  return ask("/popular?num=12");
});
