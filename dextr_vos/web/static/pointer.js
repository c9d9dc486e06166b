/** Pointer and wheel on the stage: the meaning of gestures. Fingers are in touch.js. */
import { announce } from "./announce.js";
import { clamp, el } from "./dom.js";
import { endFollowing } from "./follow.js";
import { clicking } from "./state.js";
import { createTouch } from "./touch.js";

/** Image pixels between the corners of a box; nearer ones are those of a click. */
const LEAST_BOX = 3;

export function createPointer(store, view, points, brush, lasso, stage) {
  const hud = el("hud");
  /** @type {{kind: "pan"|"point"|"new"|"box"|"stroke"|"lasso"|"corner", index?: number|null, x: number, y: number, negative?: boolean, alone?: boolean, corner?: [number, number]|null, move?: Function, moved?: boolean, last?: string, first?: boolean}|null} */
  let gesture = null;
  let space = false;
  let panned = false;
  /** Whether Shift and Alt are held, which change what a click means. */
  let shifted = false, alted = false;

  /** Where an event is on the stage; side by side, in the half in which its gesture has begun. */
  function place(event) {
    const box = hud.getBoundingClientRect();
    if (!gesture && !touch.busy()) view.chooseHalf(event.clientX - box.left);
    return [event.clientX - box.left - view.offset, event.clientY - box.top];
  }

  function viewed() {
    store.set({ viewed: performance.now() });
    stage.schedule();
  }

  /** @returns {number|null} the point of the object, or the corner of the outline, under the pointer */
  const over = (x, y) => (store.get().tool === "lasso" ? lasso.corners.at(x, y) : points.at(x, y));

  function cursor(over) {
    const { tool } = store.get();
    const name = gesture?.kind === "pan" ? "grabbing" : space || tool === "hand" ? "grab"
      : over !== null && (clicking(tool) || tool === "lasso") ? "move" : tool === "lasso" ? "crosshair" : null;
    if (name) hud.dataset.cursor = name;
    else delete hud.dataset.cursor;
  }

  /** Store where the pointer is, for those that draw it. */
  function point(x, y, over, finger = false) {
    const panning = gesture?.kind === "pan" || space || store.get().tool === "hand";
    store.set({ pointer: { x, y, over: over !== null, panning, dragging: gesture?.kind === "point", held: gesture !== null,
      touch: finger, alone: shifted || store.get().tool === "box", negative: alted } });
    cursor(over);
  }

  /** Shift or Alt was pressed or released, perhaps while the pointer rests. */
  function modify(shift, alt) {
    if (shifted === shift && alted === alt) return;
    [shifted, alted] = [shift, alt];
    const { pointer } = store.get();
    if (pointer) store.set({ pointer: { ...pointer, alone: shifted || store.get().tool === "box", negative: alted } });
  }

  function down(event) {
    const [x, y] = place(event);
    hud.focus({ preventScroll: true });
    const { tool } = store.get();
    if (touch.down(event, x, y)) return;
    if (gesture) return;
    hud.setPointerCapture(event.pointerId);
    if (event.button === 1 || space || tool === "hand") {
      event.preventDefault();
      panned = true;
      gesture = { kind: "pan", x, y };
      cursor(null);
    } else if (tool === "lasso" && event.button !== 1) {
      const erase = event.button === 2 || event.altKey;
      const index = erase ? null : lasso.corners.at(x, y, event.pointerType === "touch");
      gesture = { kind: index === null ? "lasso" : "corner", index, x, y, first: !lasso.active() };
      if (index === null) lasso.down(x, y, erase);
    } else if (clicking(tool) && (event.button === 2 || event.altKey)) gesture = { kind: "new", x, y, negative: true };
    else if (event.button === 0) begin(x, y, tool, event.shiftKey || tool === "box");
  }

  function begin(x, y, tool, alone) {
    if (tool === "brush" || tool === "erase") {
      gesture = { kind: "stroke", x, y };
      brush.begin(x, y);
      return;
    }
    const index = points.at(x, y);
    gesture = index === null ? { kind: "new", x, y, negative: tool === "negative", alone, corner: view.pixelAt(x, y) } : { kind: "point", x, y, move: points.hold(index) };
    if (index !== null) store.set({ point: index });
  }

  function move(event) {
    const [x, y] = place(event);
    [shifted, alted] = [event.shiftKey, event.altKey];
    if (touch.move(event, x, y)) return;
    if (gesture?.kind === "pan") {
      view.pan(x - gesture.x, y - gesture.y);
      [gesture.x, gesture.y] = [x, y];
      viewed();
    } else if (gesture?.kind === "stroke") {
      for (const one of event.getCoalescedEvents?.() ?? [event]) brush.extend(...place(one));
      brush.extend(x, y);
    } else if (gesture?.kind === "lasso") {
      gesture.moved ||= Math.hypot(x - gesture.x, y - gesture.y) > 5;
      if (gesture.moved) lasso.extend(x, y);
    } else if (gesture?.kind === "corner") {
      gesture.moved ||= Math.hypot(x - gesture.x, y - gesture.y) > 3;
      if (gesture.moved) lasso.corners.move(gesture.index, x, y);
    } else if (gesture?.kind === "point") drag(x, y);
    else if (gesture?.corner && gesture.alone && !gesture.negative) stretch(x, y);
    point(x, y, gesture?.kind === "stroke" ? null : over(x, y), event.pointerType === "touch");
  }

  /** A point follows the pointer once that has left the point's own pixel neighbourhood. */
  function drag(x, y) {
    if (!gesture.moved && Math.hypot(x - gesture.x, y - gesture.y) < 3) return;
    if (!gesture.moved && !points.allowed()) {
      gesture = null;
      return;
    }
    const pixel = view.pixelAt(x, y) ?? heldPixel(x, y);
    const key = pixel.join();
    if (gesture.last === key) return;
    gesture.move(pixel, Boolean(gesture.moved));
    gesture.moved = true;
    gesture.last = key;
  }

  /** A click for a first mask that moves on is a box, unless that would be too small for an object. */
  function stretch(x, y) {
    const pixel = view.pixelAt(x, y) ?? heldPixel(x, y);
    const size = Math.max(...pixel.map((one, axis) => Math.abs(one - gesture.corner[axis])));
    if (size < LEAST_BOX) {
      gesture.kind = "new";
      store.set({ box: null });
      return;
    }
    if (gesture.kind === "new" && Math.hypot(x - gesture.x, y - gesture.y) < 5) return;
    if (gesture.kind === "new" && !points.allowed()) {
      gesture = null;
      return;
    }
    gesture.kind = "box";
    store.set({ box: [gesture.corner, pixel] });
  }

  function heldPixel(cx, cy) {
    const [x, y] = view.toImage(cx, cy);
    return [clamp(Math.floor(x), 0, view.imageWidth - 1), clamp(Math.floor(y), 0, view.imageHeight - 1)];
  }

  function up(event) {
    const [x, y] = place(event);
    if (touch.up(event, x, y)) return;
    const done = gesture;
    const { box } = store.get();
    gesture = null;
    store.set({ box: null });
    if (done?.kind === "box") points.box(box);
    if (done?.kind === "stroke") brush.end();
    if (done?.kind === "lasso" && done.moved && done.first) lasso.close(); // drawn in one go
    if (done?.kind === "corner" && done.moved) lasso.corners.send();
    else if (done?.kind === "corner") store.set({ corner: done.index });
    if (done?.kind === "new" || (done?.kind === "point" && !done.moved)) {
      const pixel = view.pixelAt(x, y);
      if (pixel && (done.kind === "new" || points.isNext(pixel))) points.add(pixel, done.negative, done.alone);
    }
    point(x, y, over(x, y));
  }

  function wheel(event) {
    event.preventDefault();
    const [x, y] = place(event);
    const unit = event.deltaMode === 1 ? 30 : event.deltaMode === 2 ? 300 : 1;
    if (event.shiftKey && !event.ctrlKey) view.pan(-(event.deltaX || event.deltaY) * unit, 0);
    else view.zoomTo(view.scale * Math.exp(-clamp(event.deltaY * unit, -240, 240) * 0.002), x, y);
    viewed();
    point(x, y, over(x, y));
  }

  /** End a gesture without effect. */
  function drop() {
    if (gesture?.kind === "lasso") lasso.cancel();
    if (gesture?.kind === "corner") lasso.corners.cancel();
    gesture = null;
    store.set({ box: null });
    brush.drop();
  }

  const touch = createTouch(store, view, points, {
    viewed,
    drop,
    aim: (x, y) => point(x, y, null, true),
    away: () => store.set({ pointer: null }),
  });

  // a click is meant for the frame on which the button was pressed
  store.on(["frame"], () => { if (["new", "point", "box", "corner"].includes(gesture?.kind)) drop(); });
  hud.addEventListener("pointerdown", down);
  hud.addEventListener("pointermove", move);
  hud.addEventListener("pointerup", up);
  hud.addEventListener("pointercancel", (event) => { touch.cancel(event); drop(); });
  hud.addEventListener("pointerleave", () => { if (!gesture) store.set({ pointer: null }); });
  for (const kind of ["keydown", "keyup"]) document.addEventListener(kind, (event) => modify(event.shiftKey, event.altKey), true);
  window.addEventListener("blur", () => modify(false, false));
  hud.addEventListener("wheel", wheel, { passive: false });
  hud.addEventListener("contextmenu", (event) => event.preventDefault());
  hud.addEventListener("auxclick", (event) => event.preventDefault());

  return {
    /** Space is held: drag moves the image. @returns {boolean} whether it was used to move, at the end */
    holdSpace(held) {
      if (held && !space) panned = false;
      space = held;
      const { pointer } = store.get();
      if (pointer) point(pointer.x, pointer.y, over(pointer.x, pointer.y));
      return panned;
    },
    busy: () => gesture !== null,
    /** Move the cross-hair by whole pixels, for people who use no mouse. */
    moveBy(dx, dy) {
      const { pointer } = store.get();
      const from = pointer ? view.pixelAt(pointer.x, pointer.y) : null;
      const [px, py] = from ?? [Math.floor(view.imageWidth / 2), Math.floor(view.imageHeight / 2)];
      const x = clamp(px + dx, 0, view.imageWidth - 1), y = clamp(py + dy, 0, view.imageHeight - 1);
      const [cx, cy] = view.toStage(x + 0.5, y + 0.5);
      point(cx, cy, null);
    },
    /** Click at the cross-hair; see `points.add`. */
    press(negative = false, alone = false) {
      const { pointer, tool } = store.get();
      const pixel = pointer ? view.pixelAt(pointer.x, pointer.y) : null;
      if (!pixel && clicking(tool)) announce("Move the cross-hair first, with Alt and the arrow keys.");
      if (pixel && clicking(tool) && !endFollowing(store)) points.add(pixel, negative || tool === "negative", alone || tool === "box");
    },
  };
}
