/** Brush and eraser: the stroke is painted into the page's labels at once and sent when it ends. */
import { toast } from "./announce.js";
import { clamp } from "./dom.js";
import { freeId, hundredths, paintSegment } from "./paint.js";
import { refusal } from "./state.js";

export const SMALLEST = 1;
export const LARGEST = 80;

export function createBrush(store, view, cache, edits, points) {
  /** @type {{frame: number, object: number, label: number, erase: boolean, radius: number, path: [number, number][], labels: Uint8Array}|null} */
  let stroke = null;
  edits.setStroking((frame) => stroke?.frame === frame);

  /** Stage to coordinates where whole numbers are pixel centres. */
  const place = (cx, cy) => {
    const [x, y] = view.toImage(cx, cy);
    return /** @type {[number, number]} */ ([x - 0.5, y - 0.5]);
  };

  function paint(from, to) {
    const { labels, radius, erase, label } = stroke;
    const [width, height] = [view.imageWidth, view.imageHeight];
    paintSegment(labels, width, height, from, to, radius, erase ? 0 : label, erase ? label : null);
    cache.putLabels(stroke.frame, width, height, labels, "keyframe");
    store.set({ strokes: performance.now() });
  }

  return {
    active: () => stroke !== null,

    begin(cx, cy) {
      const { frame, tool, radius } = store.get();
      const reason = refusal(store.get());
      if (reason) return toast(reason, "error");
      if (store.get().object === null && tool === "erase") return undefined;
      const object = points.object();
      if (object === null) return undefined;
      const label = object > 0 ? object : freeId(store.get().server);
      const before = cache.mask(frame);
      const labels = before?.labels ? before.labels.slice() : new Uint8Array(view.imageWidth * view.imageHeight);
      const start = place(cx, cy);
      stroke = { frame, object, label, erase: tool === "erase", radius, path: [start], labels };
      paint(start, start);
      return undefined;
    },

    extend(cx, cy) {
      if (!stroke) return;
      const next = place(cx, cy);
      const last = stroke.path[stroke.path.length - 1];
      if (Math.hypot(next[0] - last[0], next[1] - last[1]) < Math.max(0.5, stroke.radius / 8)) return;
      stroke.path.push(next);
      paint(last, next);
    },

    end() {
      if (!stroke) return undefined;
      const { frame, object, path, radius, erase } = stroke;
      stroke = null;
      const rounded = path.map(([x, y]) => [hundredths(x + 0.5), hundredths(y + 0.5)]);
      return edits.stroke(frame, object, rounded, radius, erase);
    },

    /** Discard the stroke. */
    drop() {
      if (!stroke) return;
      cache.spoil(stroke.frame);
      stroke = null;
      store.set({ strokes: performance.now() });
    },

    /** Larger or smaller by a tenth, at least half a pixel. */
    resize(sign) {
      const { radius } = store.get();
      const step = Math.max(0.5, Math.round(radius * 0.15 * 2) / 2);
      store.set({ radius: clamp(radius + sign * step, SMALLEST, LARGEST) });
    },
  };
}
