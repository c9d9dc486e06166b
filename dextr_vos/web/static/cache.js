/**
 * Images and masks that were fetched, least recently used first, bounded by pixels. A mask that may have changed is
 * stale: it is shown until the new one has arrived, so nothing flickers.
 *
 * @typedef {{width: number, height: number, labels: Uint8Array|null, source: string|null,
 *   held?: Map<number, boolean>, fill?: ReturnType<typeof tint>, paths?: Map<number, Path2D>, tinted?: string}} Mask
 */
import { bytesOf, getImage, Offline } from "./api.js";
import { boxOf, outlines, tint } from "./outline.js";
import { decodeLabels } from "./png.js";

const FRAME_PIXELS = 80e6;
const MASK_PIXELS = 50e6;
const EMPTY = { width: 0, height: 0, labels: null, source: null };

/** A bounded map: the least recently used items are removed first. */
class Shelf {
  /** @param {number} limit pixels of all items together */
  constructor(limit) {
    this.limit = limit;
    this.items = new Map();
    this.pixels = 0;
  }

  get(key) {
    const item = this.items.get(key);
    if (item) {
      this.items.delete(key);
      this.items.set(key, item);
    }
    return item;
  }

  put(key, item) {
    this.remove(key);
    this.items.set(key, item);
    this.pixels += item.width * item.height;
    for (const old of this.items.keys()) {
      if (this.pixels <= this.limit || this.items.size <= 3) break;
      this.remove(old);
    }
  }

  remove(key) {
    const item = this.items.get(key);
    if (!item) return;
    this.items.delete(key);
    this.pixels -= item.width * item.height;
  }
}

/** @param {() => void} arrived called when something has arrived, and when what is shown may have to be fetched again */
export function createCache(arrived) {
  const frames = new Shelf(FRAME_PIXELS);
  const masks = new Shelf(MASK_PIXELS);
  const stale = new Set();
  const coming = new Map();
  /** @type {Map<number, number>} bumped by every change, so that an older answer never covers a newer mask */
  const turns = new Map();
  let turn = 0;

  function once(key, load) {
    let job = coming.get(key);
    if (!job) {
      job = load().then(() => true, (error) => { if (!(error instanceof Offline)) console.warn(key, error); return false; })
        .finally(() => coming.get(key) === job && coming.delete(key));
      coming.set(key, job);
      job.then((good) => good && arrived());
    }
    return job;
  }

  async function loadFrame(index) {
    const answer = await getImage(`/api/frames/${index}`);
    if (answer) frames.put(index, await createImageBitmap(answer.blob));
  }

  async function loadMask(index) {
    const asked = (turns.get(index) ?? 0) + turn;
    const answer = await getImage(`/api/masks/${index}`, "no-store");
    const mask = answer ? await decodeLabels(new Uint8Array(await answer.blob.arrayBuffer())) : EMPTY;
    if ((turns.get(index) ?? 0) + turn !== asked) return;
    stale.delete(index);
    masks.put(index, { ...mask, source: answer?.source ?? null });
  }

  const cache = {
    /** @returns {ImageBitmap|undefined} */
    frame: (index) => frames.get(index),
    /** @returns {Mask|undefined} possibly a stale one */
    mask: (index) => masks.get(index),
    /** @returns {boolean} whether frame and mask are both loaded and up to date */
    ready: (index) => frames.items.has(index) && masks.items.has(index) && !stale.has(index),
    wantFrame: (index) => (frames.items.has(index) ? Promise.resolve(true) : once(`f${index}`, () => loadFrame(index))),
    wantMask: (index) => (masks.items.has(index) && !stale.has(index)
      ? Promise.resolve(true) : once(`m${index}`, () => loadMask(index))),
    busy: () => coming.size,
    /** @returns {number} grows when the mask of a frame may have changed */
    turn: (index) => (turns.get(index) ?? 0) + turn,
    /** @returns {boolean} whether an object has a pixel in a mask that is loaded */
    holds(index, object) {
      const mask = masks.items.get(index);
      if (!mask?.labels) return false;
      mask.held ??= new Map();
      if (!mask.held.has(object)) mask.held.set(object, mask.labels.includes(object));
      return mask.held.get(object);
    },

    /** Put in labels that are known to be right, as those of a stroke not yet answered. */
    putLabels(index, width, height, labels, source) {
      turns.set(index, (turns.get(index) ?? 0) + 1);
      stale.delete(index);
      masks.put(index, { width, height, labels, source });
    },

    /** Put in the mask an edit answered with; null: there is none. */
    async putAnswer(index, base64) {
      turns.set(index, (turns.get(index) ?? 0) + 1);
      const asked = turns.get(index);
      const mask = base64 ? await decodeLabels(bytesOf(base64)) : EMPTY;
      if (turns.get(index) !== asked) return;
      stale.delete(index);
      masks.put(index, { ...mask, source: "keyframe" });
    },

    /** The mask of this frame may have changed. */
    spoil(index) {
      turns.set(index, (turns.get(index) ?? 0) + 1);
      coming.delete(`m${index}`);
      stale.add(index);
      queueMicrotask(arrived);
    },

    /** All masks may have changed, except that of the frame `but`. */
    spoilAll(but = null) {
      turn += 1;
      for (const index of masks.items.keys()) if (index !== but) stale.add(index);
      for (const key of [...coming.keys()]) if (key[0] === "m") coming.delete(key);
      queueMicrotask(arrived); // the state may be known already, so that nothing else asks for them
    },
  };
  return cache;
}

/** Fill and outlines of a mask in these colours, made when first needed. */
export function dress(mask, colours) {
  if (!mask.labels) return mask;
  const key = JSON.stringify([...colours]);
  if (mask.paths === undefined) {
    const box = boxOf(mask.labels, mask.width, mask.height);
    mask.paths = outlines(mask.labels, mask.width, mask.height, box);
    mask.fill = tint(mask.labels, mask.width, mask.height, colours, box);
  } else if (mask.tinted !== key) mask.fill = tint(mask.labels, mask.width, mask.height, colours);
  mask.tinted = key;
  return mask;
}
