// Runs before the first paint, so that a chosen theme does not flash up as the other one.
(() => {
  try {
    const chosen = localStorage.getItem("dextr-vos.theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage may be forbidden; the system's theme stands
  }
})();
