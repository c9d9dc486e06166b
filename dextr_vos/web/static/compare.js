/** Comparing with the masks that the last run has replaced: theirs left of a line, the present ones right of it. */
import { announce, toast } from "./announce.js";
import { getImage, Offline } from "./api.js";
import { el, setAttribute } from "./dom.js";
import { decodeLabels } from "./png.js";

const KEPT = 12;
const EMPTY = { width: 0, height: 0, labels: null, source: null };
/** in the place of a mask that could not be loaded; asked for again at the next change */
const FAILED = { ...EMPTY, source: "failed" };

export function createCompare(store) {
  const button = el("compare");
  /** @type {Map<number, import("./cache.js").Mask>} masks before the last run, the latest last */
  const masks = new Map();
  const coming = new Set();
  /** @type {string|null|undefined} which run has replaced them */
  let stamp = null;

  async function load(index) {
    if ((masks.has(index) && masks.get(index) !== FAILED) || coming.has(index)) return;
    coming.add(index);
    const of = stamp;
    try {
      const answer = await getImage(`/api/masks/${index}/replaced`, "no-store");
      const mask = answer ? { ...await decodeLabels(new Uint8Array(await answer.blob.arrayBuffer())), source: "replaced" } : EMPTY;
      if (of !== stamp) return;
      masks.set(index, mask);
      if (masks.size > KEPT) masks.delete(masks.keys().next().value);
      store.set({ arrived: performance.now() });
    } catch (error) {
      if (!(error instanceof Offline)) console.warn(error);
      masks.set(index, FAILED);
      store.set({ arrived: performance.now() });
    } finally {
      coming.delete(index);
    }
  }

  function follow() {
    const { server, frame, comparing } = store.get();
    if (server && server.replaced !== stamp) {
      stamp = server.replaced;
      masks.clear();
    }
    button.hidden = !stamp;
    setAttribute(button, "aria-pressed", String(comparing));
    if (comparing && !stamp) store.set({ comparing: false });
    else if (comparing) load(frame);
  }

  function toggle() {
    const { server, comparing } = store.get();
    if (!server?.replaced) return toast("There is nothing to compare yet: no run has replaced any masks.");
    store.set({ comparing: !comparing, point: null });
    return announce(comparing ? "Comparison ended" : "Left of the pointer: the masks before the last run. Right: the current ones.");
  }

  button.addEventListener("click", toggle);
  store.on(["server", "frame", "comparing"], follow);
  return {
    toggle,
    /** @returns {import("./cache.js").Mask|undefined} the mask that a frame had before the last run, once it is loaded */
    mask: (index) => masks.get(index),
    /** @returns {string} what the part with that mask is called */
    caption(index) {
      const mask = masks.get(index);
      if (!mask) return "Before: loading";
      return mask === FAILED ? "Before: could not be loaded" : "Before";
    },
  };
}
