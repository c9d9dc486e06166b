/** Playing with the overlay at the clip's rate; frames that are not loaded in time are skipped, so it never lags. */
import { announce } from "./announce.js";
import { el, setAttribute, setIcon } from "./dom.js";

const AHEAD = 16;
const AT_ONCE = 4;

export function createPlayer(store, cache, navigation) {
  let began = 0, first = 0, loading = 0;

  function play() {
    const { server, frame } = store.get();
    if (!server || server.frames < 2 || server.mode === "folder") return;
    if (frame >= server.frames - 1) navigation.go(0, { quiet: true });
    first = store.get().frame;
    began = 0;
    store.set({ playing: true, point: null });
    announce("Playing");
    requestAnimationFrame(tick);
  }

  function pause() {
    if (!store.get().playing) return;
    store.set({ playing: false });
    announce(`Stopped. ${navigation.describe(store.get().frame)}`);
    navigation.fetchAround(store.get().frame);
  }

  function tick(now) {
    const { playing, server, frame } = store.get();
    if (!playing) return;
    fetchAhead(frame, server.frames);
    if (!began) {
      // Start when a few frames are loaded, so that the first second does not stutter.
      const enough = Math.min(server.frames - 1, first + 3);
      if (cache.ready(enough) && cache.ready(first)) began = now;
      requestAnimationFrame(tick);
      return;
    }
    const due = first + Math.floor(((now - began) * server.fps) / 1000);
    let next = frame;
    for (let index = Math.min(due, server.frames - 1); index > frame; index--) {
      if (cache.ready(index)) {
        next = index;
        break;
      }
    }
    if (next !== frame) store.set({ frame: next });
    if (next >= server.frames - 1) pause();
    else {
      if (due - next > server.fps) [first, began] = [next, now]; // a whole second behind: continue from here
      requestAnimationFrame(tick);
    }
  }

  function fetchAhead(frame, frames) {
    for (let index = frame; index <= Math.min(frames - 1, frame + AHEAD) && loading < AT_ONCE; index++) {
      if (cache.ready(index)) continue;
      if (asked.has(index)) continue;
      asked.add(index);
      loading += 1;
      Promise.all([cache.wantFrame(index), cache.wantMask(index)]).finally(() => {
        loading -= 1;
        asked.delete(index);
      });
    }
  }
  const asked = new Set();

  const toggle = () => (store.get().playing ? pause() : play());
  el("play").addEventListener("click", toggle);
  store.on(["playing"], () => {
    const { playing } = store.get();
    setIcon(el("play"), playing ? "pause" : "play");
    setAttribute(el("play"), "aria-label", playing ? "Pause" : "Play");
    setAttribute(el("play"), "data-tip", playing ? "Pause" : "Play");
  });
  return { toggle, pause };
}
