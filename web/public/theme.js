// Runs before the first paint, so that no page flashes in the other scheme.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("botbalance.theme");
  } catch (error) {
    // No storage: the system's scheme counts.
  }
  var dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
