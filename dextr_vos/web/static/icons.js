/** Icons: strokes on a grid of 20, in the text's colour. */

const SOLID = "fill:";
const PATHS = {
  undo: ["M7.5 4.5 4 8l3.5 3.5", "M4.2 8H12a4 4 0 0 1 0 8H8.5"],
  redo: ["M12.5 4.5 16 8l-3.5 3.5", "M15.8 8H8a4 4 0 0 0 0 8h3.5"],
  export: ["M10 3.5v8.5", "M6.8 6.5 10 3.3l3.2 3.2", "M4 11.5V15a1.5 1.5 0 0 0 1.5 1.5h9A1.5 1.5 0 0 0 16 15v-3.5"],
  download: ["M10 3.5V12", "M6.8 9 10 12.2 13.2 9", "M4 12.5V15a1.5 1.5 0 0 0 1.5 1.5h9A1.5 1.5 0 0 0 16 15v-2.5"],
  moon: ["M15.8 11.6A6.3 6.3 0 0 1 8.4 4.2a6.3 6.3 0 1 0 7.4 7.4Z"],
  sun: ["M10 6.8a3.2 3.2 0 1 0 0 6.4 3.2 3.2 0 0 0 0-6.4Z", "M10 2.5v1.5M10 16v1.5M2.5 10H4M16 10h1.5M4.7 4.7l1 1M14.3 14.3l1 1M4.7 15.3l1-1M14.3 5.7l1-1"],
  half: ["M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z", SOLID + "M10 3.5a6.5 6.5 0 0 1 0 13Z"],
  help: ["M10 3.3a6.7 6.7 0 1 0 0 13.4 6.7 6.7 0 0 0 0-13.4Z", "M8.1 8.1a1.95 1.95 0 1 1 2.9 1.7c-.7.4-1 .8-1 1.5", SOLID + "M10 12.7a.8.8 0 1 0 0 1.6.8.8 0 0 0 0-1.6Z"],
  click: ["M10 2.8v4.4M10 12.8v4.4M2.8 10h4.4M12.8 10h4.4", SOLID + "M10 8.8a1.2 1.2 0 1 0 0 2.4 1.2 1.2 0 0 0 0-2.4Z"],
  negative: ["M10 3.4a6.6 6.6 0 1 0 0 13.2 6.6 6.6 0 0 0 0-13.2Z", "M6.8 10h6.4"],
  brush: ["M16.5 3.5 9.3 10.7", "M9.7 10.3 8 8.7l6.8-6a1.3 1.3 0 0 1 1.9 1.8Z", "M8.2 10.2c-2-.7-3.6.4-3.9 2.3-.2 1.5-.7 2.3-1.6 2.9 3 1.2 6.4.4 6.9-2.4.2-1.2-.4-2.3-1.4-2.8Z"],
  eraser: ["M8.3 15.9 3.7 11.3a1.3 1.3 0 0 1 0-1.9l5.8-5.8a1.3 1.3 0 0 1 1.9 0l4.9 4.9a1.3 1.3 0 0 1 0 1.9l-5.5 5.5Z", "M6.6 6.6l6.8 6.8", "M8.3 15.9H17"],
  hand: ["M6.6 10.8V5.4a1.1 1.1 0 0 1 2.2 0V9M8.8 8.8V4.2a1.1 1.1 0 0 1 2.2 0v4.6M11 8.8V4.9a1.1 1.1 0 0 1 2.2 0v4.6M13.2 9.3V6.9a1.1 1.1 0 0 1 2.2 0v5a5 5 0 0 1-5 5h-.6a5 5 0 0 1-4-2L3.5 11.7a1.2 1.2 0 0 1 1.9-1.5l1.2 1.5"],
  loupe: ["M8.8 3.5a5.3 5.3 0 1 0 0 10.6 5.3 5.3 0 0 0 0-10.6Z", "M12.7 12.7l4 4", "M8.8 6.8v4M6.8 8.8h4"],
  outline: ["M10 3.5c4 0 6.5 2.4 6.5 6 0 4-2.9 7-6.7 7-3.7 0-6.3-2.7-6.3-6.3 0-3.9 2.7-6.7 6.5-6.7Z"],
  fit: ["M3.5 7V4.5a1 1 0 0 1 1-1H7M13 3.5h2.5a1 1 0 0 1 1 1V7M16.5 13v2.5a1 1 0 0 1-1 1H13M7 16.5H4.5a1 1 0 0 1-1-1V13", "M7 8.2h6v3.6H7Z"],
  compare: ["M10 2.8v14.4", "M7.5 5H4.5a1 1 0 0 0-1 1v8a1 1 0 0 0 1 1h3", SOLID + "M12.5 4.3h3A1.7 1.7 0 0 1 17.2 6v8a1.7 1.7 0 0 1-1.7 1.7h-3Z"],
  label: ["M3.5 4.5a1 1 0 0 1 1-1h5l7 7-6 6-7-7Z", SOLID + "M7 5.9a1.1 1.1 0 1 0 0 2.2 1.1 1.1 0 0 0 0-2.2Z"],
  plus: ["M10 4.5v11M4.5 10h11"],
  eye: ["M2.8 10C4.2 6.8 6.9 5 10 5s5.8 1.8 7.2 5c-1.4 3.2-4.1 5-7.2 5s-5.8-1.8-7.2-5Z", "M10 7.9a2.1 2.1 0 1 0 0 4.2 2.1 2.1 0 0 0 0-4.2Z"],
  eyeOff: ["M8.2 5.2A7.6 7.6 0 0 1 10 5c3.1 0 5.8 1.8 7.2 5a9 9 0 0 1-1.7 2.5M12.7 14.4a7.2 7.2 0 0 1-2.7.6c-3.1 0-5.8-1.8-7.2-5a9 9 0 0 1 3.1-3.8", "M4 4l12 12"],
  trash: ["M4 6h12M8 6V4.3h4V6M5.5 6l.6 9.3a1 1 0 0 0 1 .9h5.8a1 1 0 0 0 1-.9L14.5 6"],
  grip: [SOLID + "M7 4a1.3 1.3 0 1 0 0 2.6A1.3 1.3 0 0 0 7 4Zm6 0a1.3 1.3 0 1 0 0 2.6A1.3 1.3 0 0 0 13 4ZM7 8.7a1.3 1.3 0 1 0 0 2.6 1.3 1.3 0 0 0 0-2.6Zm6 0a1.3 1.3 0 1 0 0 2.6 1.3 1.3 0 0 0 0-2.6ZM7 13.4A1.3 1.3 0 1 0 7 16a1.3 1.3 0 0 0 0-2.6Zm6 0a1.3 1.3 0 1 0 0 2.6 1.3 1.3 0 0 0 0-2.6Z"],
  diamond: ["M10 4 16 10 10 16 4 10Z"],
  diamondFill: ["M10 4 16 10 10 16 4 10Z", SOLID + "M10 4 16 10 10 16 4 10Z"],
  lock: ["M5.5 9.2h9a.8.8 0 0 1 .8.8v5.2a.8.8 0 0 1-.8.8h-9a.8.8 0 0 1-.8-.8V10a.8.8 0 0 1 .8-.8Z", "M7 9V6.7a3 3 0 0 1 6 0V9"],
  unlock: ["M5.5 9.2h9a.8.8 0 0 1 .8.8v5.2a.8.8 0 0 1-.8.8h-9a.8.8 0 0 1-.8-.8V10a.8.8 0 0 1 .8-.8Z", "M7 9V6.2a3 3 0 0 1 5.8-1"],
  clear: ["M10 3.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z", "M5.5 5.5l9 9"],
  wand: ["M3.5 6.5v7M6.8 4.5v11M10.1 6.5v7", "M12.6 10h4.6M15 7.7l2.3 2.3L15 12.3"],
  stop: ["M6 6h8v8H6Z"],
  close: ["M5.5 5.5l9 9M14.5 5.5l-9 9"],
  check: ["M4.5 10.5l3.6 3.6 7.4-8"],
  skip: ["M5 5.5l5 4.5-5 4.5M10 5.5l5 4.5-5 4.5"],
  reopen: ["M5 8.2A5.6 5.6 0 1 1 4.5 11", "M4.3 4.8 5 8.5l3.7-.7"],
  first: [SOLID + "M15 5.2v9.6L8 10Z", "M5.7 5.5v9"],
  last: [SOLID + "M5 5.2v9.6L12 10Z", "M14.3 5.5v9"],
  prev: ["M12 5.5 7.5 10l4.5 4.5"],
  next: ["M8 5.5l4.5 4.5L8 14.5"],
  play: [SOLID + "M6.5 4.3v11.4L15.5 10Z"],
  pause: [SOLID + "M6 4.5h2.8v11H6ZM11.2 4.5H14v11h-2.8Z"],
  prevKey: ["M8.2 5.5 3.7 10l4.5 4.5", SOLID + "M13.2 6.4l3.6 3.6-3.6 3.6L9.6 10Z"],
  nextKey: ["M11.8 5.5l4.5 4.5-4.5 4.5", SOLID + "M6.8 6.4l3.6 3.6-3.6 3.6L3.2 10Z"],
  mid: [SOLID + "M4.3 7.7 6.6 10l-2.3 2.3L2 10ZM15.7 7.7 18 10l-2.3 2.3L13.4 10Z", "M10 5v10"],
};

/** @param {keyof typeof PATHS} name @returns {SVGElement} a new icon, hidden from screen readers */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  for (const line of PATHS[name] ?? []) {
    const path = document.createElementNS(space, "path");
    const solid = line.startsWith(SOLID);
    path.setAttribute("d", solid ? line.slice(SOLID.length) : line);
    path.setAttribute("fill", solid ? "currentColor" : "none");
    if (!solid) {
      path.setAttribute("stroke", "currentColor");
      path.setAttribute("stroke-width", "1.4");
      path.setAttribute("stroke-linecap", "round");
      path.setAttribute("stroke-linejoin", "round");
    }
    svg.append(path);
  }
  return svg;
}
