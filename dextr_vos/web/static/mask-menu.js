/** What can be done to the selected object's mask as a whole, with two objects, and with a part of one. */
import { announce, toast } from "./announce.js";
import { el } from "./dom.js";
import { createMenu } from "./menu.js";
import { chosen, refusal } from "./state.js";

const RESHAPE = [["fill", "Fill holes", "f"], ["largest", "Keep the largest part", "l"], ["grow", "Grow by one pixel", "g"], ["shrink", "Shrink by one pixel", "s"]];

export function createMaskMenu(store, cache, edits, navigation, split) {
  const menu = createMenu(el("mask-menu"), el("mask-open"), list);

  /** Edits that change nothing say so: an object that has no holes looks filled already. */
  async function report(edit, done) {
    const answer = await edit;
    if (answer) announce(answer.version === answer.base ? "Nothing changed." : done);
    return answer;
  }

  async function copy(frame, object) {
    const answer = await report(edits.copy(frame, object, frame + 1), "Copied to the next frame");
    if (answer && store.get().frame === frame) navigation.go(frame + 1, { quiet: true });
  }

  /** Choose a second object. */
  function another(title, { id }, run) {
    const others = store.get().server.objects.filter((one) => one.id !== id);
    menu.fill(title, others.map((one, place) => ({ name: one.name, colour: one.colour, key: place < 9 ? String(place + 1) : null, run: () => run(one) })));
    menu.show();
  }

  function swap(frame, object) {
    const { id, name } = object;
    another(`Swap ${name} from here on with…`, object, async (other) => {
      if (await edits.swap(frame, id, other.id)) toast(`${name} and ${other.name} are swapped in this frame and in all annotated frames after it. Propagate to swap the other masks, too.`);
    });
  }

  /** Another object becomes part of this one, and loses its mask. */
  function merge(frame, object, onwards) {
    const { id, name } = object, where = onwards ? "from here on" : "here";
    another(`Merge into ${name} ${where}`, object, async (other) => {
      if (!await edits.merge(frame, id, other.id, onwards)) return;
      if (onwards) toast(`${other.name} is part of ${name} in this frame and in all annotated frames after it. Propagate to merge the other masks, too.`);
      else announce(`${other.name} merged into ${name}`);
    });
  }

  /** The menu means the frame and the object for which it was opened; it closes when the page shows another frame. */
  function list() {
    store.set({ follow: false });
    const values = store.get();
    const reason = refusal(values);
    const object = chosen(values);
    if (reason) toast(reason, "error");
    else if (!object) announce("Select an object first.");
    if (reason || !object) return false;
    const { server, frame } = values;
    const reshape = (operation, name) => report(edits.reshape(frame, object.id, operation), name);
    const none = !cache.holds(frame, object.id);
    const alone = server.objects.length < 2, clip = server.mode === "clip";
    return menu.fill(object.name, [
      ...RESHAPE.map(([operation, name, key]) => ({ name, key, test: `mask-${operation}`, disabled: none, run: () => reshape(operation, name) })),
      { name: "Split off smaller parts", key: "p", test: "mask-split", disabled: none, run: () => split.parts(frame, object.id) },
      { name: "Split off by lasso…", key: "y", test: "mask-split-lasso", disabled: none, run: () => split.draw(frame, object.id) },
      ...(clip ? [{ name: "Copy to the next frame", key: "c", test: "mask-copy", disabled: none || frame >= server.frames - 1, run: () => copy(frame, object.id) }] : []),
      { name: clip ? "Merge in this frame…" : "Merge in this image…", key: "m", test: "mask-merge", disabled: alone, run: () => merge(frame, object, false) },
      ...(clip ? [{ name: "Merge from here on…", key: "h", test: "mask-merge-onwards", disabled: alone, run: () => merge(frame, object, true) }] : []),
      ...(clip ? [{ name: "Swap from here on…", key: "x", test: "mask-swap", disabled: alone, run: () => swap(frame, object) }] : []),
    ]);
  }

  store.on(["frame"], () => menu.close());
  return { open: () => { if (list()) menu.show(); } };
}
