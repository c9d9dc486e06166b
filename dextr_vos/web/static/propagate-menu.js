/** The menu at the Propagate button: both ways, forward or backward from the present frame, or a range of frames. */
import { toast } from "./announce.js";
import { el, make } from "./dom.js";
import { createPopover } from "./popover.js";
import { annotatedFrames, indexOf, labelOf } from "./state.js";

/**
 * @param {any} store
 * @param {{start: (how: {direction?: string, frames?: [number, number]}) => Promise<void>}} jobs
 */
export function createPropagateMenu(store, jobs) {
  const menu = el("propagate-menu");
  const opener = /** @type {HTMLButtonElement} */ (el("propagate-more"));
  const popover = createPopover(menu, opener, draw);

  function start(how) {
    popover.toggle(false);
    jobs.start(how);
  }

  function item(name, icon, title, text, how, possible = true) {
    return make("button", { class: "menu-item", icon, "data-test": name, disabled: !possible, onclick: () => start(how) },
      [make("span", {}, [make("b", { text: title }), make("span", { class: "soft", text })])]);
  }

  function draw() {
    const values = store.get();
    const { server, frame } = values;
    const annotated = annotatedFrames(values);
    const here = labelOf(server, frame);
    const last = server.frames - 1;
    const before = frame < last && annotated.some((index) => index < last);
    const after = frame > 0 && annotated.some((index) => index > 0);
    menu.replaceChildren(
      item("propagate-both", "both", "Both ways", "Every frame, from the keyframes on either side", {}),
      item("propagate-forward", "forward", `Forward from ${here}`, "To the last frame, from earlier keyframes only",
        { direction: "forward", frames: [frame, last] }, before),
      item("propagate-backward", "backward", `Backward from ${here}`, "To the first frame, from later keyframes only",
        { direction: "backward", frames: [0, frame] }, after),
      range(server, frame, annotated.find((index) => index > frame) ?? last),
    );
  }

  /** Two frames and a button. */
  function range(server, first, last) {
    const field = (name, index) => /** @type {HTMLInputElement} */ (make("input", {
      "data-test": `propagate-${name}`, "aria-label": `${name === "from" ? "First" : "Last"} frame`, inputmode: "numeric", autocomplete: "off",
      value: labelOf(server, index), size: Math.max(5, labelOf(server, server.frames - 1).length),
    }));
    const [from, to] = [field("from", first), field("to", last)];
    const go = () => {
      const frames = [from, to].map((input) => indexOf(server, input.value)).sort((a, b) => a - b);
      if (frames.some(Number.isNaN)) toast("Type two frame numbers.", "error");
      else start({ frames });
    };
    const box = make("div", { class: "menu-range", icon: "range" }, [
      make("b", { text: "Frames" }), from, make("span", { class: "soft", text: "to" }), to,
      make("button", { class: "button small", "data-test": "propagate-range", text: "Propagate", onclick: go }),
    ]);
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target !== box.lastElementChild) go();
    });
    return box;
  }

  store.on(["server", "job", "pending"], () => {
    opener.disabled = /** @type {HTMLButtonElement} */ (el("propagate")).disabled;
    if (opener.disabled) popover.toggle(false);
  });
}
