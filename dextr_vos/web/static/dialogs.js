/** Questions before something that is hard to undo. */
import { el, make } from "./dom.js";

/**
 * Ask; Escape and a click outside mean no.
 * @param {string} question
 * @param {string} consequence what happens, and whether it can be undone
 * @param {string} verb what the button that does it says
 * @returns {Promise<boolean>}
 */
export function ask(question, consequence, verb) {
  const dialog = /** @type {HTMLDialogElement} */ (el("ask"));
  return new Promise((done) => {
    let answer = false;
    const no = make("button", { class: "button", text: "Cancel", onclick: () => dialog.close(), "data-test": "ask-no" });
    const yes = make("button", { class: "button danger", text: verb, "data-test": "ask-yes",
      onclick: () => { answer = true; dialog.close(); } });
    dialog.replaceChildren(
      make("h2", { id: "ask-title", text: question }),
      make("p", { text: consequence }),
      make("div", { class: "answers" }, [no, yes]),
    );
    dialog.addEventListener("close", () => done(answer), { once: true });
    dialog.showModal();
    yes.focus();
  });
}

/** Close a dialog by a click outside. */
export function closeBeside(dialog) {
  dialog.addEventListener("pointerdown", (event) => {
    if (event.target !== dialog) return;
    const box = dialog.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) dialog.close();
  });
}
