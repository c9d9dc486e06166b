/** Small ways to reach and make elements. */
import { icon } from "./icons.js";

/** @param {string} id @returns {HTMLElement} the element of that id, which index.html has */
export const el = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `text` sets the text, `icon` puts an icon first, `on…` adds a listener
 * @param {(Node|string)[]} [children]
 */
export function make(tag, attributes = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "icon") element.prepend(icon(value));
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/** Put another icon into a button that has one. */
export function setIcon(element, name) {
  if (element.dataset.icon === name && element.querySelector("svg")) return;
  element.dataset.icon = name;
  element.querySelector("svg")?.remove();
  element.prepend(icon(name));
}

/** Set an attribute only when it differs; null takes it away. */
export function setAttribute(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Set text only when it differs. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Put icons into every element of index.html that names one. */
export function placeIcons() {
  for (const element of document.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
}

/** @returns {boolean} whether the person asked for little motion */
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Clamp `value` to [low, high]. */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
