/** The help dialog: the workflow in four steps, and every key. */
import { closeBeside } from "./dialogs.js";
import { el, make } from "./dom.js";
import { createKeySheet } from "./key-sheet.js";
import { shownKey } from "./shortcuts.js";

const clipSteps = () => [
  ["Click", "Four points on the object: left, top, right, bottom, in any order. The mask appears at once."],
  ["Correct", "Click on what is missing, right-click on what does not belong, drag a point, or use brush and eraser."],
  ["Propagate", "The network learns from your keyframes and segments the objects in every frame."],
  ["Review", `One click corrects a propagated mask. ${shownKey("keyframe")} makes the frame a keyframe, and so does propagating again. Export when it is right.`],
];
const folderSteps = () => [
  ["Click", "Four points on the object: left, top, right, bottom, in any order. The mask appears at once."],
  ["Correct", "Click on what is missing, right-click on what does not belong, drag a point, or use brush and eraser."],
  ["More objects", `${shownKey("add")} adds one; newer objects are drawn on top.`],
  ["Done", `${shownKey("done")} writes the mask and goes to the next open image. ${shownKey("skip")} skips, ${shownKey("reopen")} reopens.`],
];

export function createHelp(store, table) {
  const dialog = /** @type {HTMLDialogElement} */ (el("help"));
  const keys = createKeySheet(store, table);
  closeBeside(dialog);

  function build() {
    const mode = store.get().server?.mode ?? "clip";
    const steps = mode === "folder" ? folderSteps() : clipSteps();
    keys.open();
    dialog.replaceChildren(
      make("div", { class: "help-head" }, [
        make("h2", { id: "help-title", text: "Workflow and keyboard shortcuts" }),
        make("button", { class: "icon-button", icon: "close", "aria-label": "Close", "data-test": "help-close", onclick: () => dialog.close() }),
      ]),
      make("ol", { class: "help-steps" }, steps.map(([name, what]) => make("li", {}, [make("b", { text: name }), what]))),
      keys.bar,
      keys.sheet,
    );
  }

  function toggle() {
    if (dialog.open) dialog.close();
    else {
      build();
      dialog.showModal();
    }
  }

  dialog.addEventListener("keydown", (event) => {
    if (keys.take(event) || event.key !== "?") return;
    event.preventDefault();
    dialog.close();
  });
  el("help-open").addEventListener("click", toggle);
  return { toggle };
}
