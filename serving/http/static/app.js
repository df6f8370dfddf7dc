// The page as a whole: tabs, the address, which release answers, and what is shown while none does.

import { AnyTab } from "./any.js";
import * as api from "./api.js";
import { counted, element, spoken } from "./films.js";
import { PairTab } from "./pair.js";
import { UserTab } from "./user.js";

const $ = (id) => document.getElementById(id);
const OUTAGE_RETRY = 4000;
const RELEASE_LOOK = 20000;

const state = { tab: "pair", release: null };

function announce(text) {
  const announcer = $("announcer");
  announcer.textContent = announcer.textContent === text ? `${text}\u00a0` : text;
}

// The address: everything needed to come back to what is shown.
function address() {
  const query = new URLSearchParams();
  if (state.tab !== "pair") query.set("tab", state.tab);
  if (state.tab === "pair") {
    const [a, b] = pair.ids;
    if (a !== null) query.set("a", a);
    if (b !== null) query.set("b", b);
  } else if (state.tab === "any") {
    if (any.films.length) query.set("ids", any.ids.join(","));
    if (any.engine !== "exact") query.set("engine", any.engine);
  } else {
    if (user.user !== null) query.set("user", user.user);
    for (const [name, value] of user.query()) query.set(name, value);
  }
  const text = query.toString().replaceAll("%2C", ",");
  return text ? `/?${text}` : "/";
}

// A choice was made: it is in the address and in the title, and a notice about the one before it goes.
function remember() {
  if (address() !== location.pathname + location.search) history.pushState(null, "", address());
  notice("");
  retitle();
}

function retitle(text) {
  if (state.tab === "user") {
    document.title = `Marquee · ${text ?? (user.user === null ? "a member’s evening" : `member ${user.user}`)}`;
    return;
  }
  const films = state.tab === "pair" ? Object.values(pair.pickers).map((picker) => picker.kept).filter(Boolean) : any.films;
  const names = films.slice(0, 3).map(spoken).join(" + ") + (films.length > 3 ? ` and ${counted(films.length - 3, "film")} more` : "");
  document.title = `Marquee · ${text ?? (names || (state.tab === "pair" ? "two films you like" : "any films you like"))}`;
}

const whole = (text) => (/^\d{1,10}$/.test(text ?? "") ? Number(text) : null);

async function recall() {
  const query = new URLSearchParams(location.search);
  notice("");
  switchTab(query.get("tab") in tabs ? query.get("tab") : "pair", { silent: true });
  if (state.tab === "pair") {
    const missing = pair.select(whole(query.get("a")), whole(query.get("b")));
    if (missing.length) notice(`The link names ${missing.length === 1 ? "a film" : "films"} this release does not offer: ${missing.join(", ")}.`);
    retitle();
    await pair.show();
  } else if (state.tab === "user") {
    user.select(whole(query.get("user")) || null, query.get("genre"), query.get("years"));
    retitle();
    await user.show();
  } else {
    const ids = [...new Set((query.get("ids") ?? "").split(",").map(whole).filter((id) => id !== null))].slice(0, 100);
    const found = await any.select(ids, query.get("engine"));
    retitle();
    if (found) await any.show();
  }
}

function switchTab(name, { silent = false } = {}) {
  state.tab = name;
  for (const each of Object.keys(tabs)) {
    const tab = $(`tab-${each}`);
    tab.setAttribute("aria-selected", String(each === name));
    tab.tabIndex = each === name ? 0 : -1;
    $(`panel-${each}`).hidden = each !== name;
  }
  if (silent) return;
  remember();
  if (name === "any") carryOver();
  tabs[name].show();
}

// Who goes from two films to any films wants to go on from these two.
function carryOver() {
  if (any.films.length) return;
  any.films = Object.values(pair.pickers).map((picker) => picker.kept).filter(Boolean);
  any.drawChosen();
  remember();
}

function listenToTabs() {
  const buttons = Object.keys(tabs).map((name) => $(`tab-${name}`));
  for (const [place, tab] of buttons.entries()) {
    tab.addEventListener("click", () => switchTab(tab.id.slice(4)));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = buttons[(to + buttons.length) % buttons.length];
      next.focus();
      switchTab(next.id.slice(4));
    });
  }
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

// Every answer names its release; the first from another one means that the lists here are of yesterday.
async function seen(release) {
  if (state.release === null || release === state.release) return;
  await loadRelease();
  notice(`A new release is live. What you see comes from ${state.release}.`);
  tabs[state.tab].show();
}

async function loadRelease() {
  const answer = await api.signupMovies();
  state.release = answer.release;
  $("release").textContent = answer.release;
  pair.load(answer.movies);
  any.load(answer.movies);
  user.load(answer.movies);
  lineage.textContent = "";
  if ($("lineage").open) fillLineage();
}

const lineage = $("lineage-body");

async function fillLineage() {
  if (lineage.childElementCount) return;
  const facts = await api.release().catch((error) => ({ error }));
  if (facts.error) { lineage.textContent = facts.error.message; return; }
  const rows = [
    ["Release", facts.release], ["Model", facts.model_version], ["Made", facts.created_at?.replace("T", " ").replace("Z", " UTC")],
    ["Source", `${facts.source.name}, fingerprint ${facts.source.fingerprint}`], ["Ratings", `fingerprint ${facts.ratings_fingerprint}`],
    ["Film vectors", facts.genome_source === "scores" ? "tag genome" : "tags and genres"], ["Deployment", facts.deployment],
    ...facts.source.files.map((file) => [file.name, `${file.rows.toLocaleString("en")} rows, sha256 ${file.sha256}`]),
  ];
  lineage.replaceChildren(element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { class: "mono", text: value })])));
}

function outage(error) {
  const none = error.status === 503;
  document.body.classList.toggle("down", true);
  $("outage").hidden = false;
  $("outage").replaceChildren(
    element("h1", { text: error.message }),
    element("p", { text: none ? "Once there are, this page goes on by itself." : "This page tries again by itself." }),
    element("button", { type: "button", text: "Try again", onclick: start }),
  );
  $("release").textContent = "none";
  retitle(none ? "nothing to show yet" : "not available");
}

let retry;

async function start() {
  clearTimeout(retry);
  try {
    await loadRelease();
  } catch (error) {
    outage(error);
    retry = setTimeout(start, OUTAGE_RETRY);
    return;
  }
  document.body.classList.toggle("down", false);
  $("outage").hidden = true;
  await recall();
}

async function look() {
  if (document.hidden || state.release === null) return;
  // Asked as this client, so that a champion's release does not alarm who meets the challenger.
  const { release } = await api.release().catch(() => ({}));
  if (release) seen(release);
}

const shared = { announce, seen, remember, notice };
const pair = new PairTab(shared);
const any = new AnyTab(shared);
const user = new UserTab(shared);
const tabs = { pair, any, user };
listenToTabs();
$("lineage").addEventListener("toggle", () => { if ($("lineage").open) fillLineage(); });
addEventListener("popstate", recall);
setInterval(look, RELEASE_LOOK);
document.addEventListener("visibilitychange", look);
start();
