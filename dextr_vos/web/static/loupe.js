/** The loupe: a window beside the pointer, or above the finger, with the pixels around it, outlines and all, unsmoothed. */
import { clamp } from "./dom.js";
import { pointsOf } from "./state.js";

/** Across, in CSS pixels: a finger hides more. */
const MOUSE = 132, FINGER = 176;
/** From the pointer to the loupe. */
const AWAY = 26, ABOVE = 56;
const FOOT = 20;

/**
 * @param {CanvasRenderingContext2D} context in CSS pixels of the stage
 * @param {typeof import("./state.js").START} values
 * @param {[number, number]} pixel in the middle
 */
export function drawLoupe(context, values, pixel, view, cache) {
  const bitmap = cache.frame(values.frame);
  if (!bitmap) return;
  const [x, y] = pixel;
  const zoom = Math.max(10, Math.round(view.scale * (values.pointer.touch ? 2 : 3)));
  const across = Math.max(5, Math.floor((values.pointer.touch ? FINGER : MOUSE) / zoom) | 1);
  const size = across * zoom;
  const [left, top] = values.pointer.touch ? aboveFinger(values.pointer, size, view) : besidePointer(values, size, view, cache);
  const half = (across - 1) / 2;
  context.save();
  context.shadowColor = "rgb(0 0 0 / 0.5)";
  context.shadowBlur = 14;
  context.beginPath();
  context.roundRect(left, top, size, size + FOOT, 8);
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
  drawOutlines(context, values, zoom, cache);
  context.restore();
  const mid = half * zoom;
  for (const [width, colour] of [[3, "rgb(0 0 0 / 0.6)"], [1.25, "#fff"]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(left + mid, top + mid, zoom, zoom);
  }
  context.fillStyle = "#d9dbde";
  context.font = "500 11px ui-monospace, 'SF Mono', 'DejaVu Sans Mono', monospace";
  context.textAlign = "center";
  context.fillText(`${x}, ${y}`, left + size / 2, top + size + 14);
  context.restore();
}

/** On the side away from the object, if there is room. */
function besidePointer(values, size, view, cache) {
  const { x, y } = values.pointer;
  const [mx, my] = middleOf(values, view, cache) ?? [x, y];
  const right = sideFor(x, mx, AWAY + size, view.width);
  const below = sideFor(y, my, AWAY + size + FOOT + 2, view.height);
  return [Math.round(right ? x + AWAY : x - AWAY - size), Math.round(below ? y + AWAY : y - AWAY - size - FOOT)];
}

/** Above the finger; at the upper edge of the stage beside it, where the hand is not. */
function aboveFinger({ x, y }, size, view) {
  const top = y - ABOVE - size - FOOT;
  if (top >= 4) return [Math.round(clamp(x - size / 2, 4, view.width - size - 4)), Math.round(top)];
  const left = x - ABOVE - size;
  return [Math.round(left >= 4 ? left : x + ABOVE), 4];
}

/** Middle of what a click would make, of the object's points, or of the masks, on the stage; null where there are none. */
function middleOf(values, view, cache) {
  if (values.previewed?.fill) return middleOfFill(values.previewed.fill, view);
  const of = cache.holds(values.frame, values.object) ? [] : pointsOf(values); // a single click is no middle
  if (of.length) return view.toStage(...[0, 1].map((axis) => of.reduce((sum, point) => sum + point[axis], 0) / of.length));
  const fill = cache.mask(values.frame)?.fill;
  return fill ? middleOfFill(fill, view) : null;
}

const middleOfFill = ({ left, top, canvas }, view) => view.toStage(left + canvas.width / 2, top + canvas.height / 2);

/** Whether something of this length goes after a place rather than before it. */
function sideFor(at, middle, length, room) {
  const fitsAfter = at + length < room, fitsBefore = at - length > 0;
  return at >= middle ? fitsAfter || !fitsBefore : fitsAfter && !fitsBefore;
}

function drawOutlines(context, values, zoom, cache) {
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
