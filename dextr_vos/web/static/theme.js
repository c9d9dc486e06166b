/** Dark, light, or as the system has it; the choice is kept in this browser. */
import { announce } from "./announce.js";
import { el, setAttribute, setIcon } from "./dom.js";

const KEY = "dextr-vos.theme";
const NEXT = { auto: "dark", dark: "light", light: "auto" };
const NAMES = { auto: "as the system", dark: "dark", light: "light" };
const ICONS = { auto: "half", dark: "moon", light: "sun" };

/** @param {() => void} changed called when colours are other ones now */
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
      // storage may be forbidden; the choice holds until the page is left
    }
    announce(`Theme: ${NAMES[theme]}`);
    draw();
  });
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", changed);
  draw();
}
