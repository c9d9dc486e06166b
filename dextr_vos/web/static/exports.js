/** The export menu: what, of which objects and frames, how; and the files that exports have left. */
import { toast } from "./announce.js";
import { address, get, post } from "./api.js";
import { el, make } from "./dom.js";
import { checkbox, choice, formats, number, openLoaded, refill, row } from "./forms.js";
import { createPopover } from "./popover.js";
import { indexOf, labelOf } from "./state.js";

/** @param {number} bytes */
const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

export function createExports(store, connection) {
  const menu = el("export-menu");
  const popover = createPopover(menu, el("export-open"), () => openLoaded(menu, popover, connection, load, draw));
  /** what was chosen last; kept while the page is open */
  const chosen = { format: "masks", objects: "all", frames: "all", first: "", last: "" };
  /** @type {Set<number>} ids of the objects that are ticked */
  const ticked = new Set();
  /** @type {Record<string, any>} options by name, as the server takes them */
  const options = { shapes: "mask", images: false, labels: "", feather: 2, fps: "", opacity: 0.45, captions: false };
  const files = make("div", { class: "export-files", "data-test": "export-files" });
  const foot = make("div", { class: "form-foot" });
  let known = [];

  async function load() {
    known = known.length ? known : await formats();
  }

  /** The form, built anew where another choice needs other rows. */
  function draw() {
    const { server } = store.get();
    const format = known.find((each) => each.name === chosen.format) ?? known[0];
    const has = (option) => format.options.includes(option);
    const set = (key, redraws = false) => (value) => {
      chosen[key] = value;
      if (redraws) draw();
    };
    const option = (key) => (value) => { options[key] = value; };
    const groups = [...new Set(known.map((each) => each.group))];
    const rows = [
      row("Format", choice("export-format", groups.map((group) => [group, known.filter((each) => each.group === group)
        .map((each) => [each.name, `${each.title} (${each.folder ? "ZIP" : each.suffix.slice(1).toUpperCase()})`])]), chosen.format, set("format", true))),
      row("Objects", choice("export-objects", [["all", "All"], ...server.objects.map((one) => [String(one.id), one.name]),
        ...(server.objects.length > 2 ? [["some", "Several …"]] : [])], chosen.objects, set("objects", true))),
      ...(chosen.objects === "some" ? server.objects.map((one) => checkbox(`export-object-${one.id}`, one.name, ticked.has(one.id),
        (is) => (is ? ticked.add(one.id) : ticked.delete(one.id)))) : []),
      row("Frames", choice("export-frames", [["all", "All"], ...(has("keyframes_only") ? [["keyframes", "Keyframes only"]] : []),
        ["range", "From … to …"]], chosen.frames, set("frames", true))),
    ];
    if (chosen.frames === "range") rows.push(range(server));
    if (has("shapes")) rows.push(row("Shapes", choice("export-shapes", [["mask", "Masks, exact"], ["polygon", "Polygons"]], options.shapes, option("shapes"))));
    if (has("opacity")) rows.push(row("Opacity", number("export-opacity", { min: 0, max: 1, step: 0.05 }, options.opacity, option("opacity"))));
    if (has("feather")) rows.push(row("Soft edge, px", number("export-feather", { min: 0, max: 100, step: 0.5 }, options.feather, option("feather"))));
    if (has("fps") && !server.timed) rows.push(row("Frames per second", number("export-fps", { min: 0.01, max: 1000, step: "any", placeholder: "24" }, options.fps, option("fps"))));
    if (has("labels")) {
      const area = make("textarea", { id: "export-labels", rows: 2, "data-test": "export-labels", placeholder: "One per line; if empty, object names are the categories" });
      /** @type {HTMLTextAreaElement} */ (area).value = options.labels;
      area.addEventListener("input", () => { options.labels = /** @type {HTMLTextAreaElement} */ (area).value; });
      rows.push(row("Categories", area));
    }
    if (has("images")) rows.push(checkbox("export-images", "Include the frames", options.images, option("images")));
    if (has("captions")) rows.push(checkbox("export-captions", "Burn in frame names", options.captions, option("captions")));
    refill(menu, [make("h2", { text: "Export" }), ...rows, foot, files]);
    drawState();
  }

  function range(server) {
    const last = server.frames - 1;
    const field = (key, name) => {
      const input = /** @type {HTMLInputElement} */ (make("input", { "data-test": `export-${key}`, inputmode: "numeric", autocomplete: "off",
        "aria-label": `${name} frame`, value: chosen[key] || labelOf(server, key === "first" ? 0 : last) }));
      input.addEventListener("input", () => { chosen[key] = input.value; });
      return input;
    };
    return row("", make("span", { class: "form-range" }, [field("first", "First"), make("span", { class: "soft", text: "to" }), field("last", "Last")]));
  }

  /** What changes while the form stays: the button, the progress, the files. */
  function drawState() {
    const { server, job } = store.get();
    if (!server || !popover.shown()) return;
    const busy = job?.kind === "export", focused = foot.contains(document.activeElement);
    if (busy) {
      const bar = make("div", { class: "progress", role: "progressbar", "aria-label": "Exporting" }, [make("span")]);
      if (job.total) /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${(100 * job.done) / job.total}%`;
      else bar.dataset.unknown = "";
      foot.replaceChildren(bar, make("button", { class: "button small", text: "Cancel", "data-test": "export-cancel", onclick: () => post("/api/cancel").catch(connection.lost) }));
    } else if (!foot.querySelector("[data-test=export-start]")) {
      foot.replaceChildren(make("button", { class: "button primary wide", icon: "export", "data-test": "export-start", onclick: start }, [make("span", { text: "Export" })]));
    }
    const button = /** @type {HTMLButtonElement|null} */ (foot.querySelector("[data-test=export-start]"));
    if (button) button.disabled = Boolean(server.readonly || job);
    // its button is another one now, or disabled: the keyboard stays in the menu, where Escape closes it
    if (focused && !foot.contains(document.activeElement)) /** @type {HTMLElement} */ (foot.querySelector("button:not(:disabled)") ?? menu).focus();
    const names = server.exports.map((file) => `${file.name} ${file.bytes} ${file.current}`).join("\n");
    if (files.dataset.names === names) return;
    files.dataset.names = names;
    files.replaceChildren(...server.exports.map((file) => make("a", {
      class: "export-file", href: address(`/api/exports/${encodeURIComponent(file.name)}`), download: file.name, icon: "download", "data-test": "export-file",
    }, [make("span", { class: "name", text: file.name }), make("span", { class: "soft", text: file.current ? size(file.bytes) : "out of date" })])));
  }

  /** What the form says, as the server takes it; a sentence where something is missing. */
  function request() {
    const { server } = store.get();
    const { name, options: has } = known.find((each) => each.name === chosen.format);
    const body = /** @type {Record<string, any>} */ ({ format: name });
    const ids = server.objects.map((one) => one.id).filter((id) => (chosen.objects === "some" ? ticked.has(id) : String(id) === chosen.objects));
    if (chosen.objects !== "all") body.objects = ids;
    if (chosen.objects !== "all" && !ids.length) return "Tick an object.";
    if (chosen.frames === "keyframes") body.keyframes_only = has.includes("keyframes_only");
    if (chosen.frames === "range") {
      const frames = ["first", "last"].map((key, at) => (chosen[key] ? indexOf(server, chosen[key]) : at * (server.frames - 1)));
      if (frames.some(Number.isNaN)) return "Type two frame numbers.";
      body.frames = frames.sort((a, b) => a - b);
    }
    for (const option of has.filter((each) => each in options)) {
      const value = option === "labels" ? options.labels.split("\n").map((line) => line.trim()).filter(Boolean) : options[option];
      if (value !== "" && (option !== "labels" || value.length) && !(option === "fps" && server.timed)) body[option] = value;
    }
    return body;
  }

  async function start() {
    const body = request();
    if (typeof body === "string") return void toast(body, "error");
    try {
      const answer = await post("/api/export", body);
      connection.showJob(answer.job);
    } catch (error) {
      connection.lost(error);
    }
  }

  store.on(["server", "job"], drawState);
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
    const objects = (time.seconds_per_keyframe ?? 0) / time.seconds_per_object; // in a frame
    const several = objects > 1.05;
    const most = Math.max(drawn, time.seconds_per_object, several ? Math.max(drawn * objects, time.seconds_per_keyframe) : 0);
    const rows = [bar("per object", time.seconds_per_object, most, "object-time"), bar("drawn by hand", drawn, most, "drawn")];
    // all objects of a frame are compared with drawing as many
    if (several) {
      rows.push(bar(server.mode === "folder" ? "per image" : "per keyframe", time.seconds_per_keyframe, most, "key-time"),
        bar("drawn by hand", drawn * objects, most, "drawn"));
    }
    card.replaceChildren(make("header", { class: "section-head" }, [make("h2", { text: "Time spent" })]), ...rows);
  }

  store.on(["server", "pending"], () => {
    if (store.get().pending || due) return;
    due = window.setTimeout(load, 900);
  });
}
