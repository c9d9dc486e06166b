/** The import menu: files of other programs are sent to the server, which makes keyframes of their masks. */
import { toast } from "./announce.js";
import { post, send } from "./api.js";
import { el, make } from "./dom.js";
import { choice, formats, number, openLoaded, refill, row } from "./forms.js";
import { createPopover } from "./popover.js";

export function createImports(store, connection, cache, edits) {
  const menu = el("import-menu");
  const popover = createPopover(menu, el("import-open"), () => openLoaded(menu, popover, connection, load, draw));
  const chosen = { format: "coco", match: "name", first: 0, clip: "" };
  /** @type {File[]} */
  let files = [];
  let known = [];
  let busy = false;

  async function load() {
    known = known.length ? known : (await formats()).filter((each) => each.read.length);
  }

  function draw() {
    const format = known.find((each) => each.name === chosen.format);
    const set = (key, redraws = false) => (value) => {
      chosen[key] = value;
      if (redraws) draw();
    };
    const name = /** @type {HTMLInputElement} */ (make("input", { id: "import-clip", "data-test": "import-clip", value: chosen.clip,
      placeholder: "Only where there are several", autocomplete: "off" }));
    name.addEventListener("input", () => { chosen.clip = name.value.trim(); });
    const rows = [
      row("Format", choice("import-format", known.map((each) => [each.name, each.title]), chosen.format, set("format", true))),
      row(format.folder ? "Folder or file" : "File", pickers(format)),
      row("Frames", choice("import-match", [["name", "By their names"], ["number", "By the last number in the name"]], chosen.match, set("match", true))),
    ];
    if (chosen.match === "number") rows.push(row("First frame is", number("import-first", { step: 1 }, chosen.first, set("first"))));
    rows.push(row("Clip in the file", name));
    const { server } = store.get();
    refill(menu, [
      make("h2", { text: "Import" }),
      make("p", { class: "soft form-note", text: "Every annotated frame becomes a keyframe. Undo takes the import back." }),
      ...rows,
      make("div", { class: "form-foot" }, [make("button", { class: "button primary wide", icon: "import", "data-test": "import-start",
        disabled: Boolean(server.readonly || busy || !files.length), onclick: start }, [make("span", { text: busy ? "Importing" : "Import" })])]),
    ]);
  }

  /** Buttons that open the browser's choice of files, and what was chosen. */
  function pickers(format) {
    const pick = (test, text, attributes) => {
      const input = /** @type {HTMLInputElement} */ (make("input", { type: "file", "data-test": test, "aria-label": text, class: "visually-hidden", ...attributes }));
      input.addEventListener("change", () => {
        files = [...input.files];
        draw();
      });
      return make("label", { class: "button small" }, [make("span", { text }), input]);
    };
    const names = format.read.map((suffix) => suffix.slice(1).toUpperCase()).join(" or ");
    const file = pick("import-file", names, { accept: format.read.join(",") });
    const buttons = format.folder ? [pick("import-folder", "Folder", { webkitdirectory: true }), file] : [file];
    const one = files[0];
    const text = !one ? "" : files.length === 1 ? one.name : `${one.webkitRelativePath.split("/")[0]}, ${files.length} files`;
    return make("span", { class: "form-files" }, [...buttons, make("span", { class: "soft name", text })]);
  }

  async function start() {
    busy = true;
    draw();
    try {
      await edits.allSent();
      const upload = Array.from(crypto.getRandomValues(new Uint8Array(12)), (one) => one.toString(16).padStart(2, "0")).join("");
      for (const file of files) await send(`/api/uploads/${upload}`, file.webkitRelativePath || file.name, file);
      const { format, match, first, clip } = chosen;
      const answer = await post("/api/import", { upload, format, match, first: match === "number" ? Number(first) : 0, clip: clip || null });
      cache.spoilAll();
      await connection.applyChanges(answer);
      files = [];
      popover.toggle(false);
      const sentences = [store.get().server.history.undo, ...answer.warnings].map((text) => `${text[0].toUpperCase()}${text.slice(1)}.`);
      toast(sentences.join("\n"), answer.warnings.length ? "warning" : "note");
    } catch (error) {
      connection.lost(error);
    } finally {
      busy = false;
      if (popover.shown()) draw();
    }
  }

  return { toggle: () => popover.toggle() };
}
