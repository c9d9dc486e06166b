/**
 * A list of things to choose from, each by a click, by its key, or by arrows and Enter. Any other key closes the list and
 * means what it means on the page; so does a click beside it.
 *
 * @typedef {{name: string, key: string|null, run: () => void, colour?: string|null, disabled?: boolean, test?: string}} Row
 */
import { el, make } from "./dom.js";
import { createPopover } from "./popover.js";

/**
 * @param {HTMLElement} box that holds the list
 * @param {HTMLElement} opener its button
 * @param {() => boolean} list fills it; false: there is nothing to choose
 */
export function createMenu(box, opener, list) {
  const popover = createPopover(box, opener, list);
  /** @type {Row[]} */
  let rows = [];

  function close(refocus = false) {
    if (popover.shown()) popover.toggle(false);
    if (refocus) el("hud").focus({ preventScroll: true });
  }

  function choose(row) {
    close(true);
    row.run();
  }

  function rowOf(row) {
    const swatch = make("span", { class: "swatch" });
    if (row.colour) swatch.style.background = row.colour;
    else swatch.style.visibility = "hidden";
    return make("button", { class: "menu-row", "data-test": row.test ?? null, disabled: row.disabled, onclick: () => choose(row) }, [
      swatch, make("span", { class: "name", text: row.name }), ...(row.key ? [make("kbd", { text: row.key.toUpperCase() })] : []),
    ]);
  }

  /**
   * @param {string} title
   * @param {Row[]} choices
   * @returns {boolean} true
   */
  function fill(title, choices) {
    rows = choices;
    box.setAttribute("aria-label", title);
    box.replaceChildren(make("h2", { text: title, "aria-hidden": "true" }), ...choices.map(rowOf));
    return true;
  }

  /** Show the list as it is filled; `first`: its first row gets the keyboard, so that Enter and Space choose it. */
  function show(first = true) {
    popover.toggle(true, false);
    if (!first || !box.contains(document.activeElement)) box.focus({ preventScroll: true });
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return void close();
    const row = rows.find((one) => one.key?.toLowerCase() === event.key.toLowerCase() && !one.disabled);
    const buttons = [...box.querySelectorAll("button:not(:disabled)")];
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    if (row) choose(row);
    else if (event.key === "Escape") close(true);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const next = event.key === "ArrowDown" ? at + 1 : at < 0 ? buttons.length - 1 : at - 1;
      /** @type {HTMLButtonElement} */ (buttons[(next + buttons.length) % buttons.length]).focus();
    } else if (event.key === "Tab") return void close();
    else if (event.key === "Shift" || ((event.key === "Enter" || event.key === " ") && at >= 0)) return undefined;
    else return void close(true);
    event.preventDefault();
    event.stopPropagation();
    return undefined;
  }

  box.addEventListener("keydown", onKey);
  return { fill, show, close };
}
