/** The upper canvas: cross-hair, loupe, points, brush ring. Redrawn as the pointer moves; the image below stays. */
import { el } from "./dom.js";
import { chosen, clicking, pointsOf } from "./state.js";

const LOUPE = 132;
const AWAY = 26;

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
    const { pointer, tool, playing, frame, shown, comparing } = values;
    if (playing || comparing || frame !== shown) return;
    drawPoints(values);
    if (!pointer) return;
    const pixel = view.pixelAt(pointer.x, pointer.y);
    if (clicking(tool) && pixel && !pointer.over && !pointer.panning) drawCross(pixel);
    if ((tool === "brush" || tool === "erase") && !pointer.panning) drawRing(values, pointer);
    if (tool === "lasso" && !pointer.panning) drawLasso(values, pointer);
    const dragging = pointer.dragging ?? false;
    if (clicking(tool) && pixel && values.loupe && !pointer.panning && view.scale < 9 && (!pointer.over || dragging)) {
      drawLoupe(values, pixel, pointer);
    }
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
    context.globalAlpha = clicking(values.tool) ? 1 : 0.35;
    pointsOf(values).forEach(([x, y, kind], index) => {
      const [cx, cy] = view.toStage(x + 0.5, y + 0.5);
      const picked = values.point === index;
      context.beginPath();
      const radius = (kind ? 6.5 : 5) + (picked ? 2.5 : 0);
      if (kind === "negative") context.rect(cx - radius + 0.5, cy - radius + 0.5, 2 * radius - 1, 2 * radius - 1);
      else context.arc(cx, cy, radius, 0, 2 * Math.PI);
      context.fillStyle = picked ? "rgb(255 255 255 / 0.25)" : "rgb(0 0 0 / 0.25)";
      context.fill();
      context.lineWidth = 4;
      context.strokeStyle = "rgb(0 0 0 / 0.55)";
      context.stroke();
      context.lineWidth = 2;
      context.strokeStyle = "#fff";
      context.stroke();
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

  /** A window with the pixels around the pointer, at least eight times as large, unsmoothed. */
  function drawLoupe(values, [x, y], pointer) {
    const bitmap = cache.frame(values.frame);
    if (!bitmap) return;
    const zoom = Math.max(10, Math.round(view.scale * 3));
    const across = Math.floor(LOUPE / zoom) | 1;
    const size = across * zoom;
    const [mx, my] = middleOf(values) ?? [pointer.x, pointer.y];
    // on the side away from the object, if there is room
    const right = sideFor(pointer.x, mx, AWAY + size, view.width);
    const below = sideFor(pointer.y, my, AWAY + size + 22, view.height);
    const left = Math.round(right ? pointer.x + AWAY : pointer.x - AWAY - size);
    const top = Math.round(below ? pointer.y + AWAY : pointer.y - AWAY - size - 20);
    const half = (across - 1) / 2;
    context.save();
    context.shadowColor = "rgb(0 0 0 / 0.5)";
    context.shadowBlur = 14;
    context.beginPath();
    context.roundRect(left, top, size, size + 20, 8);
    context.fillStyle = "#0d0f11";
    context.fill();
    context.shadowBlur = 0;
    context.clip();
    context.imageSmoothingEnabled = false;
    context.save();
    context.beginPath();
    context.rect(left, top, size, size);
    context.clip();
    context.translate(left - (x - half) * zoom, top - (y - half) * zoom);
    context.scale(zoom, zoom);
    context.drawImage(bitmap, 0, 0);
    outlineIn(values, zoom);
    context.restore();
    const mid = half * zoom;
    context.strokeStyle = "rgb(0 0 0 / 0.6)";
    context.lineWidth = 3;
    context.strokeRect(left + mid, top + mid, zoom, zoom);
    context.strokeStyle = "#fff";
    context.lineWidth = 1.25;
    context.strokeRect(left + mid, top + mid, zoom, zoom);
    context.fillStyle = "#d9dbde";
    context.font = "500 11px ui-monospace, 'SF Mono', 'DejaVu Sans Mono', monospace";
    context.textAlign = "center";
    context.fillText(`${x}, ${y}`, left + size / 2, top + size + 14);
    context.restore();
  }

  /** Middle of the object's points, or of the masks, on the stage; null where there are none. */
  function middleOf(values) {
    const of = pointsOf(values);
    if (of.length) return view.toStage(...[0, 1].map((axis) => of.reduce((sum, point) => sum + point[axis], 0) / of.length));
    const fill = cache.mask(values.frame)?.fill;
    return fill ? view.toStage(fill.left + fill.canvas.width / 2, fill.top + fill.canvas.height / 2) : null;
  }

  /** Whether something of this length goes after a place rather than before it. */
  function sideFor(at, middle, length, room) {
    const fitsAfter = at + length < room, fitsBefore = at - length > 0;
    return at >= middle ? fitsAfter || !fitsBefore : fitsAfter && !fitsBefore;
  }

  function outlineIn(values, zoom) {
    const mask = values.overlay ? cache.mask(values.frame) : null;
    if (!mask?.paths) return;
    context.lineCap = "square";
    context.lineWidth = 1.5 / zoom;
    for (const one of values.server.objects) {
      const path = one.visible ? mask.paths.get(one.id) : null;
      if (!path) continue;
      context.strokeStyle = one.colour;
      context.stroke(path);
    }
  }

  store.on(["pointer", "server", "drafts", "point", "object", "frame", "shown", "tool", "lasso", "radius", "loupe", "viewed", "playing", "comparing",
    "answered", "arrived"], schedule);
  return { schedule };
}
