// Runs before the first paint, so that no page flashes in the other scheme.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("botbalance.theme");
  } catch {
    // No storage: the system's scheme counts.
  }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
