/** Painting into labels, as the server does it, so that what is drawn is seen before its answer. */
import { clamp } from "./dom.js";

/**
 * Put `value` on every pixel whose centre lies within `radius` of the segment; only over `over` when it is given.
 * Coordinates are those of pixel centres: (3, 4) is the middle of pixel 3, 4.
 */
export function paintSegment(labels, width, height, [ax, ay], [bx, by], radius, value, over = null) {
  const top = clamp(Math.floor(Math.min(ay, by) - radius), 0, height - 1);
  const bottom = clamp(Math.ceil(Math.max(ay, by) + radius), 0, height - 1);
  const left = clamp(Math.floor(Math.min(ax, bx) - radius), 0, width - 1);
  const right = clamp(Math.ceil(Math.max(ax, bx) + radius), 0, width - 1);
  const dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const along = length ? clamp(((x - ax) * dx + (y - ay) * dy) / length, 0, 1) : 0;
      const ex = x - ax - along * dx, ey = y - ay - along * dy;
      if (ex * ex + ey * ey > radius * radius) continue;
      const at = y * width + x;
      if (over === null || labels[at] === over) labels[at] = value;
    }
  }
}

/**
 * Put `value` on every pixel whose centre lies within an outline; only over `over` when it is given.
 * @param {[number, number][]} outline corners, the last is joined with the first; pixel i spans [i, i + 1). It may leave
 *   the image, and cross itself: whatever it goes around is within.
 */
export function paintArea(labels, width, height, outline, value, over = null) {
  const turns = new Int16Array(height * (width + 1)); // how often each row's outline goes down, less up
  outline.forEach(([x0, y0], place) => {
    const [x1, y1] = outline[(place + 1) % outline.length];
    const last = Math.min(height, Math.ceil(Math.max(y0, y1) - 0.5));
    for (let row = Math.max(0, Math.ceil(Math.min(y0, y1) - 0.5)); row < last; row++) {
      const x = x0 + (row + 0.5 - y0) * ((x1 - x0) / (y1 - y0)) - 0.5;
      turns[row * (width + 1) + clamp(Math.ceil(x), 0, width)] += y1 > y0 ? 1 : -1;
    }
  });
  for (let y = 0; y < height; y++) {
    for (let x = 0, inside = 0; x < width; x++) {
      inside += turns[y * (width + 1) + x];
      const at = y * width + x;
      if (inside && (over === null || labels[at] === over)) labels[at] = value;
    }
  }
}

/** The id that the server will give to a new object. */
export function freeId(server) {
  let id = 1;
  while (server.objects.some((one) => one.id === id)) id++;
  return id;
}

/** In requests, pixel i spans [i, i + 1). */
export const hundredths = (value) => Math.round(value * 100) / 100;
