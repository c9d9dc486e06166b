/**
 * The whole clip in one strip: keyframes and locks above, confidence below. High, blue bars are confident; low, orange
 * bars are uncertain; striped ones are lost: height and pattern agree with the colour, so that nobody needs to tell the
 * colours apart. A dashed line is a cut.
 */
import { frameState } from "./confidence.js";
import { clamp, el, setAttribute } from "./dom.js";
import { confidenceAt, correctionsOf, keyframeAt, keyframesOf } from "./state.js";

const MARKS = 14;

export function createOverview(store, navigation) {
  const box = el("overview");
  const canvas = /** @type {HTMLCanvasElement} */ (el("overview-canvas"));
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
    const { server, frame } = values;
    if (!server || server.mode === "folder" || !server.frames) return;
    const ratio = devicePixelRatio;
    const width = box.clientWidth, height = box.clientHeight;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    drawBars(values, width, height, colour);
    drawCuts(server, width, height, colour);
    drawKeys(values, width, height, colour);
    drawHead(frame, server.frames, width, height, colour);
  }

  function drawBars(values, width, height, colour) {
    const { server, made, job } = values;
    const running = job?.kind === "propagate";
    const step = width / server.frames;
    const gap = step > 5 ? 1 : 0;
    const [confident, uncertain, none, accent] = [colour("--confident"), colour("--uncertain"), colour("--line-strong"), colour("--accent")];
    const fills = { confident, uncertain, lost: stripes(colour("--danger")) };
    const bottom = height - 4, full = bottom - MARKS - 2;
    const columns = Math.min(server.frames, Math.floor(width));
    for (let column = 0; column < columns; column++) {
      const from = Math.floor((column * server.frames) / columns);
      const to = Math.max(from + 1, Math.floor(((column + 1) * server.frames) / columns));
      let least = null, fresh = false, has = false;
      for (let index = from; index < to; index++) {
        const value = confidenceAt(server, index);
        if (value !== null && value !== undefined) least = Math.min(least ?? 1, value);
        if (made.has(index)) fresh = has = true;
        if (keyframeAt(server, index)) has = true;
      }
      const x = (column * width) / columns, w = Math.max(1, width / columns - gap);
      context.globalAlpha = running && !fresh ? 0.35 : server.masks.stale && !fresh ? 0.7 : 1;
      if (running && fresh) {
        context.fillStyle = accent;
        context.fillRect(x, bottom - full * 0.5, w, full * 0.5);
      } else if (least !== null) {
        const state = frameState(least);
        const tall = state === "lost" ? full : Math.max(2, full * (0.15 + 0.85 * least));
        context.fillStyle = fills[state];
        context.fillRect(x, bottom - tall, w, tall);
      } else {
        context.fillStyle = has ? confident : none;
        context.fillRect(x, bottom - (has ? 6 : 2), w, has ? 6 : 2);
      }
    }
    context.globalAlpha = 1;
  }

  /** Diagonal stripes of one colour. */
  function stripes(colour) {
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

  function drawCuts(server, width, height, colour) {
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

  function drawKeys(values, width, height, colour) {
    const { server } = values;
    const step = width / server.frames;
    for (const key of keyframesOf(values)) {
      const x = (key + 0.5) * step;
      const locked = server.keyframes[key].locked;
      context.fillStyle = colour("--key");
      diamond(x, 4.5);
      context.fill();
      if (locked) {
        context.fillRect(x - 4.5, 12.5, 9, 1.5);
      }
    }
    context.strokeStyle = colour("--key");
    context.lineWidth = 1.5;
    for (const draft of correctionsOf(values)) {
      diamond((draft + 0.5) * step, 4);
      context.stroke();
    }
    const next = server.suggested;
    if (next === null || next === undefined || keyframeAt(server, next)) return;
    context.strokeStyle = colour("--attention");
    context.lineWidth = 1.5;
    diamond((next + 0.5) * step, 4);
    context.stroke();
  }

  /** The path of a diamond among the marks. */
  function diamond(x, radius) {
    context.beginPath();
    context.moveTo(x, 6.5 - radius); context.lineTo(x + radius, 6.5);
    context.lineTo(x, 6.5 + radius); context.lineTo(x - radius, 6.5);
    context.closePath();
  }

  function drawHead(frame, frames, width, height, colour) {
    const step = width / frames;
    const x = frame * step, w = Math.max(2, step);
    context.fillStyle = colour("--accent");
    context.globalAlpha = 0.22;
    context.fillRect(x, 0, w, height);
    context.globalAlpha = 1;
    context.fillRect(x + w / 2 - 0.75, MARKS, 1.5, height - MARKS);
    context.fillRect(x, height - 2, w, 2);
  }

  function indexAt(event) {
    const area = box.getBoundingClientRect();
    const { server } = store.get();
    return clamp(Math.floor(((event.clientX - area.left) / area.width) * server.frames), 0, server.frames - 1);
  }

  box.addEventListener("pointerdown", (event) => {
    if (!store.get().server || event.button !== 0) return;
    box.setPointerCapture(event.pointerId);
    store.set({ playing: false });
    navigation.go(indexAt(event));
  });
  box.addEventListener("pointermove", (event) => {
    if (box.hasPointerCapture(event.pointerId)) navigation.go(indexAt(event), { quiet: true });
  });
  new ResizeObserver(schedule).observe(box);
  store.on(["server", "frame", "made", "job"], () => {
    const { server, frame } = store.get();
    schedule();
    if (!server) return;
    setAttribute(box, "aria-valuemin", 1);
    setAttribute(box, "aria-valuemax", server.frames);
    setAttribute(box, "aria-valuenow", frame + 1);
    setAttribute(box, "aria-valuetext", navigation.describe(frame));
  });
  return { schedule, indexAt };
}
