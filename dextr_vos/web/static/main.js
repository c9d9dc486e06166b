/** Puts the page together. Nothing else happens on import; each part has its own module. */
import { createActivity } from "./activity.js";
import { announce } from "./announce.js";
import { createBrush } from "./brush.js";
import { createCache } from "./cache.js";
import { createClickPreview } from "./click-preview.js";
import { createCompare } from "./compare.js";
import { createConnection } from "./connection.js";
import { clamp, el, placeIcons, setAttribute, setText } from "./dom.js";
import { createEdits } from "./edits.js";
import { createExports, createTime } from "./exports.js";
import { createFilmstrip } from "./filmstrip.js";
import { createFollow } from "./follow.js";
import { createFrameCard } from "./frame-card.js";
import { createHelp } from "./help.js";
import { createHint } from "./hint.js";
import { createHud } from "./hud.js";
import { createJobs } from "./jobs.js";
import { keyTable, listenToKeys } from "./keys.js";
import { createLabels } from "./labels.js";
import { createLasso } from "./lasso.js";
import { createMaskMenu } from "./mask-menu.js";
import { createNavigation } from "./navigate.js";
import { createObjects } from "./objects.js";
import { createOverview } from "./overview.js";
import { createImports } from "./imports.js";
import { createImages } from "./images.js";
import { createPlayer } from "./player.js";
import { createPointer } from "./pointer.js";
import { createPoints } from "./points.js";
import { createPreview } from "./preview.js";
import { createPropagateMenu } from "./propagate-menu.js";
import { createPoor } from "./poor.js";
import { createProjectNav } from "./project-nav.js";
import { setFixed } from "./shortcuts.js";
import { createSplit } from "./split.js";
import { createStage } from "./stage.js";
import { createStore, indexOf, labelOf, numbered, outOf } from "./state.js";
import { createTheme } from "./theme.js";
import { createTips } from "./tips.js";
import { createToolbar } from "./toolbar.js";
import { View } from "./view.js";

const store = createStore();
const view = new View();
const cache = createCache(() => store.set({ arrived: performance.now() }));
const activity = createActivity();
const connection = createConnection(store, cache);
const edits = createEdits(store, cache, connection, activity);
const navigation = createNavigation(store, cache, activity);
const points = createPoints(store, view, cache, edits);
const brush = createBrush(store, view, cache, edits, points);
const labels = createLabels(store, edits, connection);
const objects = createObjects(store, edits, labels);
const split = createSplit(store, edits, objects, labels);
const lasso = createLasso(store, view, cache, edits, points, split);
const masks = createMaskMenu(store, cache, edits, navigation, split);

placeIcons();
const compare = createCompare(store);
const stage = createStage(store, view, cache, compare);
createHud(store, view, cache);
const pointer = createPointer(store, view, points, brush, lasso, stage);
const preview = createClickPreview(store, view, points, edits);
const player = createPlayer(store, cache, navigation);
const card = createFrameCard(store, cache, edits, navigation);
const jobs = createJobs(store, connection, navigation, edits);
createPropagateMenu(store, jobs);
const exports = createExports(store, connection);
const imports = createImports(store, connection, cache, edits);
createTime(store);
const overview = createOverview(store, navigation, objects);
createPreview(store, cache, overview);
createFilmstrip(store, cache, navigation);
createFollow(store, cache, navigation);
createPoor(store);
createProjectNav(store);
createImages(store, edits, navigation);
createHint(store, view, cache);
createTips();

const viewed = () => {
  store.set({ viewed: performance.now() });
  stage.schedule();
};
const history = async (verb) => {
  const index = await edits.history(verb);
  if (index !== undefined && index !== null) navigation.go(index, { quiet: true });
};
const actions = {
  tool: (tool) => { brush.drop(); store.set({ tool, point: null }); },
  undo: () => lasso.back() || lasso.corners.undo(() => history("undo")),
  redo: () => history("redo"),
  fit: () => { view.fit(); viewed(); },
  actualSize: () => { view.zoomTo(1 / devicePixelRatio); viewed(); },
  zoom: (sign) => {
    const { pointer: at } = store.get();
    view.zoomTo(view.scale * (sign > 0 ? 1.5 : 1 / 1.5), at?.x, at?.y);
    viewed();
  },
  loupe: () => store.set({ loupe: !store.get().loupe }),
  sides: () => {
    const sided = !store.get().sided;
    store.set({ sided, pointer: null });
    announce(sided ? "Side by side" : "One image");
  },
  outlines: () => store.set({ outlines: !store.get().outlines }),
  overlay: () => store.set({ overlay: !store.get().overlay }),
  opacity: (by) => store.set({ opacity: clamp(Math.round((store.get().opacity + by) * 20) / 20, 0, 1), overlay: true }),
  help: () => help.toggle(),
};
createToolbar(store, view, actions);
const table = keyTable({ store, points, pointer, brush, objects, edits, navigation, player, card, jobs, exports, imports, compare, labels, lasso, masks, split, preview, actions });
setFixed(Object.values(table).flat());
const help = createHelp(store, table);
listenToKeys(table, store, pointer, player);
createTheme(() => { stage.recolour(); overview.schedule(); });

// The transport's buttons and the frame number.
const go = { "go-first": navigation.first, "go-prev": () => navigation.step(-1), "go-next": () => navigation.step(1),
  "go-last": navigation.last, "go-prev-key": navigation.previousKey, "go-next-key": navigation.nextKey, "go-mid": navigation.midpoint };
