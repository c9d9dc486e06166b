/** Propagate: start, progress, cancel, and what to do next. */
import { announce, toast } from "./announce.js";
import { post } from "./api.js";
import { frameState, inWords } from "./confidence.js";
import { el, make, setAttribute, setText } from "./dom.js";
import { PHASES, UNITS } from "./phases.js";
import { correctionsOf, countMasks, keyframesOf, leastCertain } from "./state.js";

export function createJobs(store, connection, navigation, edits) {
  let starting = false;

  function draw() {
    const values = store.get();
    const { server, job } = values;
    if (!server) return;
    const busy = job?.kind === "propagate";
    el("propagate-idle").hidden = busy;
    el("propagate-busy").hidden = !busy;
    if (busy) drawJob(job);
    else drawIdle(values);
  }

  function drawIdle(values) {
    const { server, job, pending } = values;
    const keys = keyframesOf(values).filter((key) => Object.values(server.keyframes[key].objects).some((entry) => entry.mask));
    const corrected = correctionsOf(values).length;
    const button = /** @type {HTMLButtonElement} */ (el("propagate"));
    button.disabled = Boolean(server.readonly) || !(keys.length + corrected) || Boolean(job) || pending > 0;
    for (const one of [button, el("propagate-more")]) one.classList.toggle("primary", !server.masks.done || server.masks.stale);
    setText(/** @type {HTMLElement} */ (button.querySelector("span")), server.confidence ? "Propagate again" : "Propagate");
    const frames = `${keys.length} ${keys.length === 1 ? "keyframe" : "keyframes"}`;
    setText(el("propagate-note"),
      corrected ? `${frames}; ${corrected === 1 ? "1 draft becomes one, too" : `${corrected} drafts become keyframes, too`}.`
        : !keys.length ? "Click an object in one frame first. One keyframe is enough to start with."
        : !server.confidence ? `From ${frames} to all ${server.frames} frames.`
          : !server.masks.done ? `${countMasks(server)} of ${server.frames} frames have masks; the next run makes the others.`
          : server.masks.stale ? `From ${frames}. Another run would change masks.`
            : `All ${server.frames} frames have masks, from ${frames}.`);
    drawSuggestion(server);
  }

  function drawSuggestion(server) {
    const box = el("suggest");
    const index = server.suggested;
    box.hidden = index === null || index === undefined;
    if (box.hidden) return;
    const confidence = server.confidence?.[index];
    const text = confidence === null || confidence === undefined ? "" : inWords(confidence, leastCertain(server, index));
    box.toggleAttribute("data-confident", frameState(confidence ?? 0) === "confident");
    const here = index === store.get().frame;
    const lead = here ? "Annotating this frame would help most" : `Look at frame ${server.names[index] ?? index} next`;
    box.replaceChildren(
      make("span", {}, [make("b", { text: lead }), make("br"), make("span", { class: "soft number", text })]),
      ...(here ? [] : [make("span", { class: "go", text: "Go" })]),
    );
  }

  function drawJob(job) {
    // what is segmented by then stays
    setText(/** @type {HTMLElement} */ (el("cancel").querySelector("span")), job.phase === "segmenting" ? "Stop" : "Cancel");
    setText(el("job-phase"), PHASES[job.phase] ?? job.phase);
    setText(el("job-left"), job.seconds_left === null || job.seconds_left === undefined ? "" : `about ${duration(job.seconds_left)} left`);
    const part = job.total ? job.done / job.total : null;
    const bar = el("job-bar");
    bar.toggleAttribute("data-unknown", part === null);
    /** @type {HTMLElement} */ (bar.firstElementChild).style.width = part === null ? "" : `${(100 * part).toFixed(1)}%`;
    setAttribute(bar, "aria-valuenow", part === null ? null : Math.round(100 * part));
    const words = [];
    const { frames } = store.get().server;
    if (job.total) words.push(`${UNITS[job.phase] ?? ""} ${job.done} of ${job.total}`.trim());
    if (job.phase === "segmenting" && job.total > frames) words.push("both directions");
    if (job.loss !== null && job.loss !== undefined) words.push(`loss ${job.loss.toFixed(3)}`);
    setText(el("job-detail"), words.join(", "));
  }

  /** @param {{direction?: string, frames?: [number, number]}} how of every frame, both ways, where that is not said */
  async function start(how = {}) {
    const { server, job } = store.get();
    if (!server || server.mode === "folder") return;
    if (server.readonly) return void toast(server.readonly, "error");
    if (job || starting) return void announce("Another job is already in progress.");
    starting = true;
    try {
      await edits.allSent(); // a run uses what was done before it
      store.set({ made: new Set() });
      const answer = await post("/api/propagate", how);
      connection.showJob(answer.job);
      if (answer.confirmed) toast(`Propagation has started. ${answer.confirmed === 1 ? "1 draft is a keyframe" : `${answer.confirmed} drafts are keyframes`} now; undo takes that back.`);
      else announce("Propagation has started.");
    } catch (error) {
      connection.lost(error);
    } finally {
      starting = false;
    }
  }

  async function cancel() {
    try {
      /** @type {HTMLButtonElement} */ (el("cancel")).disabled = true;
      await post("/api/cancel");
      announce("Stopping.");
    } catch (error) {
      connection.lost(error);
    } finally {
      /** @type {HTMLButtonElement} */ (el("cancel")).disabled = false;
    }
  }

  el("propagate").addEventListener("click", () => start());
  el("cancel").addEventListener("click", cancel);
  el("suggest").addEventListener("click", () => navigation.suggested());
  store.on(["server", "job", "pending", "frame"], draw);
  return { start, cancel };
}

/** A duration for people. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 2) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  if (minutes < 60) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
