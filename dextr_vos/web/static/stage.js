/** The lower canvas: image, tinted masks, outlines. Drawn when something changed, at most once a screen frame. */
import { dress } from "./cache.js";
import { el, setText } from "./dom.js";
import { labelOf } from "./state.js";

export function createStage(store, view, cache) {
  const canvas = /** @type {HTMLCanvasElement} */ (el("image"));
  const context = canvas.getContext("2d", { alpha: false });
  let due = false;
  /** The frame whose image is on the canvas; -1: none yet. */
  let shown = -1;
  let background = "#090a0c";

  function schedule() {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  }

  function draw() {
    due = false;
    const { server, frame, opacity, overlay, outlines } = store.get();
    const bitmap = cache.frame(frame) ?? cache.frame(shown);
    const here = cache.frame(frame) ? frame : shown;
    const ratio = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = background;
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!bitmap || !server) return;
    if (here === frame) store.set({ shown: (shown = frame) });
    view.setImage(bitmap.width, bitmap.height);
    const scale = view.scale * ratio;
    context.setTransform(scale, 0, 0, scale, Math.round(view.x * ratio), Math.round(view.y * ratio));
    context.imageSmoothingEnabled = scale < 2;
    context.imageSmoothingQuality = "medium";
    context.drawImage(bitmap, 0, 0);
    if (overlay) drawMask(cache.mask(here), server, scale, opacity, outlines);
  }

  function drawMask(mask, server, scale, opacity, lines) {
    if (!mask?.labels) return;
    const colours = new Map(server.objects.filter((one) => one.visible).map((one) => [one.id, one.colour]));
    dress(mask, colours);
    if (mask.fill) {
      context.globalAlpha = opacity;
      context.imageSmoothingEnabled = scale < 1;
      context.drawImage(mask.fill.canvas, mask.fill.left, mask.fill.top);
      context.globalAlpha = 1;
    }
    if (!lines || opacity === 0) return;
    context.lineCap = "square";
    for (const [id, path] of mask.paths) {
      if (!colours.has(id)) continue;
      context.strokeStyle = "rgb(0 0 0 / 0.4)";
      context.lineWidth = (3.2 * devicePixelRatio) / scale;
      context.stroke(path);
      context.strokeStyle = colours.get(id);
      context.lineWidth = (1.5 * devicePixelRatio) / scale;
      context.stroke(path);
    }
  }

  function resize() {
    const { width, height } = el("stage").getBoundingClientRect();
    const ratio = devicePixelRatio;
    for (const layer of [canvas, /** @type {HTMLCanvasElement} */ (el("hud"))]) {
      const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
      if (layer.width !== w || layer.height !== h) [layer.width, layer.height] = [w, h];
    }
    view.resize(width, height);
    draw();
    store.set({ viewed: performance.now() });
  }

  /** The stage's background follows the theme. */
  function recolour() {
    background = getComputedStyle(document.documentElement).getPropertyValue("--stage").trim() || background;
    schedule();
  }

  /** Say so when the image on the stage is that of another frame. */
  function markOld() {
    const { server, frame, playing } = store.get();
    const old = Boolean(server?.frames) && !playing && frame !== shown;
    el("stage").toggleAttribute("data-old", old);
    if (old) setText(el("stage-old"), `Loading ${server.mode === "folder" ? "image" : "frame"} ${labelOf(server, frame)}`);
  }

  store.on(["server", "frame", "shown", "playing"], markOld);
  new ResizeObserver(resize).observe(el("stage"));
  (function watchDensity() {
    matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener("change", () => { resize(); watchDensity(); }, { once: true });
  })();
  store.on(["server", "opacity", "overlay", "outlines", "frame", "strokes", "viewed", "answered", "arrived"], schedule);
  recolour();

  return {
    schedule, recolour,
    /** The frame whose image is on the canvas. */
    shown: () => shown,
  };
}
