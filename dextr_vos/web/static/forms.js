/** Rows of the export and import menus. */
import { get } from "./api.js";
import { make } from "./dom.js";

/** @returns {Promise<{name: string, title: string, suffix: string, folder: boolean, group: string, options: string[], read: string[]}[]>} */
export const formats = () => get("/api/formats");

/**
 * Open a menu whose rows need something of the server; it may be closed before that is there.
 * @param {HTMLElement} menu
 * @param {{toggle: (open?: boolean, fill?: boolean) => void, shown: () => boolean}} popover
 * @param {{lost: (error: unknown) => void}} connection told where the server does not answer
 * @param {() => Promise<void>} load
 * @param {() => void} draw
 */
export async function openLoaded(menu, popover, connection, load, draw) {
  menu.replaceChildren(make("p", { class: "soft form-wait", text: "Loading…" }));
  try {
    await load();
  } catch (error) {
    popover.toggle(false);
    return void connection.lost(error);
  }
  if (!popover.shown()) return undefined;
  draw();
  return popover.toggle(true, false);
}

/** Put other rows into a menu; the field that has the keyboard keeps it. */
export function refill(menu, rows) {
  const focused = menu.contains(document.activeElement) ? document.activeElement.getAttribute("data-test") : null;
  menu.replaceChildren(...rows);
  if (focused) menu.querySelector(`[data-test="${focused}"]`)?.focus();
}

/** A field and what it is called. */
export function row(name, field) {
  const named = field.id ? { for: field.id } : {};
  return make("div", { class: "form-row" }, [make("label", { class: "soft", text: name, ...named }), field]);
}

/**
 * A list to choose from.
 * @param {string} name
 * @param {[string, string | [string, string][]][]} entries value and text, or a heading and its entries
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
export function choice(name, entries, value, onChange) {
  const option = ([key, text]) => make("option", { value: key, text, selected: key === value });
  const select = /** @type {HTMLSelectElement} */ (make("select", { id: name, "data-test": name }, entries.map((entry) => (
    Array.isArray(entry[1]) ? make("optgroup", { label: entry[0] }, entry[1].map(option)) : option(entry)))));
  select.addEventListener("change", () => onChange(select.value));
  return select;
}

/** A number; "" where none is typed. */
export function number(name, limits, value, onChange) {
  const input = /** @type {HTMLInputElement} */ (make("input", { type: "number", id: name, "data-test": name, value: String(value), ...limits }));
  input.addEventListener("input", () => onChange(input.value === "" ? "" : Number(input.value)));
  return input;
}

/** A box to tick, with its text. */
export function checkbox(name, text, value, onChange) {
  const input = /** @type {HTMLInputElement} */ (make("input", { type: "checkbox", id: name, "data-test": name, checked: value }));
  input.addEventListener("change", () => onChange(input.checked));
  return make("label", { class: "form-row form-check" }, [input, make("span", { text })]);
}
