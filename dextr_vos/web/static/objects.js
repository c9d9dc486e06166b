/** The list of objects: select, name, colour, show, order, add, delete. */
import { announce } from "./announce.js";
import { ask } from "./dialogs.js";
import { el, make, setAttribute, setIcon, setText } from "./dom.js";
import { shownKey } from "./shortcuts.js";
import { cornersOf, extremesOf, pointsOf } from "./state.js";

/** What a mask was made of. */
function originSaid(points) {
  const isBox = cornersOf(points).length > 0, clicks = points.length - cornersOf(points).length;
  const said = clicks ? `${clicks} ${clicks === 1 ? "click" : "clicks"}` : "";
  return [isBox ? "box" : "", said].filter(Boolean).join(", ") || "mask";
}

export function createObjects(store, edits, labels) {
  const list = el("object-list");
  /** @type {number|null} */
  let renaming = null;
  /** @type {number|null} */
  let dragged = null;

  function choose(id) {
    if (id === store.get().object) return;
    store.set({ object: id, point: null });
    const object = store.get().server?.objects.find((one) => one.id === id);
    if (object) announce(`${object.name} selected`);
  }

  function add() {
    const id = edits.addObject();
    if (id !== null) labels.ask(id);
  }

  async function remove(id) {
    const object = store.get().server.objects.find((one) => one.id === id);
    if (!object || store.get().server.readonly) return;
    const yes = await ask(`Delete ${object.name}?`, "It is removed from every frame. Undo restores it.", "Delete");
    if (yes) await edits.deleteObject(id);
  }

  function show(id) {
    const object = store.get().server?.objects.find((one) => one.id === id);
    if (!object) return;
    edits.changeObject(id, { visible: !object.visible });
    announce(`${object.name} ${object.visible ? "hidden" : "shown"}`);
  }

  /** Move an object up (-1) or down (1) in the order of drawing. */
  function reorder(id, by) {
    const ids = store.get().server.objects.map((one) => one.id);
    const from = ids.indexOf(id), to = from + by;
    if (from < 0 || to < 0 || to >= ids.length) return;
    ids.splice(to, 0, ...ids.splice(from, 1));
    edits.orderObjects(ids).then(() => rowOf(id)?.querySelector(".choose")?.focus());
    announce(`Moved to position ${to + 1} of ${ids.length}`);
  }

  const rowOf = (id) => list.querySelector(`[data-id="${id}"]`);

  function rename(id) {
    if (!(id > 0) || store.get().server?.readonly) return;
    renaming = id;
    draw();
    const input = rowOf(id)?.querySelector("input.rename");
    input?.focus();
    input?.select();
  }

  function endRename(input, keep) {
    if (renaming === null) return;
    const id = renaming;
    renaming = null;
    const name = input.value.trim();
    const before = store.get().server.objects.find((one) => one.id === id)?.name;
    draw();
    if (keep && name && name !== before) edits.changeObject(id, { name });
    rowOf(id)?.querySelector(".choose")?.focus();
  }

  function makeRow(object) {
    const { id } = object;
    const swatch = make("label", { class: "swatch", "data-tip": "Colour" }, [
      make("input", { type: "color", onchange: (event) => edits.changeObject(id, { colour: event.target.value }) }),
    ]);
    const row = make("li", { class: "object", "data-id": id, "data-test": `object-${id}` }, [
      make("span", { class: "grip", icon: "grip", "aria-hidden": "true" }),
      swatch,
      make("span", { class: "name-slot" }),
      make("span", { class: "has number" }),
      make("button", { class: "icon-button small remove", icon: "trash", onclick: () => remove(id), "data-tip": "Delete", "data-test": `delete-${id}` }),
      make("button", { class: "icon-button small eye", onclick: () => show(id), "data-test": `show-${id}` }),
    ]);
    row.querySelector(".grip").addEventListener("pointerdown", () => { row.draggable = true; });
    row.addEventListener("dragstart", (event) => { dragged = id; event.dataTransfer.effectAllowed = "move"; });
    row.addEventListener("dragend", () => { dragged = null; row.draggable = false; clearOver(); });
    row.addEventListener("dragover", (event) => over(event, row));
    row.addEventListener("drop", (event) => drop(event, row, id));
    return row;
  }

  const clearOver = () => list.querySelectorAll("[data-over]").forEach((row) => row.removeAttribute("data-over"));
  const half = (event, row) => (event.offsetY > row.offsetHeight / 2 ? "after" : "before");

  function over(event, row) {
    if (dragged === null) return;
    event.preventDefault();
    clearOver();
    row.dataset.over = half(event, row);
  }

  function drop(event, row, id) {
    if (dragged === null || dragged === id) return;
    event.preventDefault();
    const ids = store.get().server.objects.map((one) => one.id).filter((one) => one !== dragged);
    ids.splice(ids.indexOf(id) + (half(event, row) === "after" ? 1 : 0), 0, dragged);
    edits.orderObjects(ids);
  }

  function drawName(row, object, place) {
    const slot = row.querySelector(".name-slot");
    if (renaming === object.id) {
      if (slot.querySelector("input")) return;
      const input = make("input", { class: "rename", value: object.name, "aria-label": "Name", maxlength: 60, "data-test": "rename" });
      input.addEventListener("blur", () => endRename(input, true));
      input.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (event.key === "Enter") endRename(input, true);
        if (event.key === "Escape") endRename(input, false);
      });
      slot.replaceChildren(input);
      return;
    }
    let button = slot.querySelector(".choose");
    if (!button) {
      button = make("button", { class: "choose", onclick: () => choose(object.id), ondblclick: () => rename(object.id),
        onkeydown: (event) => {
          if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
            event.preventDefault();
            event.stopPropagation();
            reorder(object.id, event.key === "ArrowUp" ? -1 : 1);
          }
        } });
      slot.replaceChildren(button);
    }
    setText(button, object.name);
    setAttribute(button, "data-tip", `${object.name}: ${shownKey("rename")} renames, Alt ↑ ↓ changes the order`);
    setAttribute(button, "data-key", place < 9 ? String(place + 1) : null);
    setAttribute(button, "aria-pressed", String(object.id === store.get().object));
  }

  function drawRow(row, object, place) {
    const values = store.get();
    row.toggleAttribute("data-current", object.id === values.object);
    row.toggleAttribute("data-hidden", !object.visible);
    row.querySelector(".swatch").style.background = object.colour;
    const colour = row.querySelector("input[type=color]");
    colour.value = object.colour;
    setAttribute(colour, "aria-label", `Colour of ${object.name}`);
    drawName(row, object, place);
    const entry = values.server.keyframes[values.frame]?.objects[object.id];
    const points = pointsOf(values, values.frame, object.id);
    const count = extremesOf(points).length;
    const has = row.querySelector(".has");
    const draft = count > 0 && count < 4;
    setText(has, draft ? `${count} of 4` : entry?.mask ? (entry.painted ? "painted" : originSaid(points)) : "");
    setAttribute(has, "data-kind", draft ? "draft" : null);
    const eye = row.querySelector(".eye");
    setIcon(eye, object.visible ? "eye" : "eyeOff");
    const verb = object.visible ? "Hide" : "Show";
    setAttribute(eye, "aria-label", `${verb} ${object.name}`);
    setAttribute(eye, "data-tip", verb);
    setAttribute(eye, "data-command", object.id === values.object ? "show" : null);
    setAttribute(row.querySelector(".remove"), "aria-label", `Delete ${object.name}`);
    row.querySelector(".remove").disabled = Boolean(values.server.readonly);
  }

  function draw() {
    const { server } = store.get();
    if (!server) return;
    const wanted = new Set(server.objects.map((one) => String(one.id)));
    for (const row of [...list.children]) if (!wanted.has(row.dataset.id)) row.remove();
    server.objects.forEach((object, place) => {
      let row = rowOf(object.id);
      if (!row) row = makeRow(object);
      if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
      drawRow(row, object, place);
    });
    if (store.get().object < 0) list.append(make("li", { class: "object-none", "data-test": "object-coming", text: "New object…" }));
    else if (!server.objects.length) {
      list.replaceChildren(make("li", { class: "object-none", text: "Your first click adds the first object." }));
    }
    el("object-add").toggleAttribute("disabled", Boolean(server.readonly));
  }

  const showChosen = () => rowOf(store.get().object)?.scrollIntoView({ block: "nearest" });
  store.on(["object"], showChosen);
  new ResizeObserver(showChosen).observe(list); // what is below it may need more room
  el("object-add").addEventListener("click", add);
  store.on(["server", "object", "frame", "drafts", "keys"], draw);
  return {
    choose, add, rename, remove, show, reorder,
    /** Choose by place in the list, from 0. */
    chooseAt(place) {
      const object = store.get().server?.objects[place];
      if (object) choose(object.id);
      else announce(`There is no object ${place + 1}. ${shownKey("add")} adds one.`);
    },
  };
}
