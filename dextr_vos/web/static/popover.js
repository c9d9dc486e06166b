/** Menus that open at a button: placed beside it, closed by Escape, a click outside, the button again, or another menu. */

const OPENED = "dextr-vos:popover";

/**
 * @param {HTMLElement} menu
 * @param {HTMLElement} opener its button
 * @param {() => any} draw fills the menu before it is shown; false: there is nothing to show
 * @returns {{toggle: (open?: boolean, fill?: boolean) => void, shown: () => boolean}}
 */
export function createPopover(menu, opener, draw) {
  const GAP = 6;

  function place() {
    const at = opener.getBoundingClientRect();
    const box = menu.getBoundingClientRect();
    const below = at.bottom + GAP + box.height <= innerHeight;
    menu.style.top = `${Math.max(GAP, below ? at.bottom + GAP : at.top - GAP - box.height)}px`;
    menu.style.left = `${Math.max(GAP, Math.min(at.right - box.width, innerWidth - box.width - GAP))}px`;
  }

  /** Open or close; `fill`: draw it first. */
  function toggle(open = menu.hidden, fill = true) {
    menu.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    if (fill && draw() === false) return void toggle(false);
    document.dispatchEvent(new CustomEvent(OPENED, { detail: menu }));
    place();
    /** @type {HTMLElement|null} */ (menu.querySelector("button:not(:disabled), a, select, input"))?.focus();
  }

  opener.addEventListener("click", () => toggle());
  document.addEventListener(OPENED, (event) => {
    if (!menu.hidden && /** @type {CustomEvent} */ (event).detail !== menu) toggle(false);
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    toggle(false);
    opener.focus();
  });
  document.addEventListener("pointerdown", (event) => {
    const target = /** @type {Node} */ (event.target);
    if (!menu.hidden && !menu.contains(target) && !opener.contains(target)) toggle(false);
  });
  window.addEventListener("resize", () => { if (!menu.hidden) place(); });
  return { toggle, shown: () => !menu.hidden };
}
