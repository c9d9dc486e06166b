/** Every key of the page, in one table, from which the help dialog is made. */
import { announce } from "./announce.js";
import { keysOf, nameOf, pressedName } from "./shortcuts.js";
import { chosen, clicking } from "./state.js";

/**
 * @typedef {{command?: import("./shortcuts.js").Command, keys?: string[], shown?: string[], what: string, run: Function,
 *   mode?: "clip"|"folder"}} Key  command: its key can be changed, `keys` are further ones
 * @returns {Record<string, Key[]>} by heading
 */
export function keyTable({ store, points, pointer, brush, objects, edits, navigation, player, card, jobs, exports, imports, compare, labels, lasso, masks, split, preview, actions }) {
  const picked = () => store.get().point !== null && clicking(store.get().tool);
  const arrow = (dx, dy, by, go) => () => (picked() ? points.nudge(dx * by, dy * by) : go());
  const folder = () => store.get().server?.mode === "folder";
  return {
    "Clicking": [
      { command: "click", what: "Click tool", run: () => actions.tool("click") },
      { command: "box", what: "Box tool (or one click)", run: () => actions.tool("box") },
      { keys: [], shown: ["Alt click"], what: "Negative click (or right click)", run: () => {} },
      { command: "negative", what: "Negative-click tool", run: () => actions.tool("negative") },
      { keys: ["Backspace"], shown: ["⌫"], what: "Take the last click back", run: () => lasso.back() || lasso.corners.remove() || points.takeBack() },
      { command: "nextPoint", what: "Select the next point", run: () => points.cycle(1) },
      { command: "previousPoint", what: "Select the previous point", run: () => points.cycle(-1) },
      { keys: ["Delete"], shown: ["Del"], what: "Remove the selected point or corner", run: () => (picked() ? points.removeSelected() : lasso.back() || lasso.corners.remove() || points.takeBack()) },
      { keys: [], shown: ["← ↑ → ↓"], what: "Move the selected point (Shift: 10 px)", run: () => {} },
      { keys: ["alt+ArrowLeft", "alt+ArrowRight", "alt+ArrowUp", "alt+ArrowDown", "alt+shift+ArrowLeft", "alt+shift+ArrowRight",
        "alt+shift+ArrowUp", "alt+shift+ArrowDown"], shown: ["Alt ← ↑ → ↓"], what: "Move the cross-hair (Shift: 10 px)", run: cross },
      { keys: ["Enter"], shown: ["↵"], what: "Click at the cross-hair", run: () => (lasso.active() ? lasso.close() : pointer.press()) },
      { keys: ["alt+Enter"], shown: ["Alt ↵"], what: "Negative click there", run: () => pointer.press(true) },
      { keys: ["shift+Enter"], shown: ["Shift ↵"], what: "Mask from one click", run: () => pointer.press(false, true) },
      { keys: [], shown: ["Shift click"], what: "The same", run: () => {} },
      { keys: [], shown: ["Shift drag"], what: "Mask from a box", run: () => {} },
      { keys: ["Escape"], shown: ["Esc"], what: "Deselect, drop the outline", run: () => { store.set({ point: null, playing: false }); brush.drop(); lasso.drop(); lasso.corners.end(); split.end(); } },
    ],
    "Brush and lasso": [
      { command: "brush", what: "Brush", run: () => actions.tool("brush") },
      { command: "erase", what: "Eraser", run: () => actions.tool("erase") },
      { command: "lasso", what: "Lasso (Alt: erase, ↵ closes)", run: () => actions.tool("lasso") },
      { command: "mask", what: "Fill, copy, merge, swap, split", run: () => masks.open() },
      { command: "smaller", what: "Smaller brush", run: () => brush.resize(-1) },
      { command: "larger", what: "Larger brush", run: () => brush.resize(1) },
    ],
    "Image": [
      { command: "fit", keys: ["0"], shown: ["0"], what: "Fit", run: () => actions.fit() },
      { keys: ["shift+)", "shift+0", "shift+="], shown: ["Shift 0"], what: "Actual size", run: () => actions.actualSize() },
      { keys: ["+", "=", "ctrl+="], shown: ["+"], what: "Zoom in (or wheel)", run: () => actions.zoom(1) },
      { keys: ["-", "_", "ctrl+-"], shown: ["-"], what: "Zoom out", run: () => actions.zoom(-1) },
      { command: "hand", what: "Move the image (or Space and drag)", run: () => actions.tool("hand") },
      { command: "loupe", what: "Loupe", run: () => actions.loupe() },
      { command: "compare", what: "Compare before and after", run: () => compare.toggle(), mode: "clip" },
      { command: "sides", what: "Side by side: image, masks", run: () => actions.sides() },
      { command: "clickPreview", what: "Preview of a click", run: () => preview.toggle() },
      { command: "outlines", what: "Outlines", run: () => actions.outlines() },
      { command: "fainter", what: "Masks fainter", run: () => actions.opacity(-0.1) },
      { command: "stronger", what: "Masks stronger", run: () => actions.opacity(0.1) },
      { command: "overlay", what: "Masks on and off", run: () => actions.overlay() },
    ],
    "Frames": [
      { keys: ["ArrowLeft", ","], shown: ["←", ","], what: "Previous", run: (event) => (event.key === "," ? navigation.step(-1) : arrow(-1, 0, 1, () => navigation.step(-1))()) },
      { keys: ["ArrowRight", "."], shown: ["→", "."], what: "Next", run: (event) => (event.key === "." ? navigation.step(1) : arrow(1, 0, 1, () => navigation.step(1))()) },
      { keys: ["shift+ArrowLeft", "shift+<", "shift+,"], shown: ["Shift ←"], what: "Ten back", run: (event) => (event.key === "ArrowLeft" ? arrow(-1, 0, 10, () => navigation.step(-10))() : navigation.step(-10)) },
      { keys: ["shift+ArrowRight", "shift+>", "shift+."], shown: ["Shift →"], what: "Ten forward", run: (event) => (event.key === "ArrowRight" ? arrow(1, 0, 10, () => navigation.step(10))() : navigation.step(10)) },
      { keys: ["Home"], shown: ["Home"], what: "First", run: () => navigation.first() },
      { keys: ["End"], shown: ["End"], what: "Last", run: () => navigation.last() },
      { keys: ["ArrowUp", "PageUp"], shown: ["↑", "PgUp"], what: "Previous keyframe", run: (event) => (event.key === "PageUp" ? navigation.previousKey() : arrow(0, -1, 1, navigation.previousKey)()), mode: "clip" },
      { keys: ["ArrowDown", "PageDown"], shown: ["↓", "PgDn"], what: "Next keyframe", run: (event) => (event.key === "PageDown" ? navigation.nextKey() : arrow(0, 1, 1, navigation.nextKey)()), mode: "clip" },
      { command: "midpoint", what: "Midpoint between keyframes", run: () => navigation.midpoint(), mode: "clip" },
      { command: "suggested", what: "Suggested frame", run: () => navigation.suggested(), mode: "clip" },
      { command: "previousDoubt", what: "Previous uncertain frame", run: () => navigation.toDoubt(-1), mode: "clip" },
      { command: "nextDoubt", what: "Next uncertain frame", run: () => navigation.toDoubt(1), mode: "clip" },
      { command: "play", shown: ["Space"], what: "Play, pause", run: () => player.toggle(), mode: "clip" },
    ],
    "Objects": [
      { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], shown: ["1", "…", "9"], what: "Select", run: (event) => objects.chooseAt(Number(event.key) - 1) },
      { command: "add", what: "Add", run: () => objects.add() },
      { command: "label", what: "Choose a label", run: () => labels.open() },
      { command: "rename", what: "Rename", run: () => objects.rename(store.get().object) },
      { command: "show", what: "Show, hide", run: () => chosen(store.get()) && objects.show(store.get().object) },
      { keys: ["alt+PageUp"], shown: ["Alt PgUp"], what: "Move up", run: () => objects.reorder(store.get().object, -1) },
      { keys: ["alt+PageDown"], shown: ["Alt PgDn"], what: "Move down", run: () => objects.reorder(store.get().object, 1) },
      { keys: ["ctrl+Delete", "ctrl+Backspace"], shown: ["Ctrl Del"], what: "Delete from every frame", run: () => objects.remove(store.get().object) },
      { keys: ["shift+Delete", "shift+Backspace"], shown: ["Shift Del"], what: "Clear from this frame", run: () => card.clear() },
    ],
    "Work": [
      { keys: ["ctrl+z"], shown: ["Ctrl Z"], what: "Undo", run: () => actions.undo() },
      { keys: ["ctrl+shift+z", "ctrl+y"], shown: ["Ctrl Shift Z", "Ctrl Y"], what: "Redo", run: () => actions.redo() },
      { command: "keyframe", what: "Make or remove keyframe", run: () => card.keyframe(), mode: "clip" },
      { command: "discard", what: "Discard the draft", run: () => card.discard(), mode: "clip" },
      { command: "lock", what: "Lock, unlock", run: () => card.lock(), mode: "clip" },
      { command: "propagate", what: "Propagate", run: () => jobs.start(), mode: "clip" },
      { command: "stop", what: "Stop the run", run: () => jobs.cancel(), mode: "clip" },
      { command: "export", what: "Export", run: () => exports.toggle(), mode: "clip" },
      { command: "import", what: "Import", run: () => imports.toggle(), mode: "clip" },
      { command: "done", what: "Done, next open image", run: () => folder() && card.status("done"), mode: "folder" },
      { command: "skip", what: "Skip", run: () => folder() && card.status("skipped"), mode: "folder" },
      { command: "reopen", what: "Reopen", run: () => folder() && card.status("open"), mode: "folder" },
      { command: "nextOpen", what: "Next open image", run: () => folder() && navigation.nextOpen(), mode: "folder" },
      { keys: ["ctrl+s"], shown: ["Ctrl S"], what: "Save (automatic)", run: () => announce("Everything is saved already.") },
      { keys: ["?"], shown: ["?"], what: "This help", run: () => actions.help() },
    ],
  };

  function cross(event) {
    const by = event.shiftKey ? 10 : 1;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    pointer.moveBy(dx * by, dy * by);
  }
}

