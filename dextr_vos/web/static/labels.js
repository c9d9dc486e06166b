/** The label set: choosing what an object is from a list, by a click or by the label's key, and writing the list. */
import { announce, toast } from "./announce.js";
import { Refused, post } from "./api.js";
import { closeBeside } from "./dialogs.js";
import { el, make } from "./dom.js";
import { createMenu } from "./menu.js";

export function createLabels(store, edits, connection) {
  const menu = createMenu(el("label-menu"));
  const dialog = /** @type {HTMLDialogElement} */ (el("label-set"));
  closeBeside(dialog);
  /** @type {number|null} the object that is named */
  let subject = null;

  const labels = () => store.get().server?.labels ?? [];

  function choose(label) {
    const id = edits.real(subject);
    const used = store.get().server.objects.some((one) => one.name === label.name && one.id !== id);
    // several objects with one label stay apart by their own colours
    edits.changeObject(subject, { name: label.name, ...(label.colour && !used ? { colour: label.colour } : {}) });
    announce(`Labelled ${label.name}`);
  }

  /** @param {number|null} id the object to be named */
  function open(id = store.get().object) {
    const { server } = store.get();
    if (!server || server.readonly) return;
    if (id === null) return void announce("Add an object first; N does.");
    if (!labels().length) return void edit();
    subject = id;
    menu.open("What is it?", [
      ...labels().map((label) => ({ name: label.name, colour: label.colour, key: label.key, run: () => choose(label) })),
      { name: "Label set…", key: null, test: "label-edit", run: edit },
    ]);
  }

  /** The list as text: a label a line, then its colour and its key, if it has them. */
  function edit() {
    const { server } = store.get();
    if (!server || server.readonly) return;
    const digits = new Set("123456789");
    const lines = labels().map((one, place) => [one.name, one.colour, digits.has(one.key) && one.key === String(place + 1) ? null : one.key]
      .filter(Boolean).join(", "));
    const text = /** @type {HTMLTextAreaElement} */ (make("textarea", { rows: 8, spellcheck: "false", "data-test": "label-text",
      "aria-label": "Labels, one a line", placeholder: "horse, #e69f00, h\nrider" }));
    text.value = lines.join("\n");
    dialog.replaceChildren(
      make("h2", { id: "label-title", text: "Label set" }),
      make("p", { text: "A label a line, then a colour and a key, if you like: horse, #e69f00, h. T gives the selected object a label." }),
      text,
      make("div", { class: "answers" }, [
        make("button", { class: "button", text: "Cancel", onclick: () => dialog.close() }),
        make("button", { class: "button primary", text: "Save", "data-test": "label-save", onclick: () => save(text.value) }),
      ]),
    );
    dialog.showModal();
  }

  async function save(text) {
    try {
      await connection.applyChanges(await post("/api/labels", { labels: parsed(text) }));
      dialog.close();
      announce("Label set saved");
    } catch (error) {
      if (error instanceof Refused) toast(error.message, "error");
      else connection.lost(error);
    }
  }

  return {
    open,
    /** Ask what a new object is, where there are labels to choose from. */
    ask: (id) => { if (labels().length) open(id); },
  };
}

/** Labels of a text, one a line: name, colour and key, separated by commas; the last two in any order. */
export function parsed(text) {
  return text.split("\n").map((line) => line.split(",").map((part) => part.trim()).filter(Boolean)).filter((parts) => parts.length)
    .map(([name, ...rest]) => {
      const label = { name };
      for (const part of rest) label[part.startsWith("#") ? "colour" : "key"] = part;
      return label;
    });
}
