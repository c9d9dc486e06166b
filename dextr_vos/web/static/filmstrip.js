/** Thumbnails below the overview. Only those in view exist, so a thousand frames cost as much as twenty. */
import { frameState } from "./confidence.js";
import { calm, el, make } from "./dom.js";
import { confidenceAt, keyframeAt, labelOf } from "./state.js";
import { showThumb } from "./thumbs.js";

const HEIGHT = 54;
const GAP = 4;
const AROUND = 4;

export function createFilmstrip(store, cache, navigation) {
  const strip = el("filmstrip");
  const film = el("film");
  /** @type {Map<number, HTMLElement>} */
  const cells = new Map();
  let wide = 96 + GAP;
  let due = false;
  let hurry = 0;

  function schedule() {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  }

  function measure(server) {
    const ratio = server.size ? server.size[0] / server.size[1] : 16 / 9;
    wide = Math.round(Math.min(130, Math.max(40, HEIGHT * ratio))) + GAP;
    film.style.width = `${server.frames * wide + 24}px`;
  }

  const left = (index) => 12 + index * wide;

  function draw() {
    due = false;
    const values = store.get();
    const { server } = values;
    if (!server || server.mode === "folder") return;
    const first = Math.max(0, Math.floor((strip.scrollLeft - 12) / wide) - AROUND);
    const last = Math.min(server.frames - 1, Math.ceil((strip.scrollLeft + strip.clientWidth) / wide) + AROUND);
    for (const [index, cell] of cells) {
      if (index >= first && index <= last) continue;
      for (const image of cell.querySelectorAll("img")) image.removeAttribute("src");
      cell.remove();
      cells.delete(index);
    }
    for (let index = first; index <= last; index++) {
      const cell = cells.get(index) ?? place(index);
      dress(cell, index, values);
    }
    window.clearTimeout(hurry);
    hurry = window.setTimeout(load, 60);
  }

  function place(index) {
    const cell = make("div", { class: "cell", "data-index": index }, [
      make("img", { alt: "", draggable: "false" }),
      make("img", { class: "mask", alt: "", draggable: "false" }),
      make("span", { class: "strip" }),
      make("span", { class: "mark-key" }),
      make("span", { class: "mark-lock", icon: "lock" }),
      make("span", { class: "label", text: labelOf(store.get().server, index) }),
    ]);
    cell.style.left = `${left(index)}px`;
    cell.style.width = `${wide - GAP}px`;
    cells.set(index, cell);
    film.append(cell);
    return cell;
  }

  /** Thumbnails are fetched once the strip stands still for a moment, masks once no edit is on its way. */
  function load() {
    const { server, pending } = store.get();
    if (pending) return;
    for (const [index, cell] of cells) {
      const [image, mask] = /** @type {NodeListOf<HTMLImageElement>} */ (cell.querySelectorAll("img"));
      showThumb(image, mask, index, cache, server);
    }
  }

  function dress(cell, index, { server, frame, made, job }) {
    const keyframe = keyframeAt(server, index);
    cell.toggleAttribute("data-current", index === frame);
    cell.toggleAttribute("data-key", Boolean(keyframe));
    cell.toggleAttribute("data-draft", Boolean(server.keyframes[index]?.corrected));
    cell.toggleAttribute("data-locked", Boolean(keyframe?.locked));
    const value = confidenceAt(server, index);
    const running = job?.kind === "propagate";
    const strip = /** @type {HTMLElement} */ (cell.querySelector(".strip"));
    const known = value !== null && value !== undefined;
    strip.style.background = running ? (made.has(index) ? "var(--accent)" : "")
      : known ? `var(--${frameState(value)})`
        : keyframe || made.has(index) ? "var(--confident)" : "";
    const partly = known && !running && frameState(value) !== "lost";
    strip.style.width = partly ? `${Math.round(100 * Math.max(0.08, value))}%` : "100%";
    cell.toggleAttribute("data-cut", Boolean(server.cuts?.includes(index)));
  }

  function follow() {
    const { frame, playing } = store.get();
    const at = left(frame), room = strip.clientWidth;
    const margin = Math.min(2 * wide, room / 3);
    const inView = at >= strip.scrollLeft + margin && at + wide <= strip.scrollLeft + room - margin;
    if (!inView) {
      const near = Math.abs(at - strip.scrollLeft - room / 2) < room * 1.5;
      strip.scrollTo({ left: at - room / 2 + wide / 2, behavior: near && !playing && !calm() ? "smooth" : "instant" });
    }
    schedule();
  }

  strip.addEventListener("scroll", schedule, { passive: true });
  strip.addEventListener("wheel", (event) => {
    if (event.deltaX || !event.deltaY) return;
    event.preventDefault();
    strip.scrollLeft += event.deltaY;
  }, { passive: false });
  strip.addEventListener("click", (event) => {
    const cell = /** @type {HTMLElement} */ (event.target).closest(".cell");
    if (cell) navigation.go(Number(cell.dataset.index));
  });
  new ResizeObserver(schedule).observe(strip);
  let measured = "";
  store.on(["server"], () => {
    const { server } = store.get();
    const key = `${server.frames} ${server.size}`;
    if (key !== measured) {
      measured = key;
      measure(server);
      follow();
    }
    schedule();
  });
  store.on(["made", "job", "pending"], schedule);
  store.on(["overlay"], () => film.toggleAttribute("data-bare", !store.get().overlay));
  store.on(["frame"], follow);
}
