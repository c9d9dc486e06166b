/** The line below the stage: what to do next, the pointer's position, the zoom. */
import { el, setText } from "./dom.js";
import { chosen, keyframeAt, pointsOf, refusal } from "./state.js";

const SIDES = ["left", "top", "right", "bottom"];
const NAMES = { left: "leftmost", top: "topmost", right: "rightmost", bottom: "lowest" };

export function createHint(store, view) {
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
      text.replaceChildren(strong, ...(rest ? [more] : []));
    }
    drawGlyph(values);
  }

  /** Four dots that fill as points are placed; which sides are still free follows from the points. */
  function drawGlyph(values) {
    const points = pointsOf(values);
    const clicking = values.tool === "click" && !refusal(values);
    glyph.toggleAttribute("hidden", !clicking);
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
    if (reason) return values.server.readonly ? ["Read only.", "Nothing can be changed here."] : [reason, ""];
    const { tool, frame, server, point } = values;
    const name = chosen(values)?.name ?? "the object";
    if (tool === "brush") return [`Paint what is missing from ${name}`, "[ and ] change the size, E erases"];
    if (tool === "erase") return [`Erase what does not belong to ${name}`, "[ and ] change the size, B paints"];
    if (tool === "hand") return ["Drag to move the image", "wheel zooms, F fits it, C goes back to clicking"];
    const points = pointsOf(values);
    if (point !== null) return ["Arrow keys move the point", "Shift: ten pixels; Delete removes it, Esc deselects it"];
    if (points.length >= 4) return ["Wrong somewhere?", "Drag a point, click on the part that is missing, or repair with the brush (B)"];
    if (points.length > 0) return [`Click the ${NAMES[freeSides(points)[0]]} point`, `${4 - points.length} more, in any order`];
    const made = server.masks.done && !keyframeAt(server, frame);
    if (made) return ["Correct? Go on.", `Otherwise click the four extreme points of ${name}, or repair it with the brush (B)`];
    if (server.keyframes[frame]?.objects[values.object]?.mask) {
      return [`${name} has a mask here`, "Repair it with the brush (B), or click its four extreme points again"];
    }
    return [`Click the leftmost point of ${name}`, "then the top, the right and the bottom, in any order"];
  }

  function where() {
    const { pointer } = store.get();
    const pixel = pointer && view.imageWidth ? view.pixelAt(pointer.x, pointer.y) : null;
    setText(el("where"), pixel ? `${pixel[0]}, ${pixel[1]}` : "");
  }

  store.on(["server", "frame", "object", "tool", "drafts", "point"], draw);
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
