/** Tools, view switches, history, opacity, the saved line: what the bars show and do. */
import { el, setAttribute, setText } from "./dom.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export function createToolbar(store, view, actions) {
  const tools = [...document.querySelectorAll("[data-tool]")];

  function drawTools() {
    const { tool, radius, loupe, outlines, sided } = store.get();
    for (const button of tools) {
      const on = button.dataset.tool === tool;
      setAttribute(button, "aria-checked", String(on));
      setAttribute(button, "tabindex", on ? 0 : -1);
    }
    const brushing = tool === "brush" || tool === "erase";
    el("brush-size-box").hidden = !brushing;
    /** @type {HTMLInputElement} */ (el("brush-size")).value = String(radius);
    setText(el("brush-size-text"), String(radius));
    setAttribute(el("loupe"), "aria-pressed", String(loupe));
    setAttribute(el("outlines"), "aria-pressed", String(outlines));
    setAttribute(el("sides"), "aria-pressed", String(sided));
  }

  function drawHistory() {
    const { server, pending } = store.get();
    if (!server) return;
    for (const verb of ["undo", "redo"]) {
      const button = /** @type {HTMLButtonElement} */ (el(verb));
      const label = server.history[verb];
      const name = verb === "undo" ? "Undo" : "Redo";
      button.disabled = Boolean(server.readonly) || (!label && !(verb === "undo" && pending));
      setAttribute(button, "data-tip", label ? `${name}: ${label}` : name);
      setAttribute(button, "aria-label", label ? `${name}: ${label}` : name);
    }
  }

  function drawSaved() {
    const { server, pending, online } = store.get();
    const box = el("saved");
    if (!server) return;
    const waiting = `${pending} ${pending === 1 ? "change" : "changes"}`;
    const state = pending ? (online ? "saving" : "waiting") : "saved";
    setAttribute(box, "data-state", state);
    setText(el("saved-text"), state === "waiting" ? `${waiting} not saved yet`
      : state === "saving" ? "Saving" : server.readonly ? "Read-only"
        : server.saved ? `Saved ${clock.format(new Date(server.saved))}` : "Nothing to save yet");
  }

  function drawTitle() {
    const { server, frame, shown } = store.get();
    if (!server) return;
    const title = server.mode === "folder" ? server.names[frame] ?? server.title : server.title;
    setText(el("title"), title);
    setAttribute(el("title"), "data-tip", title.length > 24 ? title : null);
    document.title = `${server.title} – dextr-vos`;
    const size = server.size ?? (shown === frame && view.imageWidth ? [view.imageWidth, view.imageHeight] : null);
    setText(el("size"), size ? `${size[0]} × ${size[1]}` : "");
    el("app").dataset.mode = server.mode;
  }

  function drawBanners() {
    const { server, online, lost, pending } = store.get();
    const offline = el("banner-offline");
    offline.hidden = online;
    if (!online) {
      const kept = pending ? ` ${pending === 1 ? "One change is waiting" : `${pending} changes are waiting`} here and will be sent.` : "";
      setText(offline, lost ? `The server was restarted. Open the address that dextr-vos annotate printed now, in this browser.${kept}`
        : `The server does not respond. Trying to reconnect.${kept}`);
    }
    el("banner-readonly").hidden = !server?.readonly;
    if (server?.readonly) setText(el("banner-readonly"), server.readonly);
    el("app").toggleAttribute("data-readonly", Boolean(server?.readonly));
  }

  for (const button of tools) button.addEventListener("click", () => actions.tool(button.dataset.tool));
  el("tools").addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const at = tools.findIndex((button) => button.dataset.tool === store.get().tool);
    const next = tools[(at + by + tools.length) % tools.length];
    actions.tool(next.dataset.tool);
    next.focus();
  });
  el("undo").addEventListener("click", actions.undo);
  el("redo").addEventListener("click", actions.redo);
  el("fit").addEventListener("click", actions.fit);
  el("zoom").addEventListener("click", actions.actualSize);
  el("loupe").addEventListener("click", actions.loupe);
  el("outlines").addEventListener("click", actions.outlines);
  el("sides").addEventListener("click", actions.sides);
  el("brush-size").addEventListener("input", (event) => store.set({ radius: Number(event.target.value) }));
  const opacity = /** @type {HTMLInputElement} */ (el("opacity"));
  opacity.addEventListener("input", () => store.set({ opacity: Number(opacity.value) / 100, overlay: true }));

  store.on(["tool", "radius", "loupe", "outlines", "sided"], drawTools);
  store.on(["server", "pending"], drawHistory);
  store.on(["server", "pending", "online"], drawSaved);
  store.on(["server", "frame", "shown", "arrived"], drawTitle);
  store.on(["server", "online", "lost", "pending"], drawBanners);
  store.on(["opacity"], () => { opacity.value = String(Math.round(store.get().opacity * 100)); });
  drawTools();
  opacity.value = String(Math.round(store.get().opacity * 100));
}
