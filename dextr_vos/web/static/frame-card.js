/** The card of the present frame: its status, and the actions on the frame as a whole. */
import { announce, toast } from "./announce.js";
import { frameState, inWords } from "./confidence.js";
import { ask } from "./dialogs.js";
import { el, setAttribute, setIcon, setText } from "./dom.js";
import { endFollowing } from "./follow.js";
import { shownKey } from "./shortcuts.js";
import { chosen, keyframeAt, leastCertain, propagatedAt, refusal, unseen } from "./state.js";

export function createFrameCard(store, cache, edits, navigation) {
  function draw() {
    const values = store.get();
    const { server, frame } = values;
    if (!server) return;
    const folder = server.mode === "folder";
    const keyframe = keyframeAt(server, frame);
    const corrected = Boolean(server.keyframes[frame]?.corrected);
    setText(el("frame-title"), folder ? "Image" : `Frame ${server.names[frame] ?? frame}`);
    drawTag(values, keyframe, folder);
    el("frame-buttons").hidden = false;
    el("image-buttons").hidden = !folder;
    const readonly = Boolean(server.readonly);
    const key = /** @type {HTMLButtonElement} */ (el("keyframe"));
    setText(/** @type {HTMLElement} */ (key.querySelector("span")), keyframe ? "Remove keyframe" : "Make keyframe");
    setIcon(key, keyframe ? "diamondFill" : "diamond");
    setAttribute(key, "data-tip", keyframe ? "Remove the annotation of this frame" : `Accept ${corrected ? "the corrected" : "this"} mask; the network learns from it`);
    key.classList.toggle("primary", corrected);
    el("discard").hidden = !corrected || readonly;
    key.disabled = readonly || Boolean(keyframe?.locked) || (!keyframe && !propagatedAt(server, frame) && !cache.mask(frame)?.labels);
    const lock = /** @type {HTMLButtonElement} */ (el("lock"));
    setText(/** @type {HTMLElement} */ (lock.querySelector("span")), keyframe?.locked ? "Unlock" : "Lock");
    setIcon(lock, keyframe?.locked ? "lock" : "unlock");
    setAttribute(lock, "data-tip", keyframe?.locked ? "Allow changes again" : "Protect this frame from changes");
    lock.disabled = readonly || (!keyframe && key.disabled);
    key.hidden = lock.hidden = folder;
    const clear = /** @type {HTMLButtonElement} */ (el("clear"));
    /** @type {HTMLButtonElement} */ (el("mask-open")).disabled = readonly || Boolean(keyframe?.locked) || !chosen(values);
    clear.disabled = readonly || Boolean(keyframe?.locked) || !chosen(values);
    setText(/** @type {HTMLElement} */ (clear.querySelector("span")), `Clear ${chosen(values)?.name ?? "object"}`);
    if (folder) drawStatus(server, frame);
  }

  function drawTag(values, keyframe, folder) {
    const tag = el("frame-tag");
    const { server, frame } = values;
    let kind = "none", text = server.confidence ? "no mask" : "no mask yet";
    if (folder) [kind, text] = [{ done: "keyframe", skipped: "none" }[server.status?.[frame]] ?? "none", server.status?.[frame] ?? "open"];
    else if (server.keyframes[frame]?.corrected) [kind, text] = ["draft", "draft"];
    else if (keyframe) [kind, text] = ["keyframe", keyframe.locked ? "locked keyframe" : "keyframe"];
    else if (server.flashes?.includes(frame)) [kind, text] = ["none", "flash"];
    else if (propagatedAt(server, frame)) {
      [kind, text] = [frameState(server.confidence[frame]), inWords(server.confidence[frame], leastCertain(server, frame))];
    } else if (values.made.has(frame)) [kind, text] = ["confident", "propagated"];
    setAttribute(tag, "data-kind", kind);
    setText(tag, text);
    setAttribute(tag, "data-tip", text.length > 24 ? text : null);
  }

  function drawStatus(server, frame) {
    const status = server.status?.[frame] ?? "open";
    el("image-done").hidden = el("image-skip").hidden = status !== "open";
    el("image-reopen").hidden = status === "open";
    for (const name of ["done", "skip", "reopen"]) {
      /** @type {HTMLButtonElement} */ (el(`image-${name}`)).disabled = Boolean(server.readonly);
    }
  }

  const may = () => {
    const values = store.get();
    const reason = values.server && (values.server.readonly ?? unseen(values));
    if (reason) toast(reason, "error");
    return values.server && !reason && !endFollowing(store);
  };

  const actions = {
    async keyframe() {
      const { server, frame } = store.get();
      if (!may() || server.mode === "folder") return;
      const was = Boolean(keyframeAt(server, frame));
      const answer = await edits.keyframe(frame, !was);
      if (answer) announce(was ? "No longer a keyframe" : "Made a keyframe");
    },
    async discard() {
      const { server, frame } = store.get();
      if (!may() || !server.keyframes[frame]?.corrected) return;
      const answer = await edits.keyframe(frame, false);
      if (answer) announce("Corrections discarded; undo brings them back");
    },
    async lock() {
      const { server, frame } = store.get();
      if (!may() || server.mode === "folder") return;
      const locked = Boolean(server.keyframes[frame]?.locked);
      const answer = await edits.lock(frame, !locked);
      if (answer) announce(locked ? "Unlocked" : "Locked");
    },
    clear() {
      const values = store.get();
      const reason = refusal(values);
      if (reason) return toast(reason, "error");
      if (values.object === null || endFollowing(store)) return undefined;
      store.set({ point: null });
      announce(`${chosen(values)?.name} cleared from this frame`);
      return edits.clear(values.frame, values.object);
    },
    /** Folder mode: set the status of the image; done and skipped go on to the next open one. */
    async status(status) {
      const { server, frame } = store.get();
      if (!may() || server.mode !== "folder") return;
      const now = server.status?.[frame] ?? "open";
      const masked = cache.mask(frame)?.labels?.some((label) => label > 0) || edits.waiting();
      if (status === "done" && now === "open" && !masked) {
        const yes = await ask("Write an empty mask?", `Nothing is annotated in this image. ${shownKey("reopen")} reopens it.`, "Write it");
        if (!yes || store.get().frame !== frame) return undefined;
      }
      // An edit that is being sent may reopen it; the server decides.
      if (status === "done" && now !== "open" && !edits.waiting()) return announce(`It is already ${now}. ${shownKey("reopen")} reopens it.`);
      const answer = await edits.status(frame, status);
      if (!answer) return;
      announce(status === "done" ? "Mask written" : status === "skipped" ? "Skipped" : "Reopened");
      if (status !== "open" && store.get().frame === frame) navigation.nextOpen();
    },
  };

  el("keyframe").addEventListener("click", actions.keyframe);
  el("discard").addEventListener("click", actions.discard);
  el("lock").addEventListener("click", actions.lock);
  el("clear").addEventListener("click", actions.clear);
  el("image-done").addEventListener("click", () => actions.status("done"));
  el("image-skip").addEventListener("click", () => actions.status("skipped"));
  el("image-reopen").addEventListener("click", () => actions.status("open"));
  el("image-next").addEventListener("click", () => navigation.nextOpen());
  store.on(["server", "frame", "object", "made", "arrived"], draw);
  return actions;
}
