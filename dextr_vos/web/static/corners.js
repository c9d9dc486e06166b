/** The corners of an outline after it was closed: each can be moved or removed until something else is done. */
import { announce, toast } from "./announce.js";
import { hundredths, paintArea } from "./paint.js";

/** How near (CSS pixels) the pointer, or a finger, must be to a corner to pick it. */
const PICK = 9, TOUCH = 22;
const FEWEST = 3;

/**
 * @typedef {[number, number][]} Path
 * @typedef {{id: string, frame: number, object: number, label: number, erase: boolean, base: Uint8Array, path: Path, before: Path[], moving?: Path}} Closed
 *   id: identifies the outline; label: of its pixels; base: the labels without it; before: its earlier shapes, the latest last; moving: its shape before the move in progress
 */

export function createCorners(store, view, cache, edits) {
  /** Show the area of an outline before the server has answered. */
  function show({ frame, label, erase, base, path }) {
    const [width, height] = [view.imageWidth, view.imageHeight];
    const labels = base.slice();
    paintArea(labels, width, height, path, erase ? 0 : label, erase ? label : null);
    cache.putLabels(frame, width, height, labels, "keyframe");
    store.set({ strokes: performance.now() });
  }

  const end = () => store.set({ closed: null, corner: null });

  /** An outline that the server has refused has no corners to move. */
  function endUnless(answer, { id }) {
    if (!answer && store.get().closed?.id === id) end();
  }

  async function paint(area, stays) {
    const closed = { ...area, id: crypto.getRandomValues(new Uint32Array(4)).join("-"), before: [] };
    show(closed);
    const sent = edits.stroke(closed.frame, closed.object, closed.path, 1, closed.erase, true, { outline: closed.id });
    store.set({ closed: stays ? closed : null, corner: null });
    endUnless(await sent, closed);
  }

  /** Give the outline another shape, in place of the one that it had. */
  async function reshape(path) {
    const { closed } = store.get();
    const shape = path.map(([x, y]) => /** @type {[number, number]} */ ([hundredths(x), hundredths(y)]));
    const before = closed.moving ?? closed.path;
    const next = { ...closed, path: shape, before: [...closed.before, before], moving: undefined };
    show(next);
    store.set({ closed: next });
    endUnless(await edits.stroke(next.frame, next.object, shape, 1, next.erase, true, { outline: next.id, moved: true }), next);
  }

  store.on(["frame", "tool", "object", "comparing"], () => {
    const { closed, frame, tool, object, comparing } = store.get();
    if (closed && (frame !== closed.frame || tool !== "lasso" || comparing || edits.real(object) !== edits.real(closed.object))) end();
  });
  store.on(["closed"], () => { if (!store.get().closed) store.set({ corner: null }); });

  return {
    /**
     * Add the area of a closed outline to the mask, or take it off.
     * @param {Omit<Closed, "id"|"before">} area
     * @param {boolean} stays whether its corners can be moved afterwards
     */
    paint,
    end,
    /** @returns {number|null} the corner under the pointer */
    at(cx, cy, touch = false) {
      let best = null, least = touch ? TOUCH : PICK;
      store.get().closed?.path.forEach((corner, index) => {
        const [x, y] = view.toStage(...corner);
        const distance = Math.hypot(x - cx, y - cy);
        if (distance < least) [best, least] = [index, distance];
      });
      return best;
    },
    /** A corner follows the pointer. */
    move(index, cx, cy) {
      const { closed } = store.get();
      if (!closed) return;
      const path = closed.path.map((corner, at) => (at === index ? view.toImage(cx, cy) : corner));
      const next = { ...closed, path, moving: closed.moving ?? closed.path };
      show(next);
      store.set({ closed: next, corner: index });
    },
    /** The corner stays where it is. */
    send() {
      const { closed } = store.get();
      if (closed?.moving) reshape(closed.path);
    },
    /** The corner goes back to where it was. */
    cancel() {
      const { closed } = store.get();
      if (!closed?.moving) return;
      const next = { ...closed, path: closed.moving, moving: undefined };
      show(next);
      store.set({ closed: next });
    },
    /** Remove the selected corner. @returns {boolean} whether one is selected */
    remove() {
      const { closed, corner } = store.get();
      if (!closed || corner === null) return false;
      if (closed.path.length <= FEWEST) toast("An outline has three corners at least. Undo takes it back.", "error");
      else {
        reshape(closed.path.filter((_, at) => at !== corner));
        store.set({ corner: null });
        announce("Corner removed");
      }
      return true;
    },
    /** Undo, which may take a move of a corner back: the corners stay then. */
    undo(run) {
      const { closed } = store.get();
      const undone = run();
      if (closed?.before.length) store.set({ closed: { ...closed, path: closed.before.at(-1), before: closed.before.slice(0, -1) } });
      return undone;
    },
  };
}
