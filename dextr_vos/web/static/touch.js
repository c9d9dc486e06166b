/**
 * Fingers on the stage: a tap clicks, one finger that moves at once drags the image, two zoom and move it. A finger that
 * rests for a moment aims: the loupe shows what is below it, and where it is lifted, it clicks, unless off the stage. With the box, the
 * brush, the lasso and the hand one finger does what the mouse does.
 */
import { announce } from "./announce.js";
import { el } from "./dom.js";
import { clicking } from "./state.js";

/** How far (CSS pixels) a finger may slip and still tap. */
const SLIP = 10;
/** After how long a finger that rests begins to aim. */
const REST_MS = 350;

/**
 * @param {{viewed: () => void, drop: () => void, aim: (x: number, y: number) => void, away: () => void}} stage
 *   drop: end the gesture of one finger without effect; aim: the cross-hair is there; away: it is nowhere
 */
export function createTouch(store, view, points, stage) {
  /** @type {Map<number, {x: number, y: number}>} fingers on the stage */
  const fingers = new Map();
  /** @type {"tap"|"aim"|"drag"|"pinch"|null} pinch lasts until the last finger is lifted */
  let kind = null;
  let resting = 0;
  let start = { x: 0, y: 0, frame: 0 };

  /** Middle of the fingers and their distance. */
  function spread() {
    const [a, b] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
  }

  function isOutside({ clientX: x, clientY: y }) {
    const { left, right, top, bottom } = el("hud").getBoundingClientRect();
    return x < left || x > right || y < top || y > bottom;
  }

  function end() {
    window.clearTimeout(resting);
    if (kind) stage.away();
    if (!fingers.size) kind = null;
  }

  function aim() {
    if (kind !== "tap") return;
    kind = "aim";
    announce("Aiming. Lift the finger to click there, or lift it off the image to cancel.");
  }

  return {
    busy: () => fingers.size > 0,
    /** @returns {boolean} whether this was a finger whose gesture ends here */
    down(event, x, y) {
      if (event.pointerType !== "touch") return false;
      fingers.set(event.pointerId, { x, y });
      el("hud").setPointerCapture(event.pointerId);
      if (fingers.size > 1) {
        stage.drop();
        window.clearTimeout(resting);
        stage.away();
        kind = "pinch";
        return true;
      }
      const { tool } = store.get();
      const takes = clicking(tool) && tool !== "box" && points.at(x, y) === null;
      kind = takes ? "tap" : null;
      start = { x, y, frame: store.get().frame };
      if (takes) {
        stage.aim(x, y);
        resting = window.setTimeout(aim, REST_MS);
      }
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
      if (kind === "tap" && Math.hypot(x - start.x, y - start.y) > SLIP) {
        kind = "drag";
        stage.away();
      }
      if (kind === "aim") stage.aim(x, y);
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
      end();
      if (done === "aim" && isOutside(event)) {
        announce("Not clicked.");
        return true;
      }
      const pixel = (done === "tap" || done === "aim") && store.get().frame === start.frame ? view.pixelAt(x, y) : null;
      if (pixel) points.add(pixel, store.get().tool === "negative");
      return done !== null;
    },

    cancel(event) {
      fingers.delete(event.pointerId);
      end();
    },
  };
}
