/** Folder mode: the list of images with their status (only visible rows exist), and starting over. */
import { address } from "./api.js";
import { ask } from "./dialogs.js";
import { el, make, setAttribute, setIcon, setText } from "./dom.js";

const ROW = 54;
const WORDS = { open: "open", done: "done", skipped: "skipped" };
const ICONS = { open: "", done: "check", skipped: "skip" };

export function createImages(store, edits, navigation) {
  const list = el("image-list");
  const space = el("image-space");
  /** @type {Map<number, HTMLElement>} */
  const rows = new Map();
  let due = false, hurry = 0;

  function schedule() {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  }

  /** Images that the filter lets through, in order. */
  function listed() {
    const { server, filter } = store.get();
    const all = server.names.map((_, index) => index);
    return filter === "all" ? all : all.filter((index) => (server.status?.[index] ?? "open") === filter);
  }

  function draw() {
    due = false;
    const { server, frame } = store.get();
    el("images").hidden = server?.mode !== "folder";
    if (server?.mode !== "folder") return;
    const indices = listed();
    space.style.height = `${indices.length * ROW}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 3);
    const last = Math.min(indices.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 3);
    const wanted = new Map(indices.slice(first, last).map((index, at) => [index, first + at]));
    for (const [index, row] of rows) {
      if (wanted.has(index)) continue;
      row.remove();
      rows.delete(index);
    }
    for (const [index, place] of wanted) dress(rows.get(index) ?? makeRow(index), index, place, server, frame);
    const done = Object.keys(server.status ?? {}).length;
    setText(el("images-count"), `${done} of ${server.frames}`);
    /** @type {HTMLElement} */ (el("images-meter").firstElementChild).style.width = `${(100 * done) / Math.max(1, server.frames)}%`;
    /** @type {HTMLButtonElement} */ (el("reset")).disabled = Boolean(server.readonly);
    window.clearTimeout(hurry);
    hurry = window.setTimeout(load, 60);
  }

  function makeRow(index) {
    const row = make("button", { class: "image-row", tabindex: -1, "data-index": index, onclick: () => navigation.go(index) }, [
      make("img", { alt: "" }),
      make("span", { class: "words" }, [make("span", { class: "name" }), make("span", { class: "status" })]),
      make("span", { class: "state" }),
    ]);
    rows.set(index, row);
    space.append(row);
    return row;
  }

  function dress(row, index, place, server, frame) {
    const status = server.status?.[index] ?? "open";
    row.style.top = `${place * ROW}px`;
    setAttribute(row, "data-status", status);
    setAttribute(row, "aria-current", index === frame ? "true" : null);
    setText(row.querySelector(".name"), server.names[index]);
    setText(row.querySelector(".status"), WORDS[status]);
    const state = row.querySelector(".state");
    if (ICONS[status]) setIcon(state, ICONS[status]);
    else state.replaceChildren();
  }

  function load() {
    for (const [index, row] of rows) {
      const image = /** @type {HTMLImageElement} */ (row.querySelector("img"));
      if (!image.getAttribute("src")) image.src = address(`/api/thumbs/${index}`);
    }
  }

  function follow() {
    const { server, frame } = store.get();
    if (server?.mode !== "folder") return;
    const place = listed().indexOf(frame);
    if (place < 0) return;
    const top = place * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  }

  async function reset() {
    const yes = await ask("Start over with every image?",
      "Points, unfinished masks and progress of all images are discarded; finished masks stay. This cannot be undone.", "Start over");
    if (yes && await edits.reset()) navigation.go(0);
  }

  list.addEventListener("scroll", schedule, { passive: true });
  new ResizeObserver(schedule).observe(list);
  el("reset").addEventListener("click", reset);
  for (const tab of document.querySelectorAll("[data-filter]")) {
    tab.addEventListener("click", () => {
      store.set({ filter: tab.dataset.filter });
      for (const other of document.querySelectorAll("[data-filter]")) setAttribute(other, "aria-checked", String(other === tab));
      list.scrollTop = 0;
      schedule();
    });
  }
  store.on(["server", "frame", "filter"], () => { follow(); schedule(); });
  return { reset };
}
