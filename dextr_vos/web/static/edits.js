/**
 * Edits on their way to the server: one at a time and in order. Edits made while the server cannot be reached wait and
 * are sent later; a move of a point replaces an earlier move that was not sent yet. Each edit carries the frame and the
 * object that it is meant for. An object that the server does not know yet has a temporary id, which is negative.
 *
 * @typedef {{path?: string, verb?: string, body: any, frame?: number, object?: number, live?: boolean, twice?: boolean,
 *   spoils?: boolean, adds?: number, sent?: boolean, before?: any, promise?: Promise<any>, done?: Function}} Edit
 *   path: with ":id" for the id of the object; verb: in place of the path, what is done to the object in the frame; live: continues the edit before; twice: sending
 *   it twice has the same effect as once; before: the state when it was sent; spoils: it may change the masks of other frames; adds: temporary id of an object
 */
import { announce, toast } from "./announce.js";
import { Offline, post, Refused } from "./api.js";
import { isNewer } from "./connection.js";

export function createEdits(store, cache, connection, activity) {
  /** @type {Edit[]} */
  const queue = [];
  let running = false;
  let stroking = () => false;
  connection.setBusy(() => queue.length > 0);

  /** @type {Map<number, number>} ids of objects by their temporary ones */
  const given = new Map();
  let added = 0;
  /** @type {Promise<any>} the last undo or redo */
  let lastMove = Promise.resolve();

  const real = (id) => given.get(id) ?? id;
  const keyOf = (frame, object) => `${frame}:${real(object)}`;
  const pathOf = (edit) => edit.path?.replace(":id", String(real(edit.object))) ?? `/api/frames/${edit.frame}/objects/${real(edit.object)}/${edit.verb}`;
  const sameObject = (edit, other) => keyOf(edit.frame, edit.object) === keyOf(other.frame, other.object);
  /** Edits after which the points of an object are known before the server says so. */
  const setsPoints = (edit) => edit.verb === "points" || edit.verb === "clear";

  /**
   * @param {Edit} edit
   * @returns {Promise<any>} the server's answer; null where there is none
   */
  function push(edit) {
    if (store.get().server?.readonly) {
      toast(store.get().server.readonly, "error");
      return Promise.resolve(null);
    }
    const last = queue[queue.length - 1];
    if (edit.live && last && !last.sent && edit.verb === last.verb && sameObject(edit, last)) {
      last.body = { points: edit.body.points, active_ms: last.body.active_ms + edit.body.active_ms };
      return last.promise;
    }
    store.set({ follow: false }); // whoever edits a frame stays there
    if (!edit.body.outline) store.set({ closed: null });
    edit.promise = new Promise((done) => { edit.done = done; });
    queue.push(edit);
    store.set({ pending: queue.length });
    run();
    return edit.promise;
  }

  async function run() {
    if (running) return;
    running = true;
    while (queue.length) {
      const edit = queue[0];
      if (real(edit.object) < 0) { // its object could not be added
        queue.shift();
        forgetDraft(edit);
        edit.done(null);
        store.set({ pending: queue.length });
        continue;
      }
      try {
        edit.sent = true;
        edit.before = store.get().server;
        const answer = await post(pathOf(edit), edit.body);
        queue.shift();
        await accept(edit, answer);
        edit.done(answer);
      } catch (error) {
        if (error instanceof Offline || error.status === 403) await waitFor(edit, error);
        else await drop(edit, error);
      }
      store.set({ pending: queue.length });
    }
    running = false;
    connection.settle();
  }

  async function waitFor(edit, error) {
    connection.lost(error);
    await connection.back();
    edit.sent = false;
    const { server } = store.get();
    if (edit.twice || !server || (edit.before && !isNewer(server, edit.before))) return;
    queue.shift();
    if (edit.adds) select(edit.adds, null);
    toast("The connection was lost while a change was being sent. Check whether it is there, and repeat it if it is not.", "error");
    edit.done(null);
  }

  async function drop(edit, error) {
    if (queue[0] === edit) queue.shift(); // unless its answer came and could not be processed
    forgetDraft(edit);
    if (edit.adds) select(edit.adds, null);
    if (edit.frame !== undefined) cache.spoil(edit.frame);
    toast(error instanceof Refused ? error.message : "The page could not process the server's answer.", "error");
    if (!(error instanceof Refused)) console.error(error);
    edit.done(null);
    await connection.fetchState().catch(connection.lost);
  }

  function forgetDraft(edit) {
    if (!setsPoints(edit) || queue.some((other) => setsPoints(other) && sameObject(edit, other))) return;
    const drafts = store.get().drafts;
    if (drafts.delete(keyOf(edit.frame, edit.object))) store.set({ drafts });
  }

  async function accept(edit, answer) {
    const frame = answer.index ?? edit.frame;
    if (edit.spoils) cache.spoilAll("mask" in answer ? frame : null);
    if ("mask" in answer && frame !== undefined && frame !== null && !covered(frame)) {
      await cache.putAnswer(frame, answer.mask);
    }
    if (edit.adds) given.set(edit.adds, answer.id);
    await connection.applyChanges(answer);
    if (edit.adds) select(edit.adds, answer.id);
    forgetDraft(edit);
    store.set({ answered: performance.now() });
  }

  /** Put the id of an added object in the place of its temporary one; null: it could not be added. */
  function select(temporary, id) {
    const { drafts, object, server } = store.get();
    for (const [key, points] of [...drafts]) {
      const [frame, of] = key.split(":");
      if (Number(of) !== temporary) continue;
      drafts.delete(key);
      if (id !== null) drafts.set(`${frame}:${id}`, points);
    }
    store.set({ drafts });
    if (object !== temporary) return;
    store.set({ object: id ?? server?.objects.at(-1)?.id ?? null });
    const entry = server?.objects.find((one) => one.id === id);
    if (entry) announce(`${entry.name} selected`);
  }

  /** A stroke that is being drawn, or waits, is not removed by an older answer. */
  const covered = (frame) => stroking(frame) || queue.some((edit) => edit.verb === "stroke" && edit.frame === frame);

  return {
    push,
    setStroking(ask) { stroking = ask; },
    waiting: () => queue.length,
    /** Resolves once every edit is answered, those made meanwhile, too. */
    async allSent() {
      while (queue.length) await queue[queue.length - 1].promise;
    },
    /** Resolves once nothing waits to be undone or redone: only then are the points of an object known. */
    historyDone: () => lastMove,
    /** @returns {boolean} whether an object is about to be cleared from a frame */
    clearing: (frame, object) => queue.some((edit) => edit.verb === "clear" && keyOf(edit.frame, edit.object) === keyOf(frame, object)),
    /** @returns {number} the id that the server has given to an object, or its temporary one */
    real,

    /** Replace the points of an object; `live`: it continues the move before, which need not be sent any more. */
    points(frame, object, points, live = false) {
      const drafts = store.get().drafts.set(keyOf(frame, object), points);
      store.set({ drafts });
      const body = { points, active_ms: activity.take() };
      return push({ verb: "points", body, frame, object, live, twice: true });
    },
    /** @param {{outline?: string, moved?: boolean}} which the outline that it is; moved: in place of what that has painted */
    stroke(frame, object, path, radius, erase, filled = false, which = {}) {
      const body = { path, radius, erase, filled, ...which, active_ms: activity.take() };
      return push({ verb: "stroke", body, frame, object, twice: true });
    },
    reshape: (frame, object, operation) => push({ verb: "reshape", body: { operation, active_ms: activity.take() }, frame, object }),
    copy: (frame, object, to) => push({ verb: "copy", body: { to, active_ms: activity.take() }, frame, object, twice: true }),
    /** @param {[number, number][]|null} outline around the part that becomes a new object; null: all parts but the largest */
    split: (frame, object, outline) => push({ verb: "split", body: { outline, active_ms: activity.take() }, frame, object }),
    swap: (frame, object, other) => push({ verb: "swap", body: { other, active_ms: activity.take() }, frame, object, spoils: true }),
    /** @param {boolean} onwards in all later annotated frames, too */
    merge: (frame, object, other, onwards) => push({ verb: "merge", body: { other, onwards, active_ms: activity.take() }, frame, object, spoils: onwards }),
    clear(frame, object) {
      store.set({ drafts: store.get().drafts.set(keyOf(frame, object), []) });
      const body = { active_ms: activity.take() };
      return push({ verb: "clear", body, frame, object, twice: true });
    },
    keyframe(frame, keyframe) {
      return push({ path: `/api/frames/${frame}/keyframe`, body: { keyframe }, frame, twice: true, spoils: true });
    },
    lock: (frame, locked) => push({ path: `/api/frames/${frame}/lock`, body: { locked }, frame, twice: true, spoils: true }),
    /**
     * Add an object and select it at once: edits that follow are meant for it.
     * @returns {number|null} its temporary id; null where nothing can be changed
     */
    addObject() {
      if (store.get().server?.readonly) {
        toast(store.get().server.readonly, "error");
        return null;
      }
      added -= 1;
      store.set({ object: added, point: null });
      push({ path: "/api/objects", body: {}, adds: added });
      return added;
    },
    changeObject: (object, body) => push({ path: "/api/objects/:id", object, body, twice: true }),
    deleteObject: (object) => push({ path: "/api/objects/:id/delete", object, body: {}, spoils: true }),
    orderObjects: (ids) => push({ path: "/api/objects/order", body: { ids }, twice: true, spoils: true }),
    status: (frame, status) => push({ path: `/api/frames/${frame}/status`, body: { status }, frame, twice: true }),
    reset: () => push({ path: "/api/reset", body: { confirm: true }, twice: true, spoils: true }),

    /** Undo or redo a change; the page goes to the frame that changed. */
    async history(verb) {
      const label = store.get().server?.history[verb];
      if (!label && !queue.length) return announce(verb === "undo" ? "Nothing to undo." : "Nothing to redo.");
      const move = push({ path: `/api/${verb}`, body: {}, spoils: true });
      lastMove = move;
      const answer = await move;
      if (!answer) return undefined;
      announce(`${verb === "undo" ? "Undone" : "Redone"}: ${label ?? "the last change"}`);
      return answer.index ?? undefined;
    },
  };
}
