/** Lasso: an outline, drawn in one go or clicked corner by corner, whose area is added to the mask, or taken off it. */
import { announce, toast } from "./announce.js";
import { createCorners } from "./corners.js";
import { freeId, hundredths } from "./paint.js";
import { refusal } from "./state.js";

/** How near (CSS pixels) a click must be to the first corner to close the outline. */
const CLOSE = 10;

export function createLasso(store, view, cache, edits, points, split) {
  /** @type {{frame: number, erase: boolean, splits: boolean, path: [number, number][], kept: number, drawn?: boolean}|null} splits: it is for a split; kept: corners before the last press; drawn: not only clicked */
  let outline = null;
  const corners = createCorners(store, view, cache, edits);

  const changed = () => store.set({ lasso: outline ? [...outline.path] : [] });

  function begin(cx, cy, erase) {
    const reason = refusal(store.get());
    if (reason) return void toast(reason, "error");
    if (points.object() === null) return undefined;
    corners.end();
    outline = { frame: store.get().frame, erase, splits: store.get().splitting !== null, path: [view.toImage(cx, cy)], kept: 0 };
    return changed();
  }

  /** Take the outline as it is, for the object that is selected now. */
  function close() {
    const done = outline;
    outline = null;
    changed();
    if (!done || done.path.length < 3) return undefined;
    const path = done.path.map(([x, y]) => /** @type {[number, number]} */ ([hundredths(x), hundredths(y)]));
    if (split.take(path)) return undefined;
    const object = points.object();
    if (object === null) return undefined;
    const label = object > 0 ? object : freeId(store.get().server);
    const base = cache.mask(done.frame)?.labels?.slice() ?? new Uint8Array(view.imageWidth * view.imageHeight);
    return corners.paint({ frame: done.frame, object, label, erase: done.erase, base, path }, !done.drawn);
  }

  function drop() {
    if (!outline) return;
    outline = null;
    changed();
  }

  /** Remove the corners from `count` on. */
  function shorten(count) {
    if (!outline) return;
    outline.path.length = count;
    if (!count) outline = null;
    changed();
  }

  store.on(["frame", "tool", "splitting"], () => {
    const { frame, tool, splitting } = store.get();
    if (!outline || (frame === outline.frame && tool === "lasso" && outline.splits === (splitting !== null))) return;
    drop();
    toast("The outline was not closed; it is discarded. Enter closes one.");
  });

  return {
    close, drop, corners,
    active: () => outline !== null,
    /** Remove the last corner. @returns {boolean} whether there was an outline */
    back() {
      if (!outline) return false;
      shorten(outline.path.length - 1);
      announce(outline ? "Corner removed" : "Outline removed");
      return true;
    },
    /** Take back what the last press and the movement after it have added. */
    cancel: () => shorten(outline?.kept ?? 0),
    /** The button is pressed: a corner, unless it is the first one again. */
    down(cx, cy, erase) {
      if (!outline) return void begin(cx, cy, erase);
      const [fx, fy] = view.toStage(...outline.path[0]);
      if (outline.path.length > 2 && Math.hypot(fx - cx, fy - cy) < CLOSE) return void close();
      outline.kept = outline.path.length;
      outline.path.push(view.toImage(cx, cy));
      return changed();
    },
    /** The button is held: the outline follows the pointer. */
    extend(cx, cy) {
      if (!outline) return;
      const [lx, ly] = view.toStage(...outline.path[outline.path.length - 1]);
      if (Math.hypot(lx - cx, ly - cy) < 2) return;
      outline.drawn = true;
      outline.path.push(view.toImage(cx, cy));
      changed();
    },
  };
}
