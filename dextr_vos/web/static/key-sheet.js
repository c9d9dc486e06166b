/** The sheet of all keys, where those of commands can be changed: click on one, press another. */
import { announce } from "./announce.js";
import { make } from "./dom.js";
import { anyChanged, isChanged, keyOf, nameOf, onChangeElsewhere, pressedName, refusalOf, resetKeys, setKey, shown, shownKey } from "./shortcuts.js";

const MODIFIERS = ["Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock"];

/** @param {Record<string, import("./keys.js").Key[]>} table */
export function createKeySheet(store, table) {
  const sheet = make("div", { class: "help-keys" });
  const message = make("p", { class: "soft", role: "status", "data-test": "keys-message" });
  const change = make("button", { class: "button small", "data-test": "keys-change", onclick: () => turn(!changing) });
  const reset = /** @type {HTMLButtonElement} */ (make("button", { class: "button small quiet", text: "Reset all", "data-test": "keys-reset", onclick: resetAll }));
  const bar = make("div", { class: "help-change" }, [change, reset, message]);
  let changing = false;
  /** @type {import("./shortcuts.js").Command|null} whose new key is waited for */
  let waiting = null;

  onChangeElsewhere(() => {
    store.set({ keys: performance.now() });
    draw();
  });

  function draw() {
    const mode = store.get().server?.mode ?? "clip";
    change.textContent = changing ? "Finish" : "Change keys";
    reset.hidden = !changing;
    reset.disabled = !anyChanged();
    sheet.replaceChildren(...Object.entries(table).map(([heading, keys]) => make("section", {}, [
      make("h3", { text: heading }),
      make("dl", {}, keys.filter((key) => !key.mode || key.mode === mode).flatMap((key) => [
        make("dt", { text: key.what }), make("dd", {}, shownOf(key)),
      ])),
    ])));
  }

  function shownOf({ command, shown: texts = [], what }) {
    const fixed = texts.map((text) => make("kbd", { text }));
    if (!command) return fixed;
    if (!changing) return [make("kbd", { text: shownKey(command), "data-changed": isChanged(command) }), ...fixed];
    const text = waiting === command ? "Press a key" : shownKey(command);
    return [make("button", { class: "key", text, "data-test": `key-${command}`, "data-changed": isChanged(command),
      "aria-label": `${what}: ${text}. Change`, "aria-pressed": String(waiting === command), onclick: () => wait(waiting === command ? null : command) }), ...fixed];
  }

  function say(sentence, wrong = false) {
    message.textContent = sentence;
    message.classList.toggle("warning", wrong);
  }

  function turn(on) {
    [changing, waiting] = [on, null];
    say(on ? "Click a key, then press the new one." : "");
    draw();
  }

  /** Redraw, and leave the keyboard where it was. */
  function drawAt(command) {
    draw();
    /** @type {HTMLElement|null} */ (sheet.querySelector(`[data-test="key-${command}"]`))?.focus();
  }

  function wait(command) {
    waiting = command;
    say(command ? `Press the new key for “${whatOf(command)}”; Esc keeps ${shownKey(command)}.` : "");
    drawAt(command);
  }

  const whatOf = (command) => Object.values(table).flat().find((one) => one.command === command)?.what;

  function resetAll() {
    resetKeys();
    waiting = null;
    say("All keys are back to their defaults.");
    store.set({ keys: performance.now() });
    draw();
    change.focus();
  }

  /** A pressed key, where one is waited for. @returns {boolean} whether it was */
  function take(event) {
    if (!waiting) return false;
    event.preventDefault();
    if (!MODIFIERS.includes(event.key)) give(event);
    return true;
  }

  function give(event) {
    const command = waiting, name = nameOf(event);
    if (event.key === "Escape" || name === keyOf(command)) return void wait(null);
    const refusal = refusalOf(command, name, pressedName(event), Object.values(table).flat());
    if (refusal) return void say(refusal, true);
    setKey(command, name);
    waiting = null;
    say(`${shown(name)} is now the key for “${whatOf(command)}”.`);
    store.set({ keys: performance.now() });
    drawAt(command);
  }

  return { bar, sheet, take, open: () => turn(false) };
}
