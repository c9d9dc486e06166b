/**
 * What is drawn of labels: a tinted bitmap of the part that holds objects, and outlines as paths along the
 * pixels' edges, so that they stay one line wide and exact at every zoom.
 */

/** Smallest box around all objects; null where there are none. */
export function boxOf(labels, width, height) {
  let top = -1, bottom = -1, left = width, right = -1;
  for (let y = 0; y < height; y++) {
    const row = y * width;
    let first = 0;
    while (first < width && labels[row + first] === 0) first++;
    if (first === width) continue;
    let end = width - 1;
    while (labels[row + end] === 0) end--;
    if (top < 0) top = y;
    bottom = y;
    if (first < left) left = first;
    if (end > right) right = end;
  }
  return top < 0 ? null : { left, top, right: right + 1, bottom: bottom + 1 };
}

/**
 * @param {Uint8Array} labels
 * @param {Map<number, string>} colours by object number; objects that are not in it are not drawn
 * @returns {{canvas: OffscreenCanvas, left: number, top: number}|null}
 */
export function tint(labels, width, height, colours, box = boxOf(labels, width, height)) {
  if (!box) return null;
  const table = new Uint32Array(256);
  for (const [id, colour] of colours) {
    const value = parseInt(colour.slice(1), 16);
    table[id] = (0xff000000 | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
  }
  const w = box.right - box.left, h = box.bottom - box.top;
  const image = new ImageData(w, h);
  const pixels = new Uint32Array(image.data.buffer);
  for (let y = 0, to = 0; y < h; y++) {
    let from = (y + box.top) * width + box.left;
    for (const end = from + w; from < end; from++, to++) {
      const label = labels[from];
      if (label) pixels[to] = table[label];
    }
  }
  const canvas = new OffscreenCanvas(w, h);
  /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(image, 0, 0);
  return { canvas, left: box.left, top: box.top };
}

/**
 * Edges of every object, in one pass over the box.
 * @returns {Map<number, Path2D>}
 */
export function outlines(labels, width, height, box = boxOf(labels, width, height)) {
  /** @type {Map<number, Path2D>} */
  const paths = new Map();
  if (!box) return paths;
  const path = (id) => {
    let found = paths.get(id);
    if (!found) paths.set(id, (found = new Path2D()));
    return found;
  };
  const draw = (pair, x0, y0, x1, y1) => {
    for (const id of [pair >> 8, pair & 255]) {
      if (!id) continue;
      const line = path(id);
      line.moveTo(x0, y0);
      line.lineTo(x1, y1);
    }
  };
  const { left, top, right, bottom } = box;
  const open = new Uint16Array(right - left + 1), since = new Int32Array(right - left + 1);
  for (let y = top; y <= bottom; y++) {
    const row = y * width, rowAbove = row - width;
    let run = 0, start = left, before = 0;
    for (let x = left; x <= right; x++) {
      const inside = x < right;
      const here = inside && y < bottom ? labels[row + x] : 0;
      const above = inside && y > top ? labels[rowAbove + x] : 0;
      const column = x - left;
      // Most pixels lie within an object or the background, where no line begins or ends.
      if (here === above && here === before && run === 0 && open[column] === 0) continue;
      const flat = here !== above ? (above << 8) | here : 0;
      if (flat !== run) {
        if (run) draw(run, start, y, x, y);
        run = flat;
        start = x;
      }
      const upright = before !== here ? (before << 8) | here : 0;
      if (upright !== open[column]) {
        if (open[column]) draw(open[column], x, since[column], x, y);
        open[column] = upright;
        since[column] = y;
      }
      before = here;
    }
  }
  return paths;
}
