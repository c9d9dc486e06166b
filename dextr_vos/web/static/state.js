/**
 * What the page knows: the server's state, and what is selected on the page. Values by name, listeners by name.
 *
 * @typedef {[number, number]|[number, number, "positive"|"negative"|"box"]} Point  x, y in image pixels; an extreme
 *   point, or what else it says
 * @typedef {{points: Point[], painted: boolean, mask: boolean, seconds: number}} Entry  one object in one keyframe
 * @typedef {{locked: boolean, draft: boolean, corrected: boolean, objects: Record<string, Entry>}} Keyframe  draft: no
 *   keyframe, but points without a mask, or a propagated mask that was corrected
 * @typedef {{id: number, name: string, colour: string, visible: boolean}} AnnotatedObject
 * @typedef {{name: string, colour: string|null, key: string|null}} Label
 * @typedef {{kind: string, phase: string, done: number, total: number, loss: number|null,
 *   seconds_left: number|null}} Job
 * @typedef {{place: number, clips: number, next: string|null}} ProjectPlace
 * @typedef {{mode: "clip"|"folder", project: ProjectPlace|null, title: string, session: string, version: number, readonly: string|null, corrects: boolean, fps: number,
 *   frames: number, size: Point|null, names: string[], objects: AnnotatedObject[], labels: Label[],
 *   keyframes: Record<string, Keyframe>, history: {undo: string|null, redo: string|null},
 *   masks: {done: boolean, stale: boolean}, confidence: (number|null)[]|null, object_confidence: Record<string, (number|null)[]>|null, cuts: number[], flashes: number[], suggested: number|null, poor: number[], replaced: string|null,
 *   job: Job|null, last_job: {kind: string, outcome: string, message: string}|null,
 *   status: Record<string, "done"|"skipped">|null, exports: {name: string, bytes: number, current: boolean}[], timed: boolean, saved: string|null}} ServerState
 * @typedef {"click"|"negative"|"box"|"brush"|"erase"|"lasso"|"hand"} Tool
 */

import { shownKey } from "./shortcuts.js";

/** The page's own values at the start. */
export const START = {
  /** @type {ServerState|null} */ server: null,
  frame: 0,
  /** the frame whose image is on the stage; until the present one is loaded, an older one */ shown: -1,
  /** @type {number|null} the selected object; negative: added, but not known to the server yet */ object: null,
  /** @type {Tool} */ tool: "click",
  radius: 8,
  opacity: 0.45,
  overlay: true,
  outlines: true,
  loupe: true,
  /** @type {number|null} index among the points of the selected object */ point: null,
  /** @type {{x: number, y: number, over: boolean, panning: boolean, dragging: boolean, held: boolean, touch: boolean, alone: boolean, negative: boolean}|null} where the pointer is, in CSS pixels of the stage, and what it does there; held: in a gesture; touch: it is a finger; alone: its click would make a first mask; negative: or take from one */ pointer: null,
  playing: false,
  /** @type {[[number, number], [number, number]]|null} opposite corners of the box that is being dragged, in image pixels */ box: null,
  /** @type {[number, number][]} corners of the outline that is being drawn, in image pixels, fractions kept */ lasso: [],
  /** @type {import("./lasso.js").Closed|null} an outline that is closed, whose corners can still be moved */ closed: null,
  /** @type {number|null} which of its corners is selected */ corner: null,
  /** @type {{frame: number, object: number}|null} the next outline goes around a part of it that becomes a new object */ splitting: null,
  /** the mask that a click would make is shown when the pointer rests */ previews: true,
  /** @type {import("./cache.js").Mask|null} that mask, where one is shown; 255 on the object */ previewed: null,
  /** the page shows frames as a run makes them */ follow: false,
  /** the masks before the last run are shown beside the present ones */ comparing: false,
  /** the frame and its masks, or the masks before the last run and the present ones, are beside each other */ sided: false,
  /** @type {Map<string, Point[]>} points that the server has not confirmed yet, by `frame:object` */
  drafts: new Map(),
  /** @type {number} edits being sent or waiting */ pending: 0,
  online: true,
  /** @type {string|null} why the page cannot reconnect by itself */ lost: null,
  /** @type {Job|null} */ job: null,
  /** @type {Set<number>} frames made by the run in progress */ made: new Set(),
  filter: "all",
  // Times of events, for whatever must be redrawn after them.
  /** an image or mask was loaded */ arrived: 0,
  /** zoom, position or size of the image have changed */ viewed: 0,
  /** a stroke has painted into the labels */ strokes: 0,
  /** an edit was answered */ answered: 0,
  /** the key of a command was changed */ keys: 0,
};

/** @returns a store: `get`, `set` (listeners run once, after the current task), `on`. */
export function createStore() {
  const values = { ...START, drafts: new Map(), made: new Set() };
  /** @type {{names: string[], run: Function}[]} */
  const listeners = [];
  const changed = new Set();
  let due = false;

  function flush() {
    due = false;
    const names = new Set(changed);
    changed.clear();
    for (const { names: wanted, run } of listeners) {
      if (wanted.some((name) => names.has(name))) run(values);
    }
  }

  return {
    /** @returns {typeof START} the values; read only by agreement */
    get: () => values,
    /** @param {Partial<typeof START>} patch */
    set(patch) {
      for (const [name, value] of Object.entries(patch)) {
        if (values[name] === value && !(value instanceof Map || value instanceof Set)) continue;
        values[name] = value;
        changed.add(name);
      }
      if (!changed.size || due) return;
      due = true;
      queueMicrotask(flush);
    },
    /** Run `run` after any of `names` has changed. */
    on(names, run) {
      listeners.push({ names, run });
    },
  };
}

