/**
 * The whole clip drawn as strips, one an object: keyframes and drafts as diamonds, confidence as bars. High, blue bars are
 * confident; low, orange bars are uncertain; striped ones are lost: height and pattern agree with the colour, so that
 * nobody needs to tell the colours apart. A dashed line is a cut.
 */
import { frameState } from "./confidence.js";
import { confidenceAt, keyframeAt, objectConfidenceAt } from "./state.js";

/** Height of the marks above the strips, which concern the frame as a whole. */
export const MARKS = 12;

/** @returns {number} height of one strip, where there are so many */
export const stripHeight = (count, coarse = false) => (count < 2 ? 24 : count < 5 ? 16 : 13) + (coarse ? 8 : 0);

/** @returns {(number|null)[]} ids of the objects in the order of their strips; null: there is no object yet */
export const stripsOf = (server) => (server.objects.length ? server.objects.map((one) => one.id) : [null]);

/**
 * @param {CanvasRenderingContext2D} context in CSS pixels
 * @param {typeof import("./state.js").START} values
 * @param {number} width
 * @param {number} tall height of a strip
 * @param {(name: string) => string} colour of the page, by the name of its CSS variable
 */
export function drawStrips(context, values, width, tall, colour) {
  const { server } = values;
  stripsOf(server).forEach((id, place) => {
    const top = MARKS + place * tall;
    if (server.objects.length > 1 && id === values.object) {
      context.fillStyle = colour("--accent-soft");
      context.fillRect(0, top, width, tall);
    }
    drawBars(context, values, { id, top, tall, width, colour });
    drawKeys(context, values, { id, top, tall, width, colour });
  });
  drawCuts(context, server, width, MARKS + stripsOf(server).length * tall, colour);
  drawSuggested(context, server, width, colour);
}

/** @typedef {{id: number|null, top: number, tall: number, width: number, colour: (name: string) => string}} Strip */

/** @param {Strip} strip */
function drawBars(context, values, { id, top, tall, width, colour }) {
  const { server, made, job } = values;
  const running = job?.kind === "propagate";
  const gap = width / server.frames > 5 ? 1 : 0;
  const fills = { confident: colour("--confident"), uncertain: colour("--uncertain"), lost: stripes(context, colour("--danger")) };
  const [none, accent] = [colour("--line-strong"), colour("--accent")];
  const bottom = top + tall - 1, full = tall - 3;
  const columns = Math.min(server.frames, Math.floor(width));
  for (let column = 0; column < columns; column++) {
    const { least, fresh, has } = summary(values, id, column, columns);
    const x = (column * width) / columns, w = Math.max(1, width / columns - gap);
    const bar = (fill, height) => {
      context.fillStyle = fill;
      context.fillRect(x, bottom - height, w, height);
    };
    context.globalAlpha = running && !fresh ? 0.35 : server.masks.stale && !fresh ? 0.7 : 1;
    if (running && fresh) bar(accent, full * 0.5);
    else if (least !== null) {
      const state = frameState(least);
      bar(fills[state], state === "lost" ? full : Math.max(2, full * (0.15 + 0.85 * least)));
    } else bar(has ? fills.confident : none, has ? full / 3 : 2);
  }
  context.globalAlpha = 1;
}

/** What the frames of one column of the strip say: the least confidence, whether a run has made one, whether one is annotated. */
function summary({ server, made }, id, column, columns) {
  const from = Math.floor((column * server.frames) / columns);
  const to = Math.max(from + 1, Math.floor(((column + 1) * server.frames) / columns));
  /** @type {number|null} */
  let least = null;
  let fresh = false, has = false;
  for (let index = from; index < to; index++) {
    const value = id === null ? confidenceAt(server, index) : objectConfidenceAt(server, id, index);
    if (value !== null && value !== undefined) least = Math.min(least ?? 1, value);
    if (made.has(index)) fresh = has = true;
    if (keyframeAt(server, index)?.objects[id]?.mask) has = true;
  }
  return { least, fresh, has };
}

/** Diagonal stripes of one colour. */
function stripes(context, colour) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const brush = tile.getContext("2d");
  brush.strokeStyle = colour;
  brush.lineWidth = 2;
  for (const at of [-6, 0, 6]) {
    brush.moveTo(at - 1, 7);
    brush.lineTo(at + 7, -1);
  }
  brush.stroke();
  return context.createPattern(tile, "repeat");
}

/**
 * Diamonds where the object is annotated, hollow in drafts; a dash in keyframes that do not have it.
 * @param {Strip} strip
 */
function drawKeys(context, { server }, { id, top, tall, width, colour }) {
  const middle = top + tall / 2 - 0.5;
  for (const [key, frame] of Object.entries(server.keyframes)) {
    const x = ((Number(key) + 0.5) * width) / server.frames;
    if (frame.draft && !frame.corrected) continue;
    context.fillStyle = colour("--key");
    if (!frame.objects[id]?.mask) {
      if (!frame.draft) context.fillRect(x - 3, middle - 0.75, 6, 1.5);
      continue;
    }
    diamond(context, x, middle, 6);
    context.fillStyle = colour("--panel");
    context.fill();
    diamond(context, x, middle, 4);
    context.fillStyle = context.strokeStyle = colour("--key");
    context.lineWidth = 1.5;
    if (frame.draft) context.stroke();
    else context.fill();
    if (frame.locked) context.fillRect(x - 4.5, Math.min(middle + 6, top + tall - 2), 9, 1.5);
  }
}

function drawCuts(context, server, width, height, colour) {
  context.strokeStyle = colour("--soft");
  context.lineWidth = 1.5;
  context.setLineDash([3, 2]);
  context.beginPath();
  for (const cut of server.cuts ?? []) {
    const x = (cut * width) / server.frames;
    context.moveTo(x, 0);
    context.lineTo(x, height);
  }
  context.stroke();
  context.setLineDash([]);
}

function drawSuggested(context, server, width, colour) {
  const next = server.suggested;
  if (next === null || next === undefined || keyframeAt(server, next)) return;
  context.strokeStyle = colour("--attention");
  context.lineWidth = 1.5;
  diamond(context, ((next + 0.5) * width) / server.frames, MARKS / 2, 4);
  context.stroke();
}

/** The path of a diamond. */
function diamond(context, x, y, radius) {
  context.beginPath();
  context.moveTo(x, y - radius); context.lineTo(x + radius, y);
  context.lineTo(x, y + radius); context.lineTo(x - radius, y);
  context.closePath();
}
