/**
 * The connection to the server: its events, its state, and reconnecting. Events only say that there is a newer state,
 * which is then fetched whole, except the names of the frames: these are fetched once. The page's own edits are
 * answered with what they changed.
 */
import { announce, toast } from "./announce.js";
import { address, get, Offline, Refused } from "./api.js";
import { createEventStream } from "./events.js";

const RETRY_MS = [500, 1000, 2000, 3000];

export function createConnection(store, cache) {
  let tries = 0;
  let retry = 0;
  /** @type {(() => void)[]} */
  let waiting = [];
  let busy = () => false;
  /** @type {{session: string, version: number}|null} the state that an event has announced */
  let wanted = null;
  /** @type {string[]} of the frames; more may be added, but none ever changes its index while the server runs */
  let names = [];

  /** Show a state, unless there is a newer one; `own`: the page's own edit made it, so cached masks are known. */
  function show(server, own = false) {
    const before = store.get().server;
    if (before && !isNewer(server, before) && server.version !== before.version) return;
    if (before && !own && isNewer(server, before)) cache.spoilAll();
    const patch = { server, job: server.job };
    const { object, frame } = store.get();
    if (!(object < 0) && !server.objects.some((one) => one.id === object)) patch.object = server.objects[0]?.id ?? null;
    if (frame >= server.frames) patch.frame = Math.max(0, server.frames - 1);
    store.set(patch);
    if (before && !own) jobEnded(before, server);
  }

  function jobEnded(before, server) {
    if (!before.job || server.job || !server.last_job) return;
    const { kind, outcome, message } = server.last_job;
    const subject = kind === "export" ? "Export" : "Propagation";
    const sentence = outcome === "done" ? `${subject} ${message}` : message[0].toUpperCase() + message.slice(1);
    toast(sentence, outcome === "failed" ? "error" : "note");
  }

  async function fetchState() {
    wanted = null;
    const server = await get("/api/state");
    if (names.length !== server.frames) names = await get("/api/names");
    show({ ...server, names });
    return server;
  }

  /** Show what an edit of this page has changed, of the state before it; where that is unknown, fetch the new one. */
  async function applyChanges({ session, base, version, changes }) {
    const { server } = store.get();
    if (server && !isNewer({ session, version }, server)) return;
    if (server?.session === session && server.version === base) show(merged(server, changes), true);
    else await fetchState().catch(lost);
  }

  /** This page has started a job. */
  function showJob(job) {
    const { server } = store.get();
    if (server && job) server.job = job;
    store.set({ job });
  }

  function onState(data) {
    wanted = data;
    settle();
  }

  /** Fetch the state if an event announced a newer one and no edit of this page is being sent. */
  function settle() {
    if (busy()) return;
    const { server } = store.get();
    if (wanted && (!server || isNewer(wanted, server))) fetchState().catch(lost);
  }

  function onJob(job) {
    const before = store.get().job;
    if (job && !before && job.kind === "propagate") store.set({ made: new Set() });
    store.set({ job });
    if (before && !job) {
      if (before.kind === "propagate") cache.spoilAll();
      fetchState().catch(lost);
    } else if (job && store.get().server) store.get().server.job = job;
  }

  function onFrame({ index }) {
    cache.spoil(index);
    store.set({ made: new Set(store.get().made).add(index) });
  }

  const hear = { state: onState, job: onJob, frame: onFrame };
  const events = createEventStream(address("/api/events"), Object.keys(hear), (kind, data) => hear[kind](JSON.parse(data)),
    () => lost(new Offline("The event stream was interrupted.")), () => catchUp().catch(lost));

  /** Listen to the server; a tab that nobody sees does not. */
  function listen() {
    if (document.hidden) events.stop();
    else events.listen();
  }

  /** The server does not respond: say so and try again until it does. */
  function lost(error) {
    // A restarted server does not know this page's token. Once its new address is open in this browser, it does.
    const shutOut = error instanceof Refused && error.status === 403;
    if (store.get().online) {
      if (error instanceof Refused && !shutOut) return void toast(error.message, "error");
      if (!shutOut && !(error instanceof Offline)) throw error;
    } else if (!(error instanceof Refused || error instanceof Offline)) console.error(error);
    // Whatever goes wrong while the page is offline, it keeps trying.
    events.stop();
    if (store.get().online) announce("The server does not respond. Reconnecting.");
    store.set({ online: false, lost: shutOut ? error.message : null });
    if (!retry) retry = window.setTimeout(comeBack, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
    tries += 1;
  }

  async function comeBack() {
    retry = 0;
    names = []; // another server may number the frames differently
    try {
      await fetchState();
    } catch (error) {
      lost(error);
      return;
    }
    tries = 0;
    cache.spoilAll();
    store.set({ online: true, lost: null });
    announce("Reconnected.");
    listen();
    for (const go of waiting.splice(0)) go();
  }

  /** Show what happened while nobody saw the page. */
  async function catchUp() {
    const before = store.get().job;
    const server = await fetchState();
    if (before || server.job) cache.spoilAll(); // a run may have made masks of the same version
  }

  document.addEventListener("visibilitychange", () => {
    if (!store.get().online || !store.get().server) return;
    listen();
    if (!document.hidden) catchUp().catch(lost);
  });

  return {
    applyChanges,
    showJob,
    fetchState,
    settle,
    lost,
    listen,
    /** Resolves when the server responds again. */
    back: () => (store.get().online ? Promise.resolve() : new Promise((go) => { waiting.push(() => go(undefined)); })),
    /** Try at once instead of waiting. */
    tryNow() {
      window.clearTimeout(retry);
      retry = 0;
      comeBack();
    },
    /** @param {() => boolean} ask whether edits of this page are being sent */
    setBusy(ask) { busy = ask; },
  };
}

/** Whether a state is another session's, or of the same session and newer: a restarted server counts from 1 again. */
export function isNewer(state, known) {
  return state.session !== known.session || state.version > known.version;
}

/** A state with the changes of an edit: entries of keyframes and status replace single ones, null removes them. */
export function merged(state, changes) {
  const after = { ...state, ...changes };
  for (const key of ["keyframes", "status"]) {
    if (!state[key] || !changes[key]) continue;
    const entries = Object.entries({ ...state[key], ...changes[key] });
    after[key] = Object.fromEntries(entries.filter(([, entry]) => entry !== null));
  }
  return after;
}
