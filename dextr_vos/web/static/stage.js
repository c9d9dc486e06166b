/** The lower canvas: image, tinted masks, outlines. Drawn when something changed, at most once a screen frame. */
import { dress } from "./cache.js";
import { clamp, el, setText } from "./dom.js";
import { labelOf } from "./state.js";

export function createStage(store, view, cache, compare) {
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
    const values = store.get();
    const { server, frame, opacity, overlay, outlines, comparing, sided } = values;
    const bitmap = cache.frame(frame) ?? cache.frame(shown);
    const here = cache.frame(frame) ? frame : shown;
    const ratio = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = background;
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!bitmap || !server) return;
    if (here === frame) store.set({ shown: (shown = frame) });
    view.setImage(bitmap.width, bitmap.height);
    if (sided) return void drawSides(bitmap, here, values);
    const scale = drawImage(bitmap, 0);
    if (comparing) drawBoth(here, server, scale, opacity);
    else if (overlay) drawMask(cache.mask(here), server, scale, opacity, outlines);
  }

  /** Draw the image into a half of the stage, or all of it. @returns {number} screen pixels for one of the image */
  function drawImage(bitmap, offset) {
    const ratio = devicePixelRatio, scale = view.scale * ratio;
    context.setTransform(scale, 0, 0, scale, Math.round((view.x + offset) * ratio), Math.round(view.y * ratio));
    context.imageSmoothingEnabled = scale < 2;
    context.imageSmoothingQuality = "medium";
    context.drawImage(bitmap, 0, 0);
    return scale;
  }

  /** Side by side: the image and its masks, or the masks before the last run and the present ones. */
  function drawSides(bitmap, index, { server, opacity, overlay, outlines, comparing }) {
    const ratio = devicePixelRatio;
    const left = comparing ? compare.mask(index) : null;
    for (const [offset, mask] of /** @type {[number, any][]} */ ([[0, left], [view.width, overlay || comparing ? cache.mask(index) : null]])) {
      context.save();
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.beginPath();
      context.rect(offset, 0, view.width, view.height);
      context.clip();
      drawMask(mask, server, drawImage(bitmap, offset), opacity, outlines);
      context.restore();
    }
    drawSplit(view.width, comparing ? compare.caption(index) : "Image", comparing ? "Now" : "Masks");
  }

  /** The masks before the last run left of the pointer, the present ones right of it. */
  function drawBoth(index, server, scale, opacity) {
    const split = clamp(store.get().pointer?.x ?? view.width / 2, 0, view.width);
    const [x] = view.toImage(split, 0), [left, top] = view.toImage(0, 0), [right, bottom] = view.toImage(view.width, view.height);
    for (const [mask, from, to] of [[compare.mask(index), left, x], [cache.mask(index), x, right]]) {
      context.save();
      context.beginPath();
      context.rect(from, top, to - from, bottom - top);
      context.clip();
      drawMask(mask, server, scale, opacity, true);
      context.restore();
    }
    drawSplit(split, compare.caption(index), "Now");
  }

  /** A line, and what is on its two sides. */
  function drawSplit(split, left, right) {
    const ratio = devicePixelRatio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const [width, colour] of [[4, "rgb(0 0 0 / 0.5)"], [1.5, "#fff"]]) {
      context.fillStyle = colour;
      context.fillRect(split - width / 2, 0, width, view.height);
    }
    context.font = "500 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    name(left, split - 10, "right");
    name(right, split + 10, "left");
  }

  function name(text, x, side) {
    const wide = context.measureText(text).width + 14;
    context.fillStyle = "rgb(0 0 0 / 0.65)";
    context.beginPath();
    context.roundRect(side === "right" ? x - wide : x, 12, wide, 22, 6);
    context.fill();
    context.fillStyle = "#fff";
    context.textAlign = "center";
    context.fillText(text, side === "right" ? x - wide / 2 : x + wide / 2, 23);
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
    view.resize(width, height, store.get().sided);
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
  store.on(["server", "opacity", "overlay", "outlines", "frame", "strokes", "viewed", "answered", "arrived", "comparing"], schedule);
  store.on(["sided"], resize);
  store.on(["pointer"], () => { if (store.get().comparing) schedule(); });
  recolour();

  return {
    schedule, recolour,
    /** The frame whose image is on the canvas. */
    shown: () => shown,
  };
}
