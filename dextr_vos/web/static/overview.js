/** The whole clip below the stage: a strip an object, their names, and where the present frame is. */
import { clamp, el, make, setAttribute, setText } from "./dom.js";
import { drawStrips, MARKS, stripHeight, stripsOf } from "./strips.js";

export function createOverview(store, navigation, objects) {
  const box = el("overview");
  const canvas = /** @type {HTMLCanvasElement} */ (el("overview-canvas"));
  const context = canvas.getContext("2d");
  const head = el("overview-head");
  const names = el("strip-names");
  const coarse = matchMedia("(pointer: coarse)");
  let due = false;
  /** the object, and how many there were, when the strips scrolled last */
  let scrolled = "";

  function schedule() {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  }

  function draw() {
    due = false;
    const values = store.get();
    const { server } = values;
    if (!server || server.mode === "folder" || !server.frames) return;
    const tall = stripHeight(server.objects.length, coarse.matches);
    const ratio = devicePixelRatio;
    const height = MARKS + stripsOf(server).length * tall;
    drawNames(values, tall);
    box.style.height = `${height}px`;
    showChosen(values);
    const width = box.clientWidth;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(document.documentElement);
    drawStrips(context, values, width, tall, (name) => style.getPropertyValue(name).trim());
  }

  /** With one object, everybody knows whose strip it is. */
  function drawNames({ server, object }, tall) {
    names.hidden = server.objects.length < 2;
    if (names.hidden) return;
    names.style.paddingTop = `${MARKS}px`;
    while (names.children.length > server.objects.length) names.lastElementChild?.remove();
    while (names.children.length < server.objects.length) {
      const place = names.children.length;
      const choose = () => objects.choose(store.get().server.objects[place].id);
      names.append(make("li", { onclick: choose }, [make("i"), make("span")]));
    }
    server.objects.forEach((one, place) => {
      const row = /** @type {HTMLElement} */ (names.children[place]);
      row.style.height = `${tall}px`;
      row.toggleAttribute("data-current", one.id === object);
      /** @type {HTMLElement} */ (row.firstElementChild).style.background = one.colour;
      setText(/** @type {HTMLElement} */ (row.lastElementChild), one.name);
    });
  }

  /** Only this moves from frame to frame; the strips are not drawn again. */
  function drawHead() {
    const { server, frame } = store.get();
    if (!server?.frames) return;
    head.style.left = `${(100 * frame) / server.frames}%`;
    head.style.width = `max(2px, ${100 / server.frames}%)`;
    setAttribute(box, "aria-valuemin", 1);
    setAttribute(box, "aria-valuemax", server.frames);
    setAttribute(box, "aria-valuenow", frame + 1);
    setAttribute(box, "aria-valuetext", navigation.describe(frame));
  }

  /** The strip of an object that was selected or has just been added comes into sight. */
  function showChosen({ server, object }) {
    const now = `${object} of ${server.objects.length}`;
    if (now === scrolled) return;
    scrolled = now;
    const place = server.objects.findIndex((one) => one.id === object);
    names.children[place]?.scrollIntoView({ block: "nearest" });
  }

  function indexAt(event) {
    const area = box.getBoundingClientRect();
    const { server } = store.get();
    return clamp(Math.floor(((event.clientX - area.left) / area.width) * server.frames), 0, server.frames - 1);
  }

  box.addEventListener("pointerdown", (event) => {
    if (!store.get().server || event.button !== 0) return;
    box.setPointerCapture(event.pointerId);
    store.set({ playing: false });
    // a finger may be about to scroll the strips: then the browser cancels its pointer
    if (event.pointerType !== "touch") navigation.go(indexAt(event));
  });
  box.addEventListener("pointerup", (event) => {
    if (event.pointerType === "touch" && box.hasPointerCapture(event.pointerId)) navigation.go(indexAt(event));
  });
  box.addEventListener("pointermove", (event) => {
    if (box.hasPointerCapture(event.pointerId)) navigation.go(indexAt(event), { quiet: true });
  });
  new ResizeObserver(schedule).observe(box);
  coarse.addEventListener("change", schedule);
  store.on(["server", "made", "job", "object"], schedule);
  store.on(["server", "frame"], drawHead);
  return { schedule, indexAt };
}
