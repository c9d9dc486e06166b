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
 * Show a sentence on the stage for a while, and announce it.
 * @param {string} sentence
 * @param {"note"|"error"} [kind]
 */
export function toast(sentence, kind = "note") {
  const toasts = el("toasts");
  for (const old of [...toasts.children]) if (old.textContent === sentence) old.remove();
  while (toasts.children.length > 2) toasts.firstChild?.remove();
  const box = make("div", { class: "toast", "data-kind": kind, "data-test": "toast", text: sentence });
  toasts.append(box);
  setTimeout(() => box.remove(), kind === "error" ? 8000 : 4500);
  announce(sentence);
}
