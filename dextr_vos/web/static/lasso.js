/** Lasso: an outline, drawn in one go or clicked corner by corner, whose area is added to the mask, or taken off it. */
import { toast } from "./announce.js";
import { refusal } from "./state.js";

/** How near (CSS pixels) a click must be to the first corner to close the outline. */
const CLOSE = 10;

/** In requests, pixel i spans [i, i + 1). */
const hundredths = (value) => Math.round(value * 100) / 100;

export function createLasso(store, view, edits, points) {
  /** @type {{frame: number, object: number, erase: boolean, path: [number, number][]}|null} */
  let outline = null;

  const changed = () => store.set({ lasso: outline ? [...outline.path] : [] });

  function begin(cx, cy, erase) {
    const reason = refusal(store.get());
    if (reason) return void toast(reason, "error");
    const object = points.object();
    if (object === null) return undefined;
    outline = { frame: store.get().frame, object, erase, path: [view.toImage(cx, cy)] };
    return changed();
  }

  /** Take the outline as it is. */
  function close() {
    const done = outline;
    outline = null;
    changed();
    if (!done || done.path.length < 3) return undefined;
    return edits.stroke(done.frame, done.object, done.path.map(([x, y]) => [hundredths(x), hundredths(y)]), 1, done.erase, true);
  }

  function drop() {
    if (!outline) return;
    outline = null;
    changed();
  }

  store.on(["frame", "tool", "object"], () => { if (outline && (store.get().frame !== outline.frame || store.get().tool !== "lasso")) drop(); });

  return {
    close, drop,
    active: () => outline !== null,
    /** The button is pressed: a corner, unless it is the first one again. */
    down(cx, cy, erase) {
      if (!outline) return void begin(cx, cy, erase);
      const [fx, fy] = view.toStage(...outline.path[0]);
      if (outline.path.length > 2 && Math.hypot(fx - cx, fy - cy) < CLOSE) return void close();
      outline.path.push(view.toImage(cx, cy));
      return changed();
    },
    /** The button is held: the outline follows the pointer. */
    extend(cx, cy) {
      if (!outline) return;
      const [lx, ly] = view.toStage(...outline.path[outline.path.length - 1]);
      if (Math.hypot(lx - cx, ly - cy) < 2) return;
      outline.path.push(view.toImage(cx, cy));
      changed();
    },
  };
}
