/**
 * Fingers on the stage: a tap clicks, one finger drags the image, two zoom and move it. A drag never sets a point; with the
 * brush, the lasso and the hand one finger does what the mouse does.
 */
import { el } from "./dom.js";
import { clicking } from "./state.js";

/** How far (CSS pixels) a finger may slip and still tap. */
const SLIP = 10;

/** @param {{viewed: () => void, drop: () => void}} stage drop: end the gesture of one finger without effect */
export function createTouch(store, view, points, stage) {
  /** @type {Map<number, {x: number, y: number}>} fingers on the stage */
  const fingers = new Map();
  /** @type {"tap"|"drag"|"pinch"|null} pinch lasts until the last finger is lifted */
  let kind = null;
  let start = { x: 0, y: 0, frame: 0 };

  /** Middle of the fingers and their distance. */
  function spread() {
    const [a, b] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
  }

  return {
    /** @returns {boolean} whether this was a finger whose gesture ends here */
    down(event, x, y) {
      if (event.pointerType !== "touch") return false;
      fingers.set(event.pointerId, { x, y });
      el("hud").setPointerCapture(event.pointerId);
      if (fingers.size > 1) {
        stage.drop();
        kind = "pinch";
        return true;
      }
      const takes = clicking(store.get().tool) && points.at(x, y) === null;
      kind = takes ? "tap" : null;
      start = { x, y, frame: store.get().frame };
      return takes;
    },

    move(event, x, y) {
      const finger = fingers.get(event.pointerId);
      if (!finger) return false;
      if (kind === "pinch" && fingers.size === 2) {
        const before = spread();
        [finger.x, finger.y] = [x, y];
        const after = spread();
        view.pan(after.x - before.x, after.y - before.y);
        view.zoomTo((view.scale * after.distance) / before.distance, after.x, after.y);
        stage.viewed();
        return true;
      }
      const [dx, dy] = [x - finger.x, y - finger.y];
      if (kind === "tap" && Math.hypot(x - start.x, y - start.y) > SLIP) kind = "drag";
      if (kind !== "tap") [finger.x, finger.y] = [x, y];
      if (kind === "drag") {
        view.pan(dx, dy);
        stage.viewed();
      }
      return kind !== null;
    },

    up(event, x, y) {
      if (!fingers.delete(event.pointerId)) return false;
      const done = kind;
      if (!fingers.size) kind = null;
      const pixel = done === "tap" && store.get().frame === start.frame ? view.pixelAt(x, y) : null;
      if (pixel) points.add(pixel, store.get().tool === "negative");
      return done !== null;
    },

    cancel(event) {
      fingers.delete(event.pointerId);
      if (!fingers.size) kind = null;
    },
  };
}
