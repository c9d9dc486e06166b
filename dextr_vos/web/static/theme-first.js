// Runs before the first paint, so that the other theme does not flash up.
(() => {
  try {
    const chosen = localStorage.getItem("dextr-vos.theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage may be forbidden; the system's theme applies
  }
})();
