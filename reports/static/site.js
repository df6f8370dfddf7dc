// Search in the index of search.js, charts in the colours of the page, queries to copy. Nothing is fetched.
"use strict";

const MOST = 12;

function matches(entry, words) {
  const title = entry.title.toLowerCase();
  const whole = `${title} ${entry.kind} ${entry.text}`.toLowerCase();
  if (!words.every((word) => whole.includes(word))) return 0;
  const phrase = words.join(" ");
  const name = title.slice(title.lastIndexOf(".") + 1);
  if (title === phrase || name === phrase) return 4;
  if (title.startsWith(phrase) || name.startsWith(phrase)) return 3;
  return words.every((word) => title.includes(word)) ? 2 : 1;
}

function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const ranked = SEARCH.map((entry, place) => [matches(entry, words), place, entry]).filter(([rank]) => rank);
  return ranked.sort((a, b) => b[0] - a[0] || a[1] - b[1]).map(([, , entry]) => entry);
}

function searchable(field, list, status) {
  const close = () => { list.hidden = true; };
  const show = () => {
    const found = find(field.value);
    list.replaceChildren(...found.slice(0, MOST).map((entry) => {
      const link = Object.assign(document.createElement("a"), { href: entry.url, textContent: entry.title });
      const note = Object.assign(document.createElement("small"), { textContent: `${entry.kind}: ${entry.text}` });
      link.append(note);
      const item = document.createElement("li");
      item.append(link);
      return item;
    }));
    list.hidden = !found.length;
    const more = found.length > MOST ? `, the first ${MOST} are shown` : "";
    status.textContent = field.value.trim() ? `${found.length} found${more}` : "";
    if (!found.length && field.value.trim()) {
      list.replaceChildren(Object.assign(document.createElement("li"), { textContent: "Nothing found.", className: "soft" }));
      list.hidden = false;
    }
  };
  const move = (step) => {
    const stops = [field, ...list.querySelectorAll("a")];
    const next = stops[stops.indexOf(document.activeElement) + step];
    if (next) next.focus();
  };
  field.addEventListener("input", show);
  field.addEventListener("focus", () => { if (field.value.trim()) show(); });
  field.parentElement.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Escape") {
      field.focus();
      close();
    } else if (event.key === "Enter" && event.target === field) {
      list.querySelector("a")?.click();
    }
  });
  list.addEventListener("click", (event) => { if (event.target.closest("a")) close(); });
  document.addEventListener("click", (event) => { if (!field.parentElement.contains(event.target)) close(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      field.focus();
    }
  });
}

const LIGHT = ["#8f1f2b", "#1f6f8b", "#b9744f", "#5b6b2f", "#6b4c8f", "#8a6d1b", "#3a7d5c", "#7a7166"];
const DARK = ["#f2b65e", "#7cc4de", "#e39b76", "#b9cc7a", "#c3a6ea", "#e6d38a", "#8fd3b0", "#b5aa9b"];
const OUTCOMES = { light: ["#2c6a46", "#b07d10", "#c0303c"], dark: ["#7fcf9b", "#f0c050", "#ff8a80"] };

function look(dark, width) {
  const style = getComputedStyle(document.documentElement);
  const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
  const category = dark ? DARK : LIGHT;
  const text = { labelColor: soft, titleColor: soft, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
  return {
    background: null,
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { ...text, domainColor: line, tickColor: line, gridColor: line },
    legend: { ...text, symbolSize: 90, columns: Math.max(1, Math.floor(width / 150)) },
    range: { category },
    mark: { color: category[0] },
    rule: { color: ink },
    point: { size: 45 },
  };
}

function coloured(spec, dark) {
  // Outcomes of checks have colours that mean something; all other series take those of the page in turn.
  return JSON.parse(JSON.stringify(spec), (key, value) =>
    key === "scale" && value.domain && value.domain[0] === "passed" && !value.range
      ? { ...value, range: OUTCOMES[dark ? "dark" : "light"] } : value);
}

function draw(charts, dark) {
  for (const [place, spec] of charts) {
    vegaEmbed(place, coloured(spec, dark), { actions: false, renderer: "svg", config: look(dark, place.clientWidth) });
  }
}

function charted() {
  const found = [...document.querySelectorAll(".chart > script")];
  if (!found.length || typeof vegaEmbed === "undefined") return;
  const charts = found.map((script) => [script.parentElement, JSON.parse(script.textContent)]);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  draw(charts, scheme.matches);
  scheme.addEventListener("change", () => draw(charts, scheme.matches));
}

function copied() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.firstChild.textContent = "Copied";
      setTimeout(() => { button.firstChild.textContent = "Copy"; }, 1500);
    });
  }
}

searchable(...["search", "results", "found"].map((id) => document.getElementById(id)));
charted();
copied();
