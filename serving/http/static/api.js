// Talking to the service. Belongs here: requests, their failures, which release answered. Nothing here touches the page.

export class Refusal extends Error {
  constructor(problem) {
    super(problem.detail ?? "The service did not answer.");
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
    throw new Refusal({ status: 0, detail: "The service cannot be reached." });
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

// Titles of films of a shared link, whatever tab it is for: /recommend names its input films.
export const named = async (ids) => (await ask(`/recommend?ids=${ids.join(",")}&num=1`)).input;
