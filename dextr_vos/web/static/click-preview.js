/**
 * The mask that a click would make, shown when the pointer rests. It is dropped when the pointer moves or anything else
 * happens, and none is asked for while an edit is on its way. Where previews are slow, they pause for a while.
 */
import { announce } from "./announce.js";
import { getImage } from "./api.js";
import { dress } from "./cache.js";
import { el, setAttribute } from "./dom.js";
import { decodeLabels } from "./png.js";
import { chosen, refusal } from "./state.js";

/** For how long the pointer must rest. */
const REST_MS = 150;
/** A preview that takes longer is slow; after so many in a row there are none for a while, unless somebody wants them. */
const SLOW_MS = 300, SLOW_ONES = 3, PAUSE_MS = 60_000;
const STORED = "dextr-vos.click-preview";
const TIP = "Preview: the mask that a click would make, when the pointer rests";

export function createClickPreview(store, view, points, edits) {
  const button = el("click-preview");
  let timer = 0, slow = 0;
  /** @type {{began: number, abort: AbortController}|null} the request that is on its way */
  let asked = null;

  function drop() {
    window.clearTimeout(timer);
    if (asked) {
      if (performance.now() - asked.began > SLOW_MS) countSlow();
      asked.abort.abort();
    }
    asked = null;
    if (store.get().previewed) store.set({ previewed: null });
  }

  function rest() {
    drop();
    if (store.get().previews && store.get().pointer) timer = window.setTimeout(ask, REST_MS);
  }

  function countSlow() {
    slow += 1;
    if (slow < SLOW_ONES || stored() !== null) return;
    store.set({ previews: false });
    button.dataset.tip = `${TIP}. Off for a while, since it takes longer than ${SLOW_MS / 1000} s here`;
    slow = SLOW_ONES - 1;  // a busy machine may be done by then, and of a slow one the next preview tells
    window.setTimeout(resume, PAUSE_MS);
  }

  function resume() {
    if (stored() !== null) return;
    button.dataset.tip = TIP;
    store.set({ previews: true });
  }

  /** What a click at the pointer would be, where it would make a mask, and nothing else is going on. */
  function clickHere() {
    const values = store.get();
    const { pointer, playing } = values;
    if (!pointer || pointer.panning || pointer.held || pointer.touch || playing || refusal(values) || edits.waiting()) return null;
    const pixel = view.pixelAt(pointer.x, pointer.y);
    const kind = pixel && points.at(pointer.x, pointer.y) === null ? points.corrects(pointer.alone, pointer.negative) : null;
    return kind && { pixel, kind };
  }

  async function ask() {
    const click = clickHere();
    if (!click) return;
    const { frame, object } = store.get();
    const query = new URLSearchParams({ x: click.pixel[0], y: click.pixel[1], kind: click.kind, ...(object > 0 ? { object } : {}) });
    const mine = { began: performance.now(), abort: new AbortController() };
    asked = mine;
    try {
      const answer = await getImage(`/api/frames/${frame}/preview?${query}`, "no-store", mine.abort.signal);
      const mask = answer && await decodeLabels(new Uint8Array(await answer.blob.arrayBuffer()));
      if (asked !== mine) return;
      if (performance.now() - mine.began > SLOW_MS) countSlow();
      else slow = 0;
      store.set({ previewed: mask });
    } catch {
      // a preview is no loss: what else is wrong is told by what the person does
    }
    if (asked === mine) asked = null;
  }

  function toggle() {
    const previews = !store.get().previews;
    button.dataset.tip = TIP;
    try {
      localStorage.setItem(STORED, String(previews));
    } catch {
      // the choice lasts until the page is closed
    }
    store.set({ previews });
    announce(previews ? "Previews on" : "Previews off");
  }

  /** @returns {string|null} what somebody has chosen; null: nothing yet */
  function stored() {
    try {
      return localStorage.getItem(STORED);
    } catch {
      return null;
    }
  }

  store.set({ previews: stored() !== "false" });
  button.dataset.tip = TIP;
  button.addEventListener("click", toggle);
  store.on(["server", "frame", "object", "tool", "drafts", "strokes", "playing", "comparing", "pending"], drop);
  store.on(["pointer", "previews"], rest);
  store.on(["previews", "server"], () => {
    setAttribute(button, "aria-pressed", String(store.get().previews));
    button.hidden = store.get().server?.corrects === false;
  });
  return { toggle };
}

/** Draw the previewed mask, in CSS pixels of the stage. */
export function drawPreview(context, values, view) {
  const { fill, paths } = dress(values.previewed, new Map([[255, chosen(values)?.colour ?? "#ffffff"]]));
  context.save();
  context.translate(view.x, view.y);
  context.scale(view.scale, view.scale);
  if (fill) {
    context.globalAlpha = 0.3;
    context.imageSmoothingEnabled = view.scale < 1;
    context.drawImage(fill.canvas, fill.left, fill.top);
    context.globalAlpha = 1;
  }
  context.lineCap = "square";
  for (const [width, colour] of [[4, "rgb(0 0 0 / 0.5)"], [2, "#fff"]]) {
    context.lineWidth = width / view.scale;
    context.strokeStyle = colour;
    for (const path of paths.values()) context.stroke(path);
  }
  context.restore();
}
