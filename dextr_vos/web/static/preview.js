/** A small picture of the frame under the pointer, with its masks, above the overview of the clip. */
import { clamp, el, setText } from "./dom.js";
import { showThumb } from "./thumbs.js";
import { labelOf } from "./state.js";

export function createPreview(store, cache, overview) {
  const box = el("preview");
  const strip = el("overview");
  let due = 0;
  /** @type {PointerEvent|null} */
  let last = null;

  function draw() {
    due = 0;
    const { server } = store.get();
    if (!last || !server || !server.frames) return;
    const index = overview.indexAt(last);
    const [image, mask] = /** @type {NodeListOf<HTMLImageElement>} */ (box.querySelectorAll("img"));
    showThumb(image, mask, index, cache, server);
    setText(/** @type {HTMLElement} */ (box.querySelector("span")), labelOf(server, index));
    box.hidden = false;
    const area = strip.getBoundingClientRect();
    const half = box.offsetWidth / 2;
    const x = area.left + ((index + 0.5) * area.width) / server.frames;
    box.style.left = `${Math.round(clamp(x, half + 6, innerWidth - half - 6) - half)}px`;
    box.style.top = `${Math.round(area.top - box.offsetHeight - 6)}px`;
  }

  function hide() {
    last = null;
    box.hidden = true;
  }

  strip.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    last = event;
    // no more than one picture every few screen frames while the pointer sweeps over the clip
    if (!due) due = window.setTimeout(draw, box.hidden ? 120 : 40);
  });
  strip.addEventListener("pointerleave", hide);
  store.on(["frame"], () => { if (!strip.matches(":hover")) hide(); });
}
