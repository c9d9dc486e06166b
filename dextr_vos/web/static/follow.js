/** While masks are propagated, the page shows frames as they are made, if the person wants that. */
import { toast } from "./announce.js";
import { el } from "./dom.js";
import { labelOf } from "./state.js";

/**
 * Before an edit of the present frame by key or button: the page may have gone there a moment ago, when the person meant
 * the frame before it. So the first press only ends the following.
 * @returns {boolean} whether the page was following a run
 */
export function endFollowing(store) {
  const { server, frame, follow, job } = store.get();
  if (!follow || job?.kind !== "propagate") return false;
  store.set({ follow: false });
  toast(`The page stays on frame ${labelOf(server, frame)} now. Do that again to change this frame.`);
  return true;
}

export function createFollow(store, cache, navigation) {
  const box = /** @type {HTMLInputElement} */ (el("follow"));
  let seen = 0;

  /** To the newest mask, once the frame before it was seen: a slow connection skips frames, it never queues them. */
  function go() {
    const { made, follow, frame, shown, job } = store.get();
    if (!follow || job?.kind !== "propagate" || made.size === seen || frame !== shown || !cache.ready(frame)) return;
    seen = made.size;
    navigation.go([...made].at(-1), { quiet: true, following: true });
  }

  box.addEventListener("change", () => store.set({ follow: box.checked }));
  // whoever starts to work on a frame stays there
  el("hud").addEventListener("pointerdown", () => { if (store.get().job) store.set({ follow: false }); });
  store.on(["follow"], () => { box.checked = store.get().follow; });
  store.on(["job"], () => { if (!store.get().job) seen = 0; });
  store.on(["made", "shown", "arrived", "follow"], go);
}
