/** While masks are propagated, the page shows frames as they are made, if the person wants that. */
import { el } from "./dom.js";

const KEY = "dextr-vos.follow";

export function createFollow(store, cache, navigation) {
  const box = /** @type {HTMLInputElement} */ (el("follow"));
  let seen = 0;

  function keep(on) {
    store.set({ follow: on });
    try {
      localStorage.setItem(KEY, on ? "1" : "");
    } catch {
      // storage may be forbidden; the choice lasts until the page is closed
    }
  }

  /** To the newest mask, once the frame before it was seen: a slow connection skips frames, it never queues them. */
  function go() {
    const { made, follow, frame, shown, job } = store.get();
    if (!follow || job?.kind !== "propagate" || made.size === seen || frame !== shown || !cache.ready(frame)) return;
    seen = made.size;
    navigation.go([...made].at(-1), { quiet: true, following: true });
  }

  try {
    store.set({ follow: localStorage.getItem(KEY) === "1" });
  } catch {
    // as above
  }
  box.addEventListener("change", () => keep(box.checked));
  // whoever starts to work on a frame stays there
  el("hud").addEventListener("pointerdown", () => { if (store.get().job) store.set({ follow: false }); });
  store.on(["follow"], () => { box.checked = store.get().follow; });
  store.on(["job"], () => { if (!store.get().job) seen = 0; });
  store.on(["made", "shown", "arrived", "follow"], go);
}
