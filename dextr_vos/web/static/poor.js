/** What the last run has not learned: objects whose keyframes' masks its network does not reproduce. */
import { el, setText } from "./dom.js";

export function createPoor(store) {
  store.on(["server"], () => {
    const { server } = store.get();
    const names = (server?.poor ?? []).map((id) => server.objects.find((one) => one.id === id)?.name).filter(Boolean);
    const box = el("poor");
    box.hidden = !names.length;
    if (names.length) setText(box, `The network does not reproduce the keyframes' masks of ${names.join(", ")}. Check these masks, and annotate more frames.`);
  });
}
