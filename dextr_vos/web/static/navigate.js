/** Going from frame to frame: by steps, by keyframes, to the midpoint, to the suggested one. */
import { announce } from "./announce.js";
import { frameState, inWords } from "./confidence.js";
import { clamp } from "./dom.js";
import { confidenceAt, correctionsOf, keyframeAt, keyframesOf, labelOf, leastCertain, outOf } from "./state.js";

export function createNavigation(store, cache, activity) {
  let direction = 1;

  /** @param {number} index held to the clip */
  function go(index, { quiet = false, following = false } = {}) {
    const { server, frame } = store.get();
    if (!server || !server.frames) return;
    const next = clamp(Math.round(index), 0, server.frames - 1);
    if (next === frame) return;
    direction = next > frame ? 1 : -1;
    activity.restart();
    store.set({ frame: next, point: null, follow: following && store.get().follow });
    fetchAround(next);
    if (!quiet) announce(describe(next));
  }

  function describe(index) {
    const { server } = store.get();
    const keyframe = keyframeAt(server, index);
    const confidence = server.confidence?.[index];
    const what = server.keyframes[index]?.corrected ? ", draft, not yet a keyframe"
      : keyframe ? (keyframe.locked ? ", locked keyframe" : ", keyframe")
      : server.flashes?.includes(index) ? ", flash"
      : confidence !== null && confidence !== undefined ? `, ${inWords(confidence, leastCertain(server, index))}` : "";
    const shot = server.cuts?.includes(index) ? ", the first of a new shot" : "";
    return `Frame ${labelOf(server, index)} ${outOf(server, index)}${what}${shot}`;
  }

  /** What is likely to be looked at next, nearest first; the frame itself comes before all. */
  function fetchAround(index) {
    const { server } = store.get();
    Promise.all([cache.wantFrame(index), cache.wantMask(index)]).then(() => {
      if (store.get().frame !== index || store.get().playing) return;
      for (const step of [1, 2, -1, 3, 10, -2]) {
        const next = index + step * direction;
        if (next < 0 || next >= server.frames) continue;
        cache.wantFrame(next);
        cache.wantMask(next);
      }
    });
  }

  /** To the next keyframe, or the next correction, which is to become one. */
  function toKey(sign) {
    const { frame } = store.get();
    const keys = [...keyframesOf(store.get()), ...correctionsOf(store.get())].sort((a, b) => a - b);
    const next = sign > 0 ? keys.find((key) => key > frame) : keys.findLast((key) => key < frame);
    if (next === undefined) announce(sign > 0 ? "No keyframe after this one." : "No keyframe before this one.");
    else go(next);
  }

  /** To the next frame whose mask is uncertain or lost, and that nobody has annotated. */
  function toDoubt(sign) {
    const { server, frame } = store.get();
    for (let index = frame + sign; index >= 0 && index < server.frames; index += sign) {
      const value = confidenceAt(server, index);
      if (value !== null && value !== undefined && frameState(value) !== "confident" && !server.keyframes[index]) return go(index);
    }
    return announce(sign > 0 ? "No uncertain frame after this one." : "No uncertain frame before this one.");
  }

  /** Halfway between the two keyframes around; the ends of the clip stand in for missing ones. */
  function midpoint() {
    const { frame, server } = store.get();
    const keys = keyframesOf(store.get());
    const before = keys.findLast((key) => key <= frame) ?? 0;
    const after = keys.find((key) => key > frame) ?? server.frames - 1;
    go(Math.floor((before + after) / 2));
  }

  function suggested() {
    const { server } = store.get();
    if (server.suggested === null || server.suggested === undefined) announce("No frame is suggested yet. Propagate first.");
    else go(server.suggested);
  }

  return {
    go, describe, fetchAround, midpoint, suggested, toDoubt,
    step: (by) => go(store.get().frame + by),
    first: () => go(0),
    last: () => go((store.get().server?.frames ?? 1) - 1),
    nextKey: () => toKey(1),
    previousKey: () => toKey(-1),
    /** The next image with status "open", after this one, else from the start (folder mode). */
    nextOpen() {
      const { server, frame } = store.get();
      for (let step = 1; step < server.frames; step++) {
        const index = (frame + step) % server.frames;
        if (!server.status?.[index]) return go(index);
      }
      return announce("Every image is done or skipped.");
    },
  };
}
