/** The export menu: start, watch, download; and the summary of time spent. */
import { toast } from "./announce.js";
import { address, get, post } from "./api.js";
import { el, make } from "./dom.js";
import { createPopover } from "./popover.js";

const KINDS = {
  masks: ["Masks", "Indexed PNGs in a zip"],
  video: ["Overlay video", "MP4, masks over the frames"],
  coco: ["COCO JSON", "Run-length masks, every frame"],
};
// chosen from a list, in one row
const MORE = {
  "coco-polygons": ["COCO JSON, polygons", "Outlines of every mask"],
  yolo: ["YOLO segmentation", "Text files in a zip"],
  davis: ["DAVIS", "Its folders in a zip"],
  "youtube-vos": ["YouTube-VOS", "Masks and meta.json in a zip"],
  voc: ["PASCAL VOC", "Indexed PNGs in a zip"],
  labelme: ["LabelMe", "A JSON a frame in a zip"],
  "label-studio": ["Label Studio", "Tasks with brush masks in a zip"],
  "cvat-images": ["CVAT for images", "XML, run-length masks"],
  "cvat-video": ["CVAT for video", "XML, run-length masks"],
  objects: ["One PNG an object", "Black and white, in a zip"],
  "prores-4444": ["ProRes 4444", "MOV with alpha"],
  "webm-alpha": ["WebM", "VP9 with alpha"],
  "green-screen": ["Green screen", "MP4"],
  rgba: ["PNG sequence", "With alpha, in a zip"],
  "feathered-mattes": ["Mattes", "16-bit PNGs an object, in a zip"],
  "feathered-matte-video": ["Matte video", "ProRes, grey"],
};
const ALL = { ...KINDS, ...MORE };

export function createExports(store, connection) {
  const menu = el("export-menu");
  const popover = createPopover(menu, el("export-open"), draw);
  /** @type {string|null} the export that this page has started */
  let asked = null;
  let chosen = Object.keys(MORE)[0];

  /** The list of further formats, in the place of a name. */
  function list() {
    const options = Object.entries(MORE).map(([kind, [name]]) => make("option", { value: kind, text: name, selected: kind === chosen }));
    const select = /** @type {HTMLSelectElement} */ (make("select", { "data-test": "more-formats", "aria-label": "Further formats" }, options));
    select.addEventListener("change", () => {
      chosen = select.value;
      draw();
    });
    return select;
  }

  function row(kind, server, job) {
    const [name, what] = ALL[kind];
    const busy = job?.kind === "export" && asked === kind;
    const ready = server.exports[kind];
    const buttons = make("span", { class: "buttons" });
    if (ready) {
      buttons.append(make("a", { class: "button small primary", href: address(`/api/exports/${kind}`), download: true, icon: "download",
        "data-test": `download-${kind}`, "aria-label": `Download ${name}` }, [make("span", { text: "Download" })]));
    }
    if (!server.readonly) {
      buttons.append(make("button", { class: "button small", text: busy ? "Exporting" : ready ? "Export again" : "Export", disabled: Boolean(job),
        "data-test": `make-${kind}`, "aria-label": `${ready ? "Export again" : "Export"}: ${name}`, onclick: () => start(kind) }));
    }
    const box = make("div", { class: "export-row" }, [
      ...(kind in MORE ? [list()] : []),
      make("div", {}, [kind in MORE ? "" : make("b", { text: name }), make("span", { class: "soft", text: what })]), buttons,
    ]);
    if (busy) {
      const bar = make("div", { class: "progress", role: "progressbar", "aria-label": `Exporting ${name}` }, [make("span")]);
      if (job.total) /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${(100 * job.done) / job.total}%`;
      else bar.dataset.unknown = "";
      box.append(bar);
    }
    return box;
  }

  function draw() {
    const { server, job } = store.get();
    if (!server || menu.hidden) return;
    const focused = document.activeElement?.getAttribute("data-test");
    menu.replaceChildren(...[...Object.keys(KINDS), chosen].map((kind) => row(kind, server, job)));
    if (focused) /** @type {HTMLElement|null} */ (menu.querySelector(`[data-test="${focused}"]`))?.focus();
  }

  async function start(kind) {
    asked = kind;
    try {
      const answer = await post("/api/export", { kind });
      connection.showJob(answer.job);
    } catch (error) {
      asked = null;
      connection.lost(error);
    }
    draw();
  }

  store.on(["server", "job"], () => {
    const { server, job } = store.get();
    if (asked && server && !job && !server.job && server.exports[asked]) {
      if (menu.hidden) toast(`${ALL[asked][0]}: ready to download in the export menu.`);
      asked = null;
    }
    draw();
  });
  return { toggle: () => popover.toggle() };
}

/** The card that compares the time spent on clicking with that of drawing. */
export function createTime(store) {
  let due = 0;
  const bar = (name, seconds, most, kind) => {
    const amount = make("i");
    amount.style.width = `${Math.min(100, (100 * seconds) / most)}%`;
    return make("div", { class: `time-row ${kind}` }, [
      make("span", { text: name }), make("span", { class: "amount" }, [amount]),
      make("b", { text: `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s` }),
    ]);
  };

  async function load() {
    due = 0;
    const { server } = store.get();
    if (!server) return;
    let time;
    try {
      time = await get("/api/time");
    } catch {
      return; // only a summary; the connection is watched elsewhere
    }
    const card = el("time-card");
    card.hidden = !time.objects.length || !time.seconds_per_object;
    if (card.hidden) return;
    const drawn = time.seconds_per_drawn_object;
    const most = Math.max(drawn, time.seconds_per_object, time.seconds_per_keyframe ?? 0);
    const rows = [bar("per object", time.seconds_per_object, most, "object-time")];
    if (time.seconds_per_keyframe) rows.push(bar(server.mode === "folder" ? "per image" : "per keyframe", time.seconds_per_keyframe, most, "key-time"));
    rows.push(bar("drawn by hand", drawn, most, "drawn"));
    card.replaceChildren(make("header", { class: "section-head" }, [make("h2", { text: "Time spent" })]), ...rows);
  }

  store.on(["server", "pending"], () => {
    if (store.get().pending || due) return;
    due = window.setTimeout(load, 900);
  });
}
