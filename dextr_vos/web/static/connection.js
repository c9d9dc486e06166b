/**
 * The line to the server: its events, and coming back after it was away. The state of the server is always fetched
 * whole; events only say that there is a newer one.
 */
import { announce, toast } from "./announce.js";
import { get, Offline, Refused } from "./api.js";

const RETRY_MS = [500, 1000, 2000, 3000];

export function createConnection(store, cache) {
  /** @type {EventSource|null} */
  let events = null;
  let tries = 0;
  let retry = 0;
  let heard = 0;
  /** @type {(() => void)[]} */
  let waiting = [];
  let busy = () => false;
  let wanted = 0;

  /** Take over a state, unless a newer one is here; `own`: the page's own edit made it, so cached masks are known. */
  function take(server, own = false) {
    const before = store.get().server;
    if (before && server.version < before.version) return;
    if (before && !own && server.version !== before.version) cache.spoilAll();
    const patch = { server, job: server.job };
    const { object, frame } = store.get();
    if (!server.objects.some((one) => one.id === object)) patch.object = server.objects[0]?.id ?? null;
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
    wanted = 0;
    const server = await get("/api/state");
    take(server);
    return server;
  }

  function onState(event) {
    const { version } = JSON.parse(event.data);
    heard = performance.now();
    const known = store.get().server?.version ?? -1;
    if (version > known) wanted = version;
    settle();
  }

  /** Fetch the state if an event told of a newer one and no own edit is about to bring it. */
  function settle() {
    if (busy()) return;
    const known = store.get().server?.version ?? -1;
    if (wanted > known) fetchState().catch(lost);
  }

  function onJob(event) {
    heard = performance.now();
    const job = JSON.parse(event.data);
    const before = store.get().job;
    if (job && !before && job.kind === "propagate") store.set({ made: new Set() });
    store.set({ job });
    if (before && !job) {
      if (before.kind === "propagate") cache.spoilAll();
      fetchState().catch(lost);
    } else if (job && store.get().server && !store.get().server.job) store.get().server.job = job;
  }

  function onFrame(event) {
    heard = performance.now();
    const { index } = JSON.parse(event.data);
    cache.spoil(index);
    store.set({ made: new Set(store.get().made).add(index) });
  }

  function listen() {
    events?.close();
    events = new EventSource("/api/events");
    events.addEventListener("open", () => { heard = performance.now(); });
    events.addEventListener("state", onState);
    events.addEventListener("job", onJob);
    events.addEventListener("frame", onFrame);
    events.addEventListener("error", () => lost(new Offline("The events broke off.")));
  }

  /** The server does not answer: say so and try again until it does. */
  function lost(error) {
    // A server that was started anew knows this page no more. Once its new address is open in this browser, it does.
    const shutOut = error instanceof Refused && error.status === 403;
    if (store.get().online) {
      if (error instanceof Refused && !shutOut) return void toast(error.message, "error");
      if (!shutOut && !(error instanceof Offline)) throw error;
    } else if (!(error instanceof Refused || error instanceof Offline)) console.error(error);
    // Whatever goes wrong while the page is offline, it goes on trying.
    events?.close();
    events = null;
    if (store.get().online) announce("The server does not answer. Trying again.");
    store.set({ online: false, lost: shutOut ? error.message : null });
    if (!retry) retry = window.setTimeout(comeBack, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
    tries += 1;
  }

  async function comeBack() {
    retry = 0;
    try {
      await fetchState();
    } catch (error) {
      lost(error);
      return;
    }
    tries = 0;
    cache.spoilAll();
    store.set({ online: true, lost: null });
    announce("Connected again.");
    listen();
    for (const go of waiting.splice(0)) go();
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && events && performance.now() - heard > 30000) settle();
  });

  return {
    take,
    fetchState,
    settle,
    lost,
    listen,
    /** Resolves when the server is there again. */
    back: () => (store.get().online ? Promise.resolve() : new Promise((go) => { waiting.push(() => go(undefined)); })),
    /** Try at once instead of waiting. */
    tryNow() {
      window.clearTimeout(retry);
      retry = 0;
      comeBack();
    },
    /** @param {() => boolean} ask whether own edits are on the way */
    setBusy(ask) { busy = ask; },
  };
}
