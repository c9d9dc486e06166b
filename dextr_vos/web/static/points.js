/** Points and clicks on the selected object: place, pick, move, nudge, remove. */
import { announce, toast } from "./announce.js";
import { clamp } from "./dom.js";
import { endFollowing } from "./follow.js";
import { shownKey } from "./shortcuts.js";
import { chosen, clicking, extremesOf, pointsOf, refusal } from "./state.js";

/** How near (CSS pixels) the pointer must be to a point to pick it. */
const PICK = 9;

/** An object is known once it has four extreme points, a mask, or clicks on one. */
const EXTREMES = 4;
const SAID = { extreme: "Point at", positive: "Positive click at", negative: "Negative click at" };

export function createPoints(store, view, cache, edits) {
  let nudged = 0;

  function allowed() {
    const reason = refusal(store.get());
    if (reason) toast(reason, "error");
    return !reason;
  }

  /** What a request may say only to a model that takes more than extreme points. */
  function takesPrompts() {
    const { corrects } = store.get().server;
    if (!corrects) toast("This model makes masks of extreme points only. Click the object's four extreme points.", "error");
    return corrects;
  }

  /** @returns {number|null} the point under the pointer */
  function at(cx, cy) {
    let best = null, least = PICK;
    pointsOf(store.get()).forEach(([x, y], index) => {
      const [px, py] = view.toStage(x + 0.5, y + 0.5);
      const distance = Math.hypot(px - cx, py - cy);
      if (distance < least) [best, least] = [index, distance];
    });
    return best;
  }

  /** The object to work on; the first one is made when there is none. */
  const object = () => store.get().object ?? edits.addObject();

  /** Whether an object has a mask in a frame, or clicks that make one. */
  function isKnown(frame, id) {
    const { server } = store.get();
    const points = pointsOf(store.get(), frame, id);
    const count = extremesOf(points).length;
    if (count > 0 && count < EXTREMES) return false;
    const masked = server.keyframes[frame]?.objects[id]?.mask || cache.holds(frame, id);
    return points.length > 0 || (masked && !edits.clearing(frame, id));
  }

  /** What a click says: one of the four extreme points, or that the mask there lacks this or must not have it; null: nothing. */
  function kindOf(frame, id, negative, alone) {
    if (store.get().server.corrects) {
      if (isKnown(frame, id)) return negative ? "negative" : "positive";
      if (alone && !negative && !pointsOf(store.get(), frame, id).length) return "positive";
    }
    return negative ? null : "extreme";
  }

  function sayWhyNot(frame, id) {
    toast(isKnown(frame, id) ? `This model takes no negative clicks. Use the eraser (${shownKey("erase")}).` : `There is no mask of ${chosen(store.get())?.name ?? "the object"} here yet. Click its four extreme points first.`, "error");
  }

  /** A click on a pixel; `negative`: this is not the object; `alone`: the first mask is made of this click alone. */
  async function add(pixel, negative = false, alone = false) {
    if (!allowed()) return;
    const { frame } = store.get();
    performance.mark("dextr-vos:click");
    const asked = object();
    if (asked === null) return;
    await edits.historyDone();
    await cache.wantMask(frame);
    const id = edits.real(asked);
    const kind = kindOf(frame, id, negative, alone);
    if (!kind) return void sayWhyNot(frame, id);
    const points = [...pointsOf(store.get(), frame, id), kind === "extreme" ? pixel : [...pixel, kind]];
    store.set({ point: null });
    edits.points(frame, id, points);
    const left = EXTREMES - points.length;
    announce(left > 0 && kind === "extreme" ? `Point ${points.length}, ${left} more` : `${SAID[kind]} ${pixel.join(", ")}`);
  }

  /** A new first mask from a box around the object, in place of all clicks on it in this frame. */
  async function box(corners) {
    if (!allowed() || !takesPrompts()) return;
    const { frame } = store.get();
    performance.mark("dextr-vos:click");
    const asked = object();
    if (asked === null) return;
    await edits.historyDone();
    store.set({ point: null });
    edits.points(frame, edits.real(asked), corners.map((corner) => [...corner, "box"]));
    announce(`Box from ${corners.map((corner) => corner.join(", ")).join(" to ")}`);
  }

  /** Whether a click beside a point is the next extreme point: two ends of an object may be close together. */
  function isNext(pixel) {
    const points = extremesOf(pointsOf(store.get()));
    return points.length > 0 && points.length < EXTREMES && !points.some((point) => point.join() === pixel.join());
  }

  /** Take hold of a point. @returns a function that moves it; `live`: as part of a move that has begun */
  function hold(index) {
    const { frame, object: asked } = store.get();
    return (pixel, live) => {
      const id = edits.real(asked);
      const points = pointsOf(store.get(), frame, id).map((point, at) => (at === index ? [...pixel, ...point.slice(2)] : point));
      edits.points(frame, id, points, live);
    };
  }

  function nudge(dx, dy) {
    const { point, server } = store.get();
    const here = pointsOf(store.get())[point];
    if (!here || !allowed()) return;
    const [width, height] = [view.imageWidth, view.imageHeight];
    const pixel = [clamp(here[0] + dx, 0, width - 1), clamp(here[1] + dy, 0, height - 1)];
    const now = performance.now();
    if (server) hold(point)(pixel, now - nudged < 1000);
    nudged = now;
    announce(`Point at ${pixel.join(", ")}`);
  }

  /** @param {(points: any[]) => number} which index of the point to remove */
  async function remove(which) {
    if (!allowed() || endFollowing(store)) return;
    const { frame, object: asked } = store.get();
    await edits.historyDone();
    const id = edits.real(asked);
    const points = pointsOf(store.get(), frame, id);
    const index = which(points);
    if (id === null || !points.length) {
      announce("No click to take back here.");
      return;
    }
    store.set({ point: null });
    const isBox = points[index][2] === "box"; // one of its corners says nothing without the other one
    edits.points(frame, id, points.filter((point, at) => (isBox ? point[2] !== "box" : at !== index)));
    announce("Click taken back");
  }

  return {
    /** @returns {"positive"|"negative"|null} what a click would say now, if it would change or make a mask */
    corrects(alone, negative = false) {
      const { frame, object, tool } = store.get();
      const kind = clicking(tool) ? kindOf(frame, object, negative || tool === "negative", alone) : null;
      return kind === "extreme" ? null : kind;
    },
    at, add, box, hold, isNext, nudge, allowed,
    takeBack: () => remove((points) => points.length - 1),
    removeSelected() {
      const { point } = store.get();
      return remove(() => point);
    },
    /** Choose the next point (by Tab-like keys), or none after the last. */
    cycle(by) {
      const count = pointsOf(store.get()).length;
      if (!count) return;
      const { point } = store.get();
      const next = point === null ? (by > 0 ? 0 : count - 1) : point + by;
      store.set({ point: next < 0 || next >= count ? null : next });
      const chosen = store.get().point;
      announce(chosen === null ? "No point selected" : `Point ${chosen + 1} of ${count}. Arrow keys move it.`);
    },
    object,
  };
}
