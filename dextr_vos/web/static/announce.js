/** Messages: toasts on the stage, and the live region that screen readers read aloud. */
import { el, make } from "./dom.js";

let last = 0;

/** Announce a sentence to screen readers, without showing it. */
export function announce(sentence) {
  const live = el("live");
  live.textContent = "";
  const turn = ++last;
  setTimeout(() => { if (turn === last) live.textContent = sentence; }, 30);
}

/**
 * Show sentences on the stage, and announce them; a warning stays until it is closed, others go after a while.
 * @param {string} text
 * @param {"note"|"error"|"warning"} [kind]
 */
export function toast(text, kind = "note") {
  const stays = kind === "warning";
  const toasts = el("toasts");
  const all = /** @type {HTMLElement[]} */ ([...toasts.children]);
  for (const old of all.filter((one) => one.textContent === text)) old.remove();
  const alike = all.filter((one) => one.isConnected && (one.dataset.kind === "warning") === stays);
  for (const old of alike.slice(0, -2)) old.remove();
  const box = make("div", { class: "toast", "data-kind": kind, "data-test": "toast", "aria-hidden": stays ? null : "true" }, [make("p", { text })]);
  if (stays) box.append(make("button", { class: "icon-button small", icon: "close", "aria-label": "Close the message", "data-test": "toast-close", onclick: () => close(box) }));
  else setTimeout(() => box.remove(), kind === "error" ? 8000 : 4500);
  toasts.append(box);
  announce(text);
}

/** Remove a message; the keys go to the image again. */
function close(box) {
  box.remove();
  el("hud").focus({ preventScroll: true });
}
