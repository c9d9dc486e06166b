const AT_ONCE_MS = 1000; // a turn that comes later was another tab's before

/**
 * The server's events. Of all visible tabs with the same address one listens and tells the others: a browser has six
 * connections to a host for all of them, and a stream of events takes one for good. Where the browser cannot share, as
 * without HTTPS on another machine, each tab listens for itself.
 *
 * @param {string} address of the stream
 * @param {string[]} kinds of events
 * @param {(kind: string, data: string) => void} onEvent
 * @param {() => void} onError this tab's stream was interrupted
 * @param {() => void} onTakeOver this tab listens in place of another one, and may have missed events
 */
export function createEventStream(address, kinds, onEvent, onError, onTakeOver) {
  const name = `dextr-vos ${address}`;
  const channel = navigator.locks && window.BroadcastChannel ? new BroadcastChannel(name) : null;
  /** @type {EventSource|null} of this tab, if it is the one that listens */
  let source = null;
  /** @type {AbortController|null} */
  let asked = null;
  /** @type {(() => void)|null} lets another tab listen */
  let release = null;

  function tell(kind, data) {
    channel?.postMessage([kind, data]);
    onEvent(kind, data);
  }

  function connect() {
    source = new EventSource(address);
    for (const kind of kinds) source.addEventListener(kind, (event) => tell(kind, event.data));
    source.addEventListener("error", onError);
  }

  function stop() {
    asked?.abort();
    source?.close();
    release?.();
    source = asked = release = null;
  }

  function listen() {
    stop();
    if (!channel) return connect();
    const mine = new AbortController();
    const began = performance.now();
    asked = mine;
    return void navigator.locks.request(name, { signal: mine.signal }, () => {
      if (asked !== mine) return undefined;
      connect();
      if (performance.now() - began > AT_ONCE_MS) onTakeOver();
      return new Promise((done) => { release = () => done(undefined); });
    }).catch(() => { if (asked === mine && !source) connect(); }); // unless it was stopped before its turn came
  }

  channel?.addEventListener("message", (event) => {
    if (!source && !document.hidden) onEvent(event.data[0], event.data[1]);
  });
  return { listen, stop };
}
