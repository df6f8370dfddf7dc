// Runs before the first paint: the chosen theme, else the system's.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("marquee-theme"); } catch { return null; } };
  const apply = () => { root.dataset.theme = stored() ?? (dark.matches ? "dark" : "light"); };
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const next = root.dataset.theme === "dark" ? "light" : "dark";
      try { localStorage.setItem("marquee-theme", next); } catch { /* private window: until reload */ }
      root.dataset.theme = next;
    });
  });
})();
