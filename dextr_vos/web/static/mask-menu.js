/** What can be done to the selected object's mask as a whole, and with two objects. */
import { announce, toast } from "./announce.js";
import { el } from "./dom.js";
import { createMenu } from "./menu.js";
import { chosen, refusal } from "./state.js";

const RESHAPE = [["fill", "Fill holes", "f"], ["largest", "Keep the largest part", "l"], ["grow", "Grow by a pixel", "g"], ["shrink", "Shrink by a pixel", "s"]];

export function createMaskMenu(store, cache, edits, navigation) {
  const menu = createMenu(el("mask-menu"));

  /** Edits that change nothing say so: an object that has no holes looks filled already. */
  async function report(edit, done) {
    const before = store.get().server.version;
    const answer = await edit;
    if (answer) announce(answer.version > before ? done : "Nothing changed.");
    return answer;
  }

  const reshape = (operation, name) => {
    const { frame, object } = store.get();
    return report(edits.reshape(frame, object, operation), name);
  };

  async function copy() {
    const { frame, object } = store.get();
    const answer = await report(edits.copy(frame, object, frame + 1), "Copied to the next frame");
    if (answer) navigation.go(frame + 1, { quiet: true });
  }

  /** Choose a second object. */
  function another(title, run) {
    const { server, object } = store.get();
    const others = server.objects.filter((one) => one.id !== object);
    menu.open(title, others.map((one, place) => ({ name: one.name, colour: one.colour, key: place < 9 ? String(place + 1) : null, run: () => run(one) })));
  }

  function swap() {
    const { frame, object } = store.get(), name = chosen(store.get()).name;
    another(`Swap ${name} from here on with`, async (other) => {
      if (await edits.swap(frame, object, other.id)) toast(`${name} and ${other.name} are swapped in this frame and in all annotated frames after it. Propagate to swap the other masks, too.`);
    });
  }

  function merge() {
    const { object } = store.get(), name = chosen(store.get()).name;
    another(`Merge ${name} into`, async (other) => {
      if (!await edits.merge(other.id, object)) return;
      store.set({ object: other.id });
      announce(`${name} is part of ${other.name} now, in every frame`);
    });
  }

  function open() {
    const values = store.get();
    const reason = refusal(values);
    if (reason) return toast(reason, "error");
    const object = chosen(values);
    if (!object) return announce("Select an object first.");
    const { server, frame } = values;
    const none = !cache.holds(frame, object.id);
    const alone = server.objects.length < 2, clip = server.mode === "clip";
    return menu.open(object.name, [
      ...RESHAPE.map(([operation, name, key]) => ({ name, key, test: `mask-${operation}`, disabled: none, run: () => reshape(operation, name) })),
      ...(clip ? [{ name: "Copy to the next frame", key: "c", test: "mask-copy", disabled: none || frame >= server.frames - 1, run: copy }] : []),
      ...(clip ? [{ name: "Swap from here on…", key: "x", test: "mask-swap", disabled: alone, run: swap }] : []),
      { name: "Merge into…", key: "m", test: "mask-merge", disabled: alone, run: merge },
    ]);
  }

  el("mask-open").addEventListener("click", open);
  return { open };
}
