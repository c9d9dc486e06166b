/** The upper canvas: cross-hair, loupe, points, brush ring. Redrawn as the pointer moves; the image below stays. */
import { drawPreview } from "./click-preview.js";
import { el } from "./dom.js";
import { drawLoupe } from "./loupe.js";
import { chosen, clicking, cornersOf, pointsOf } from "./state.js";

export function createHud(store, view, cache) {
  const canvas = /** @type {HTMLCanvasElement} */ (el("hud"));
  const context = canvas.getContext("2d");
  let due = false;

  function schedule() {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  }

  function draw() {
    due = false;
    const values = store.get();
    const ratio = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!values.server || !view.imageWidth) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { playing, frame, shown, comparing } = values;
    if (playing || comparing || frame !== shown) return;
    for (const offset of view.offsets()) {
      context.save();
      context.beginPath();
      context.rect(offset, 0, view.width, view.height);
      context.clip();
      context.translate(offset, 0);
      drawHalf(values, offset === view.offset);
      context.restore();
    }
  }

  /** Side by side, both halves show points and cross-hair, and that with the pointer the loupe. */
  function drawHalf(values, pointed) {
    const { pointer, tool } = values;
    if (values.previewed) drawPreview(context, values, view);
    drawPoints(values);
    if (values.box) drawBox(values.box);
    if (values.closed) drawCorners(values);
    if (!pointer || pointer.panning) return;
    const pixel = view.pixelAt(pointer.x, pointer.y);
    if (clicking(tool) && pixel && !pointer.over) drawCross(pixel);
    if (tool === "brush" || tool === "erase") drawRing(values, pointer);
    if (tool === "lasso") drawLasso(values, pointer);
    if (!pixel || !values.loupe || !pointed) return;
    const wanted = pointer.touch ? tool !== "hand" : clicking(tool) && view.scale < 9 && (!pointer.over || pointer.dragging);
    if (wanted) drawLoupe(context, values, pixel, view, cache);
  }

  /** Lines through the middle of the pixel, open around it, dark below light so that they show on any image. */
  function drawCross([x, y]) {
    const ratio = devicePixelRatio;
    // On the middle of a screen pixel, or a line one pixel wide is smeared over two.
    const [cx, cy] = view.toStage(x + 0.5, y + 0.5).map((at) => (Math.floor(at * ratio) + 0.5) / ratio);
    const gap = Math.max(7, view.scale * 0.5 + 3);
    const line = () => {
      context.beginPath();
      context.moveTo(0, cy); context.lineTo(cx - gap, cy);
      context.moveTo(cx + gap, cy); context.lineTo(view.width, cy);
      context.moveTo(cx, 0); context.lineTo(cx, cy - gap);
      context.moveTo(cx, cy + gap); context.lineTo(cx, view.height);
      context.stroke();
    };
    context.lineCap = "butt";
    context.strokeStyle = "rgb(0 0 0 / 0.45)";
    context.lineWidth = 3;
    line();
    context.strokeStyle = "rgb(255 255 255 / 0.85)";
    context.lineWidth = 1;
    line();
    if (view.scale >= 5) {
      const [left, top] = view.toStage(x, y);
      context.strokeRect(left, top, view.scale, view.scale);
    } else {
      context.fillStyle = "#fff";
      context.fillRect(cx - 0.75, cy - 0.75, 1.5, 1.5);
    }
  }

  function drawPoints(values) {
    const colour = chosen(values)?.colour ?? "#fff";
    const points = pointsOf(values), corners = cornersOf(points);
    context.globalAlpha = clicking(values.tool) ? 1 : 0.35;
    if (corners.length === 2) drawBox(/** @type {any} */ (corners));
    points.forEach(([x, y, kind], index) => {
      const [cx, cy] = view.toStage(x + 0.5, y + 0.5);
      const picked = values.point === index;
      context.beginPath();
      const isCorner = kind === "box";
      const radius = (isCorner ? 3.5 : kind ? 6.5 : 5) + (picked ? 2.5 : 0);
      if (isCorner || kind === "negative") context.rect(cx - radius + 0.5, cy - radius + 0.5, 2 * radius - 1, 2 * radius - 1);
      else context.arc(cx, cy, radius, 0, 2 * Math.PI);
      context.fillStyle = picked ? "rgb(255 255 255 / 0.25)" : "rgb(0 0 0 / 0.25)";
      context.fill();
      context.lineWidth = 4;
      context.strokeStyle = "rgb(0 0 0 / 0.55)";
      context.stroke();
      context.lineWidth = 2;
      context.strokeStyle = "#fff";
      context.stroke();
      if (isCorner) return;
      if (kind) drawSign(cx, cy, kind);
      else {
        context.beginPath();
        context.arc(cx, cy, 2, 0, 2 * Math.PI);
        context.fillStyle = colour;
        context.fill();
      }
    });
    context.globalAlpha = 1;
  }

  /** The box around an object, given or being dragged, its corners' pixels included. */
  function drawBox([[ax, ay], [bx, by]]) {
    const [left, top] = view.toStage(Math.min(ax, bx), Math.min(ay, by));
    const [right, bottom] = view.toStage(Math.max(ax, bx) + 1, Math.max(ay, by) + 1);
    for (const [width, colour, dash] of /** @type {[number, string, number[]][]} */ ([[3.5, "rgb(0 0 0 / 0.5)", []], [1.5, "#fff", [6, 4]]])) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.setLineDash(dash);
      context.strokeRect(left, top, right - left, bottom - top);
    }
    context.setLineDash([]);
  }

  /** Plus in a ring: more of this. Minus in a square: not this. */
  function drawSign(cx, cy, kind) {
    context.beginPath();
    context.moveTo(cx - 3.5, cy); context.lineTo(cx + 3.5, cy);
    if (kind === "positive") { context.moveTo(cx, cy - 3.5); context.lineTo(cx, cy + 3.5); }
    context.stroke();
  }

  /** The outline so far, and the line on which it would go on. */
  function drawLasso({ lasso }, pointer) {
    if (!lasso.length) return;
    const corners = lasso.map(([x, y]) => view.toStage(x, y));
    for (const [width, colour] of [[3.5, "rgb(0 0 0 / 0.5)"], [1.5, "#fff"]]) {
      context.beginPath();
      for (const [x, y] of corners) context.lineTo(x, y);
      context.lineTo(pointer.x, pointer.y);
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
    context.beginPath();
    context.arc(...corners[0], 5, 0, 2 * Math.PI);
    context.fillStyle = "#fff";
    context.fill();
  }

  /** A closed outline, and its corners, which can be moved. */
  function drawCorners({ closed, corner }) {
    const corners = closed.path.map(([x, y]) => view.toStage(x, y));
    for (const [width, colour] of [[3, "rgb(0 0 0 / 0.5)"], [1, "#fff"]]) {
      context.beginPath();
      for (const [x, y] of corners) context.lineTo(x, y);
      context.closePath();
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
    corners.forEach(([x, y], index) => {
      const radius = index === corner ? 6 : 4;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fillStyle = index === corner ? chosen(store.get())?.colour ?? "#fff" : "#fff";
      context.fill();
      context.lineWidth = index === corner ? 2 : 1;
      context.strokeStyle = index === corner ? "#fff" : "rgb(0 0 0 / 0.6)";
      context.stroke();
    });
  }

  function drawRing(values, { x, y }) {
    const radius = Math.max(1.5, (values.radius + 0.5) * view.scale);
    const soft = context.createRadialGradient(x, y, radius * 0.6, x, y, radius);
    const colour = values.tool === "erase" ? "#ffffff" : chosen(values)?.colour ?? "#ffffff";
    soft.addColorStop(0, `${colour}00`);
    soft.addColorStop(1, `${colour}2e`);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = soft;
    context.fill();
    context.lineWidth = 3;
    context.strokeStyle = "rgb(0 0 0 / 0.45)";
    context.stroke();
    context.lineWidth = 1.25;
    context.strokeStyle = "#fff";
    if (values.tool === "erase") context.setLineDash([4, 3]);
    context.stroke();
    context.setLineDash([]);
  }

  store.on(["pointer", "server", "drafts", "point", "object", "frame", "shown", "tool", "lasso", "closed", "corner", "box", "previewed", "radius", "loupe", "viewed", "playing", "comparing", "sided",
    "answered", "arrived"], schedule);
  return { schedule };
}
