/** The label set: choosing what an object is from a list, by a click or by the label's key, and writing the list. */
import { announce } from "./announce.js";
import { post } from "./api.js";
import { el, make } from "./dom.js";
import { createMenu } from "./menu.js";
import { shownKey } from "./shortcuts.js";

export function createLabels(store, edits, connection) {
  const menu = createMenu(el("label-menu"), el("object-label"), () => list(store.get().object));
  const dialog = /** @type {HTMLDialogElement} */ (el("label-set"));
  /** @type {number|null} the object that is named */
  let subject = null;
  /** @type {string|null} text that was typed and neither saved nor cancelled */
  let typed = null;

  const labels = () => store.get().server?.labels ?? [];

  function choose(label) {
    const id = edits.real(subject);
    const { objects } = store.get().server;
    // several objects with one label stay apart by their own colours
    const used = objects.some((one) => one.name === label.name && one.id !== id);
    const before = objects.find((one) => one.id === id)?.colour;
    const change = { name: label.name, colour: /** @type {string|null|undefined} */ (undefined) };
    if (label.colour && !used) change.colour = label.colour;
    else if (labels().some((one) => one.colour && one.colour === before)) change.colour = null; // that of another label
    edits.changeObject(subject, change);
    announce(`Labelled ${label.name}`);
  }

  /** @param {number|null} id the object to be named @returns {boolean} whether there is a label to choose */
  function list(id) {
    const { server } = store.get();
    if (!server || server.readonly) return false;
    if (id === null) announce(`Add an object first (${shownKey("add")}).`);
    else if (!labels().length) edit(id);
    if (id === null || !labels().length) return false;
    subject = id;
    return menu.fill("What is it?", [
      ...labels().map((label) => ({ name: label.name, colour: label.colour, key: label.key, run: () => choose(label) })),
      { name: "Label set…", key: null, test: "label-edit", run: () => edit(id) },
    ]);
  }

  /** The list as text: a label a line, then its colour and its key, if it has them; then the object chooses from it. */
  function edit(id) {
    const { server } = store.get();
    if (!server || server.readonly) return;
    const digits = new Set("123456789");
    const lines = labels().map((one, place) => [quoted(one.name), one.colour, digits.has(one.key) && one.key === String(place + 1) ? null : one.key]
      .filter(Boolean).join(", "));
    const text = /** @type {HTMLTextAreaElement} */ (make("textarea", { rows: 8, spellcheck: "false", "data-test": "label-text",
      "aria-label": "Labels, one per line", placeholder: "horse, #e69f00, h\nrider" }));
    text.value = typed ?? lines.join("\n");
    text.addEventListener("input", () => { typed = text.value; });
    const wrong = make("p", { class: "warning", role: "alert", "data-test": "label-wrong" });
    const cancel = () => {
      typed = null;
      dialog.close();
    };
    dialog.replaceChildren(
      make("h2", { id: "label-title", text: "Label set" }),
      make("p", { text: `One label per line, with a colour and a key if you like: horse, #e69f00, h. ${shownKey("label")} gives the selected object a label.` }),
      text,
      wrong,
      make("div", { class: "answers" }, [
        make("button", { class: "button", text: "Cancel", "data-test": "label-cancel", onclick: cancel }),
        make("button", { class: "button primary", text: "Save", "data-test": "label-save", onclick: () => save(text.value, wrong, id) }),
      ]),
    );
    dialog.showModal();
  }

  async function save(text, wrong, id) {
    const fault = parsed(text).map(faultOf).find(Boolean);
    if (fault) return void (wrong.textContent = fault);
    try {
      await connection.applyChanges(await post("/api/labels", { labels: parsed(text) }));
      typed = null;
      dialog.close();
      announce("Label set saved");
      if (labels().length && list(id)) menu.show();
    } catch (error) {
      wrong.textContent = error.message; // in the dialog, which covers the page
    }
  }

  return {
    open: () => { if (list(store.get().object)) menu.show(); },
    /** Ask what a new object is, where there are labels to choose from; Enter and Space mean what they mean on the page. */
    ask: (id) => { if (labels().length && list(id)) menu.show(false); },
  };
}

/** @returns {string|null} what is wrong with a label */
function faultOf({ name, colour, key }) {
  if (colour && !/^#[0-9a-f]{6}$/i.test(colour)) return `The colour of ${name} is ${colour}; write # and six hexadecimal digits, such as #e69f00.`;
  if (key && [...key].length !== 1) return `The key of ${name} is ${key}; a key is one character. A name with a comma goes in quotation marks.`;
  return null;
}

/** A name as it is written in the text: in quotation marks where it has a comma. */
const quoted = (name) => (/^"|,/.test(name) ? `"${name.replaceAll('"', '""')}"` : name);

/** Labels of a text, one a line: name, colour and key, separated by commas; the last two in any order. */
export function parsed(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const whole = /^"((?:[^"]|"")*)"\s*(?:,|$)/.exec(line);
    const [name, ...rest] = (whole ? `,${line.slice(whole[0].length)}` : line).split(",").map((part) => part.trim());
    /** @type {{name: string, colour?: string, key?: string}} */
    const label = { name: whole ? whole[1].replaceAll('""', '"') : name };
    for (const part of rest.filter(Boolean)) label[part.startsWith("#") ? "colour" : "key"] = part;
    return label;
  });
}
