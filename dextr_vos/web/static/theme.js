/** Dark, light, or as the system has it; the choice is kept in this browser. */
import { announce } from "./announce.js";
import { el, setAttribute, setIcon } from "./dom.js";

const KEY = "dextr-vos.theme";
const NEXT = { auto: "dark", dark: "light", light: "auto" };
const NAMES = { auto: "system", dark: "dark", light: "light" };
const ICONS = { auto: "half", dark: "moon", light: "sun" };

/** @param {() => void} changed called when the colours have changed */
export function createTheme(changed) {
  const root = document.documentElement;
  const button = el("theme");

  function draw() {
    const theme = root.dataset.theme ?? "auto";
    setIcon(button, ICONS[theme]);
    setAttribute(button, "aria-label", `Theme: ${NAMES[theme]}`);
    setAttribute(button, "data-tip", `Theme: ${NAMES[theme]}`);
    changed();
  }

  button.addEventListener("click", () => {
    const theme = NEXT[root.dataset.theme ?? "auto"];
    root.dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // storage may be forbidden; the choice lasts until the page is closed
    }
    announce(`Theme: ${NAMES[theme]}`);
    draw();
  });
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", changed);
  draw();
}