/** Points of an object in a frame as displayed: unconfirmed ones first. */
export function pointsOf(values, frame = values.frame, object = values.object) {
  const draft = values.drafts.get(`${frame}:${object}`);
  if (draft) return draft;
  return values.server?.keyframes[frame]?.objects[object]?.points ?? [];
}

/** @returns {Point[]} the extreme points and further ones on the outline */
export const extremesOf = (points) => points.filter((point) => point.length === 2);

/** @returns {Point[]} the corners of the box around an object: two, or none */
export const cornersOf = (points) => points.filter((point) => point[2] === "box");

/** Whether the pointer places clicks. */
export const clicking = (tool) => tool === "click" || tool === "negative" || tool === "box";

/** @returns {AnnotatedObject|undefined} the selected object */
export function chosen(values) {
  return values.server?.objects.find((object) => object.id === values.object);
}

/** @returns {number[]} keyframes in order */
export function keyframesOf(values) {
  const { server } = values;
  return Object.keys(server?.keyframes ?? {}).map(Number).filter((index) => keyframeAt(server, index)).sort((a, b) => a - b);
}

/** @returns {number[]} keyframes and corrected frames with a mask, in order: what the next run starts from */
export function annotatedFrames(values) {
  const { server } = values;
  const masked = (index) => Object.values(server.keyframes[index].objects).some((entry) => entry.mask);
  return [...keyframesOf(values).filter(masked), ...correctionsOf(values)].sort((a, b) => a - b);
}

/** @returns {number[]} frames with a corrected mask that are no keyframes yet, in order */
export function correctionsOf(values) {
  const { server } = values;
  return Object.keys(server?.keyframes ?? {}).map(Number).filter((index) => server.keyframes[index].corrected).sort((a, b) => a - b);
}

/** @returns {Keyframe|null} the keyframe there; a draft is none */
export function keyframeAt(server, index) {
  const found = server.keyframes[index];
  return found && !found.draft ? found : null;
}

/** Whether the finished run has made a mask of a frame; with --frames or --direction, some frames have none. */
export function propagatedAt(server, index) {
  const confidence = server.confidence?.[index];
  return confidence !== null && confidence !== undefined;
}

/** The confidence that is drawn; a flash has none, since nothing is looked for in it. */
export const confidenceAt = (server, index) => server.flashes?.includes(index) ? null : server.confidence?.[index];

/** The confidence of one object; see `confidenceAt`. */
export const objectConfidenceAt = (server, id, index) => server.flashes?.includes(index) ? null : server.object_confidence?.[id]?.[index];

/** @returns {string} the object that is least certain in a frame; "" where there is one object only, or none */
export function leastCertain(server, index) {
  if (server.objects.length < 2) return "";
  const known = server.objects.filter((one) => typeof server.object_confidence?.[one.id]?.[index] === "number");
  const value = (one) => server.object_confidence[one.id][index];
  return known.length ? known.reduce((least, one) => (value(one) < value(least) ? one : least)).name : "";
}

/** @returns {number} frames that have a mask, propagated or annotated */
export function countMasks(server) {
  let count = 0;
  for (let index = 0; index < server.frames; index++) {
    if (propagatedAt(server, index) || keyframeAt(server, index) || server.keyframes[index]?.corrected) count += 1;
  }
  return count;
}

/** @type {WeakMap<string[], boolean>} whether names are all numbers; a clip may have many */
const numbers = new WeakMap();

/** Whether frames are called by their names, which are numbers; others are called by their place, from 1. */
export function numbered({ mode, names }) {
  if (!numbers.has(names)) numbers.set(names, names.every((name) => /^\d+$/.test(name)));
  return mode === "clip" && numbers.get(names);
}

/** @returns {string} what a frame is called in the counter, on the film strip and when it is announced */
export const labelOf = (server, index) => (numbered(server) ? server.names[index] : String(index + 1));

/** @returns {string} which one of all frames it is, to be said after what it is called */
export const outOf = (server, index) => (numbered(server) ? `(${index + 1} of ${server.frames})` : `of ${server.frames}`);

/** @returns {number} index of the frame that somebody means by what they typed, or the nearest one; NaN: none */
export function indexOf(server, label) {
  const wanted = Number.parseInt(label, 10);
  if (!numbered(server) || Number.isNaN(wanted)) return wanted - 1;
  const away = server.names.map((name) => Math.abs(Number(name) - wanted));
  return away.indexOf(Math.min(...away));
}

/** @returns {string|null} why nobody can judge the present frame, or null: its image is not on the stage yet */
export function unseen({ server, frame, shown }) {
  return frame === shown ? null : `${server.mode === "folder" ? "Image" : "Frame"} ${labelOf(server, frame)} is still being loaded.`;
}

/** @returns {string|null} why the present frame cannot be edited, or null */
export function refusal(values) {
  if (!values.server) return "The page is still opening.";
  if (values.server.readonly) return values.server.readonly;
  if (unseen(values)) return unseen(values);
  if (values.comparing) return `Left: before the last run. Right: now. ${shownKey("compare")} ends the comparison.`;
  if (values.server.keyframes[values.frame]?.locked) {
    return `Frame ${values.server.names[values.frame]} is locked. ${shownKey("lock")} unlocks it.`;
  }
  return null;
}
