/** The line below the stage: what to do next, the pointer's position, the zoom. */
import { el, setText } from "./dom.js";
import { shownKey } from "./shortcuts.js";
import { chosen, clicking, extremesOf, keyframeAt, pointsOf, refusal } from "./state.js";

const SIDES = ["left", "top", "right", "bottom"];
const NAMES = { left: "leftmost", top: "topmost", right: "rightmost", bottom: "bottommost" };

export function createHint(store, view, cache) {
  const glyph = el("hint-glyph");

  function draw() {
    const values = store.get();
    if (!values.server) return;
    const [lead, rest] = sentence(values);
    const text = el("hint-text");
    const whole = `${lead}\n${rest}`;
    if (text.dataset.whole !== whole) {
      text.dataset.whole = whole;
      const strong = document.createElement("b");
      strong.textContent = lead;
      const more = document.createElement("span");
      more.className = "soft";
      more.textContent = rest;
      text.replaceChildren(strong, ...(rest ? [" ", more] : []));
    }
    drawGlyph(values);
  }

  /** Four dots that fill as points are placed; which sides are still free follows from the points. */
  function drawGlyph(values) {
    const points = extremesOf(pointsOf(values));
    glyph.toggleAttribute("hidden", !clicking(values.tool) || values.tool === "box" || Boolean(refusal(values)) || (!points.length && masked(values)));
    const free = freeSides(points);
    for (const side of SIDES) {
      const dot = glyph.querySelector(`[data-side="${side}"]`);
      dot.classList.toggle("set", !free.includes(side));
      dot.classList.toggle("next", free[0] === side && points.length < 4);
    }
    glyph.toggleAttribute("data-full", points.length >= 4);
  }

  function sentence(values) {
    const reason = refusal(values);
    if (reason) return values.server.readonly ? ["Read-only.", "Nothing can be changed here."] : [reason, ""];
    const { tool, frame, server, point } = values;
    const name = chosen(values)?.name ?? "the object";
    if (tool === "brush") return [`Paint what is missing from ${name}`, `${shownKey("smaller")} and ${shownKey("larger")} change the size, ${shownKey("erase")} erases`];
    if (tool === "erase") return [`Erase what does not belong to ${name}`, `${shownKey("smaller")} and ${shownKey("larger")} change the size, ${shownKey("brush")} paints`];
    if (values.splitting) return [`Draw around the part of ${name} that becomes a new object`, "or click its corners and press Enter; Esc leaves it whole"];
    if (tool === "lasso" && values.lasso.length) return ["Click the next corner", "↵ or a click on the first corner closes the outline; Backspace removes the last corner, Esc all"];
    if (tool === "lasso" && values.closed) return ["Drag a corner to move it", "or click it and press Del to remove it; draw the next outline, or choose another tool, to go on"];
    if (tool === "lasso") return [`Draw around what belongs to ${name}`, "or click its corners and press Enter; hold Alt or the right button to erase"];
    if (tool === "hand") return ["Drag to move the image", `wheel zooms, ${shownKey("fit")} fits it, ${shownKey("click")} goes back to clicking`];
    if (point !== null) return ["Arrow keys move the point", "Shift: ten pixels; Delete removes it, Esc deselects it"];
    const points = extremesOf(pointsOf(values));
    if (points.length > 0 && points.length < 4) return [`Click the ${NAMES[freeSides(points)[0]]} point`, `${4 - points.length} more, in any order`];
    if (!masked(values) && tool === "box") return [`Drag a box around ${name}, or click its middle`, `${shownKey("click")} goes back to the four extreme points, which are more precise`];
    if (!masked(values)) return [`Click the leftmost, topmost, rightmost and bottommost point of ${name}`, `in any order${server.corrects ? "; or Shift-drag a box around it" : ""}`];
    if (!server.corrects) return ["Wrong somewhere?", `Drag a point, click on the true outline, or repair with the brush (${shownKey("brush")})`];
    if (tool === "negative") return [`Click on what does not belong to ${name}`, `Backspace takes the last click back, ${shownKey("click")} goes back to adding`];
    const how = `click on what is missing, right-click (or Alt click) on what does not belong, or use the brush (${shownKey("brush")})`;
    if (server.keyframes[frame]?.corrected) return ["Corrected, not yet a keyframe", `${shownKey("keyframe")} makes it one; Propagate uses it; ${shownKey("discard")} discards it`];
    if (!keyframeAt(server, frame)) return ["Looks right? Go on.", `Otherwise ${how}`];
    return ["Wrong somewhere?", `${how[0].toUpperCase()}${how.slice(1)}`];
  }

  /** Whether there is a mask of the selected object here, which clicks correct. */
  function masked(values) {
    const { server, frame, object } = values;
    return extremesOf(pointsOf(values)).length >= 4 || Boolean(server.keyframes[frame]?.objects[object]?.mask) || cache.holds(frame, object);
  }

  function where() {
    const { pointer } = store.get();
    const pixel = pointer && view.imageWidth ? view.pixelAt(pointer.x, pointer.y) : null;
    setText(el("where"), pixel ? `${pixel[0]}, ${pixel[1]}` : "");
  }

  store.on(["server", "frame", "shown", "object", "tool", "drafts", "point", "comparing", "arrived", "answered", "keys", "splitting", "lasso", "closed"], draw);
  store.on(["pointer"], where);
  store.on(["viewed", "arrived"], () => {
    if (view.imageWidth) setText(el("zoom"), `${Math.round(view.scale * 100)} %`);
  });
}

/**
 * Sides that have no point yet. A single point is taken for the first side that was asked for; of several, each is
 * assigned the side on which it lies farthest out.
 */
export function freeSides(points) {
  const free = new Set(SIDES);
  const rest = points.slice(0, 4);
  if (rest.length === 1) return SIDES.slice(1);
  const out = { left: ([x]) => -x, top: ([, y]) => -y, right: ([x]) => x, bottom: ([, y]) => y };
  const middle = [0, 1].map((axis) => rest.reduce((sum, point) => sum + point[axis], 0) / (rest.length || 1));
  const scored = rest.flatMap((point, index) => SIDES.map((side) => ({
    index, side, score: out[side](point) - out[side](middle),
  }))).sort((a, b) => b.score - a.score);
  const used = new Set();
  for (const { index, side } of scored) {
    if (used.has(index) || !free.has(side)) continue;
    used.add(index);
    free.delete(side);
  }
  return SIDES.filter((side) => free.has(side));
}
