/** Tooltips: one box for the page, with text and key. */
import { el, make } from "./dom.js";
import { shownKey } from "./shortcuts.js";

const WAIT_MS = 450;

export function createTips() {
  const tip = el("tip");
  let timer = 0;
  /** @type {Element|null} */
  let owner = null;

  function show(target) {
    owner = target;
    const words = target.dataset.tip ?? target.getAttribute("aria-label");
    if (!words) return;
    const { command } = target.dataset;
    const key = command ? command.split(" ").map(shownKey).join(" ") : target.dataset.key;
    tip.replaceChildren(words, ...(key ? [make("kbd", { text: key })] : []));
    tip.hidden = false;
    const from = target.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const inRail = target.closest(".rail");
    let left = inRail ? from.right + 8 : from.left + from.width / 2 - size.width / 2;
    let top = inRail ? from.top + from.height / 2 - size.height / 2 : from.bottom + 8;
    if (top + size.height > innerHeight - 6) top = from.top - size.height - 8;
    left = Math.max(6, Math.min(innerWidth - size.width - 6, left));
    tip.style.left = `${Math.round(left)}px`;
    tip.style.top = `${Math.round(top)}px`;
  }

  function hide() {
    window.clearTimeout(timer);
    owner = null;
    tip.hidden = true;
  }

  const target = (event) => /** @type {Element} */ (event.target).closest?.("[data-tip], [data-command], [data-key]");
  document.addEventListener("pointerover", (event) => {
    const found = target(event);
    if (found === owner && found) return void show(found); // what it says may have changed
    hide();
    if (found && event.pointerType === "mouse") timer = window.setTimeout(() => show(found), WAIT_MS);
  });
  document.addEventListener("focusin", (event) => {
    const found = target(event);
    hide();
    if (found && found.matches(":focus-visible")) show(found);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("pointerdown", hide, true);
  document.addEventListener("keydown", hide, true);
}