/** Listen on the whole page, except in fields and dialogs. */
export function listenToKeys(table, store, pointer, player) {
  const all = Object.values(table).flat();
  const having = (name) => all.find((one) => keysOf(one).includes(name));
  /** A sign such as "_" or "<" may need Shift or not, as the keyboard has it. */
  const findKey = (event) => (event.shiftKey ? having(pressedName(event)) : undefined) ?? having(nameOf(event));
  let spaceSince = 0;

  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (target.matches("input:not([type=range]):not([type=color]), textarea, select")) return;
    if (target.matches("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    const onButton = target.closest("button, a, input:not([type=range])");
    if (event.key === " ") {
      if (onButton) return;
      event.preventDefault();
      if (!event.repeat) {
        spaceSince = performance.now();
        pointer.holdSpace(true);
      }
      return;
    }
    if (event.key === "Enter" && onButton && !event.ctrlKey && !event.metaKey) return;
    const found = findKey(event);
    if (!found || (found.mode && found.mode !== store.get().server?.mode && found.mode === "clip" && !event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    found.run(event);
  });

  document.addEventListener("keyup", (event) => {
    if (event.key !== " " || !spaceSince) return;
    const short = performance.now() - spaceSince < 350;
    spaceSince = 0;
    const panned = pointer.holdSpace(false);
    if (short && !panned) player.toggle();
  });
  window.addEventListener("blur", () => { spaceSince = 0; pointer.holdSpace(false); });
}
