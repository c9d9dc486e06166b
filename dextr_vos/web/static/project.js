/** The page of a project: its clips with their progress, and the way to each. */
import { clipAddress, get, post } from "./api.js";
import { el, make, setAttribute, setText } from "./dom.js";
import { PHASES, UNITS } from "./phases.js";

const AGAIN_MS = 2000;

const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;

/** @returns {"open"|"begun"|"run"|"done"} how far a clip is; done when no run and no person would change it */
export function stateOf({ frames, keyframes, drafts, masks, stale, lost, job }) {
  if (job) return "run";
  if (masks && frames !== null && masks >= frames && !drafts && !stale && !lost) return "done";
  return keyframes || drafts || masks ? "begun" : "open";
}

/** Whether a run would make or change masks. */
export function canRun(clip) {
  if (clip.job || clip.queued || !(clip.keyframes || clip.drafts)) return false;
  return Boolean(clip.drafts || clip.stale || clip.frames === null || clip.masks < clip.frames);
}

const withDrafts = (drafts) => (drafts ? ` with ${drafts === 1 ? "its draft" : `its ${drafts} drafts`}` : "");

const partOf = (job) => (job.total ? [`${UNITS[job.phase] ?? ""} ${job.done} of ${job.total}`.trim()] : []);

/** What has been done on a clip, in words. */
export function wordsOf(clip) {
  if (clip.queued) return clip.queued === 1 ? "next in the queue" : `number ${clip.queued} in the queue`;
  if (clip.job) return [clip.job.kind === "export" ? "exporting" : (PHASES[clip.job.phase] ?? "propagating").toLowerCase(), ...partOf(clip.job)].join(", ");
  const words = [];
  if (clip.keyframes) words.push(many(clip.keyframes, "keyframe"));
  if (clip.drafts) words.push(many(clip.drafts, "draft"));
  if (clip.masks) words.push(clip.masks === clip.frames ? "masks in all frames" : `masks in ${many(clip.masks, "frame")}`);
  if (clip.masks && clip.uncertain) words.push(`${clip.uncertain} uncertain`);
  if (clip.masks && clip.lost) words.push(`${clip.lost} with a lost object`);
  if (clip.stale) words.push("another run would change masks");
  if (clip.failed) words.push(`the run failed: ${clip.failed}`);
  return words.join(", ") || "not started";
}

/** The button that lets masks be propagated, or stops that; beside the link, since a link holds no button. */
function buttonOf(clip) {
  if (clip.queued) return { text: "Remove from queue", path: "/api/project/dequeue", body: { name: clip.name }, test: "dequeue" };
  if (clip.job?.kind === "propagate") return clip.job.phase === "stopping" ? null : { text: "Stop", path: "/api/project/dequeue", body: { name: clip.name }, test: "stop" };
  return canRun(clip) ? { text: `Propagate${withDrafts(clip.drafts)}`, path: "/api/project/queue", body: { names: [clip.name] }, test: "run" } : null;
}

function makeButton(clip, { text, path, body, test }) {
  return make("button", { class: "button small", text, "aria-label": `${text}: ${clip.name}`, "data-test": `${test}-${clip.name}`, "data-clip": clip.name, onclick: () => change(path, body) });
}

function makeRow(clip) {
  return make("li", {}, [make("a", { class: "clip", href: clipAddress(clip.name), "data-test": `clip-${clip.name}` }, [
    make("img", { src: `/api/project/${encodeURIComponent(clip.name)}/thumb`, alt: "", loading: "lazy" }),
    make("span", { class: "words" }, [make("b", { text: clip.name }), make("span", { class: "soft number" })]),
    make("span", { class: "progress-words" }, [make("span", { class: "number" }), make("span", { class: "meter" }, [make("span")])]),
  ])]);
}

/** Show a clip in its row, which stays: what is replaced while it is pressed is not clicked. */
function drawRow(row, clip) {
  const find = (selector) => /** @type {HTMLElement} */ (row.querySelector(selector));
  setAttribute(find("a"), "data-state", stateOf(clip));
  setText(find(".words .number"), clip.frames === null ? "" : many(clip.frames, "frame"));
  setText(find(".progress-words .number"), wordsOf(clip));
  const part = clip.job?.total ? clip.job.done / clip.job.total : clip.frames ? clip.masks / clip.frames : 0;
  find(".meter span").style.width = `${Math.round(100 * Math.min(1, part))}%`;
  const wanted = buttonOf(clip), button = find("button");
  if (button?.textContent === wanted?.text) return;
  button?.remove();
  if (wanted) row.append(makeButton(clip, wanted));
}

let drawn = "";

function draw({ title, clips }) {
  const text = JSON.stringify(clips);
  if (text === drawn) return;
  drawn = text;
  const focused = document.activeElement?.getAttribute("data-test"), clip = document.activeElement?.getAttribute("data-clip");
  setText(el("project-title"), title);
  document.title = `${title} – dextr-vos`;
  const done = clips.filter((clip) => stateOf(clip) === "done").length;
  setText(el("project-count"), `${many(clips.length, "clip")}, ${done} done`);
  const list = el("clips"), names = clips.map((clip) => clip.name).join("\n");
  if (list.dataset.names !== names) list.replaceChildren(...clips.map(makeRow));
  list.dataset.names = names;
  clips.forEach((clip, place) => drawRow(list.children[place], clip));
  const next = clips.find((clip) => stateOf(clip) === "begun") ?? clips.find((clip) => stateOf(clip) === "open");
  const go = /** @type {HTMLAnchorElement} */ (el("project-go"));
  go.hidden = !next;
  if (next) {
    go.href = clipAddress(next.name);
    setText(go, `${stateOf(next) === "begun" ? "Continue with" : "Start with"} ${next.name}`);
  }
  drawAll(clips.filter(canRun));
  // a button that was pressed has become another one of the same clip
  const restored = (focused && document.querySelector(`[data-test="${CSS.escape(focused)}"]`))
    || (clip && (document.querySelector(`[data-clip="${CSS.escape(clip)}"]`) ?? document.querySelector(`[data-test="${CSS.escape(`clip-${clip}`)}"]`)));
  if (restored) /** @type {HTMLElement} */ (restored).focus();
}

/** One button for all clips that a run would change. */
function drawAll(clips) {
  const button = /** @type {HTMLButtonElement} */ (el("project-run"));
  const drafts = clips.reduce((sum, clip) => sum + clip.drafts, 0);
  button.hidden = clips.length < 2;
  setText(button, `Propagate ${clips.length} clips${drafts ? ` with ${many(drafts, "draft")}` : ""}`);
  button.onclick = () => change("/api/project/queue", { names: clips.map((clip) => clip.name) });
}

let asked = 0, shown = 0;

/** Draw an answer, unless that of a later request was drawn already. */
async function show(answer) {
  const turn = asked += 1;
  const found = await answer;
  if (turn < shown) return;
  shown = turn;
  draw(found);
}

async function change(path, body) {
  try {
    await show(post(path, body));
    el("project-error").hidden = true;
  } catch (error) {
    setText(el("project-error"), error.message);
    el("project-error").hidden = false;
  }
}

let again = 0;

async function refresh() {
  try {
    await show(get("/api/project"));
    el("project-error").hidden = true;
  } catch (error) {
    setText(el("project-error"), error.message);
    el("project-error").hidden = false;
  }
  if (!document.hidden) again = window.setTimeout(refresh, AGAIN_MS);
}

document.addEventListener("visibilitychange", () => {
  window.clearTimeout(again);
  if (!document.hidden) refresh();
});
refresh();