for (const [id, run] of Object.entries(go)) el(id).addEventListener("click", () => { store.set({ playing: false }); run(); });
const number = /** @type {HTMLInputElement} */ (el("frame-number"));
let typing = false; // what is typed must not be replaced by the present frame's number when something else changes
number.addEventListener("input", () => { typing = true; });
number.addEventListener("blur", () => { typing = false; drawCounter(); }); // after a change
number.addEventListener("change", () => { typing = false; navigation.go(indexOf(store.get().server, number.value) || 0); drawCounter(); });
number.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === "Escape") el("hud").focus({ preventScroll: true });
});
function drawCounter() {
  const { server, frame } = store.get();
  if (!server) return;
  if (!server.frames) return;
  if (!typing) number.value = labelOf(server, frame);
  number.style.width = `${labelOf(server, server.frames - 1).length + 2.2}ch`;
  setText(el("frame-of"), outOf(server, frame));
  setText(el("frame-name"), numbered(server) ? "" : server.names[frame] ?? "");
}
store.on(["server", "frame"], drawCounter);

// What is shown must be loaded; what arrives later is drawn when it does.
store.on(["server", "frame", "made", "arrived"], () => {
  const { server, frame, playing } = store.get();
  if (!server || playing || !server.frames) return;
  cache.wantFrame(frame);
  cache.wantMask(frame);
});

// The image has the focus most of the time; its focus ring is shown only to those who use Tab.
document.addEventListener("keydown", (event) => {
  if (event.key === "Tab") document.documentElement.dataset.tabbing = "";
}, true);
document.addEventListener("pointerdown", () => delete document.documentElement.dataset.tabbing, true);

// A button pressed with the mouse gives the keyboard back to the image.
document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const keeps = "dialog, .popover, [aria-haspopup], [data-test=object-add]";
  if (event.detail > 0 && target.closest("button, .check") && !target.closest(keeps)) el("hud").focus({ preventScroll: true });
});
document.addEventListener("pointerup", (event) => {
  if (/** @type {Element} */ (event.target).matches?.("input[type=range]")) el("hud").focus({ preventScroll: true });
});
window.addEventListener("beforeunload", (event) => {
  if (edits.waiting()) event.preventDefault();
});

// Frame and object are kept in the address, so that a reload returns to them.
store.on(["frame", "object", "playing"], () => {
  const { frame, object, playing, server } = store.get();
  if (server && !playing) window.history.replaceState(null, "", `#frame=${frame}${object > 0 ? `&object=${object}` : ""}`);
});

/**
 * For tests and measurements only: where an image's pixel is in the window, and what is on the canvas.
 */
Object.defineProperty(window, "dextrVos", { value: Object.freeze({
  /** Middle of image pixel (x, y) in client coordinates. */
  clientOf(x, y) {
    const box = el("hud").getBoundingClientRect();
    const [cx, cy] = view.toStage(x + 0.5, y + 0.5);
    return [box.left + cx, box.top + cy];
  },
  zoomTo(scale, x, y) {
    view.zoomTo(scale, ...view.toStage(x, y));
    viewed();
  },
  /** Labels on the canvas, one a pixel, row by row; null: no mask. */
  labels: () => cache.mask(store.get().frame)?.labels ?? null,
  /** The mask of the preview, 255 on the object; null: none is shown. */
  previewed: () => store.get().previewed?.labels ?? null,
  /** Whether the image and the mask of the frame are on the canvas; others may be on their way. */
  arrived: () => stage.shown() === store.get().frame && cache.ready(store.get().frame),
  /** The frame on the canvas, and whether everything requested has arrived. */
  shown() {
    const { frame, object, server, pending, drafts } = store.get();
    const mask = cache.mask(frame);
    return {
      frame, object, version: server?.version ?? null, source: mask?.source ?? null, scale: view.scale,
      size: [view.imageWidth, view.imageHeight],
      settled: Boolean(server) && stage.shown() === frame && cache.ready(frame) && pending === 0 && drafts.size === 0 && cache.busy() === 0,
    };
  },
}) });

/** From edit to canvas: `performance.getEntriesByName("dextr-vos:painted")` holds the times. */
store.on(["answered"], () => {
  requestAnimationFrame(() => setTimeout(() => {
    if (!performance.getEntriesByName("dextr-vos:click").length) return;
    performance.measure("dextr-vos:painted", "dextr-vos:click");
    performance.clearMarks("dextr-vos:click");
  }));
});

async function open() {
  const asked = new URLSearchParams(location.hash.slice(1));
  try {
    const server = await connection.fetchState();
    const frame = clamp(Number(asked.get("frame") ?? (server.mode === "folder" ? server.suggested : 0)) || 0, 0, Math.max(0, server.frames - 1));
    const object = Number(asked.get("object"));
    store.set({ frame, ...(server.objects.some((one) => one.id === object) ? { object } : {}) });
    navigation.fetchAround(frame);
    connection.listen();
    setAttribute(el("app"), "data-ready", "");
    el("hud").focus({ preventScroll: true });
    if (!server.frames) {
      el("stage-empty").hidden = false;
      setText(el("stage-empty"), "There are no images in this folder yet.");
    }
  } catch (error) {
    connection.lost(error);
  }
}
open();
