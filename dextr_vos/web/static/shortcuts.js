/** The keys of commands: what they are at first, and what somebody made of them, which is kept in this browser. */

const STORED = "dextr-vos.keys";

/** Keys that can be changed, by command, named as `nameOf` does. */
const FIRST = {
  click: "c", box: "shift+b", negative: "a", nextPoint: "q", previousPoint: "shift+q",
  brush: "b", erase: "e", lasso: "y", mask: "i", smaller: "[", larger: "]",
  fit: "f", hand: "h", loupe: "z", compare: "w", sides: "shift+w", clickPreview: "shift+c", outlines: "o", fainter: "u", stronger: "shift+u", overlay: "\\",
  midpoint: "m", suggested: "g", previousDoubt: "shift+PageUp", nextDoubt: "shift+PageDown", play: "p",
  add: "n", label: "t", rename: "F2", show: "v",
  keyframe: "k", discard: "shift+k", lock: "l", propagate: "ctrl+Enter", stop: "ctrl+.", export: "x", import: "shift+x",
  done: "d", skip: "s", reopen: "r", nextOpen: "j",
};

/** @typedef {keyof typeof FIRST} Command */

/** Keys of more than one character that a command can have. */
const NAMED = ["Enter", "Backspace", "Delete", "Insert", "Home", "End", "PageUp", "PageDown", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];

const SIGNS = { Enter: "↵", Delete: "Del", Backspace: "⌫", PageUp: "PgUp", PageDown: "PgDn", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space" };

/** @type {Map<string, string|undefined>} keys that cannot be changed, with the command whose further keys they are */
let fixed = new Map();

/** @type {Record<string, string>} keys that differ from the first ones */
let changed = read();

/** Say which keys cannot be changed; stored ones that are among them, as those of an older version, no longer count. */
export function setFixed(table) {
  fixed = new Map(table.flatMap(({ command, keys = [] }) => keys.map((key) => [key, command])));
  changed = read();
}

/** Run `run` after another tab has changed the keys. */
export function onChangeElsewhere(run) {
  window.addEventListener("storage", (event) => {
    if (event.key !== STORED) return;
    changed = read();
    run();
  });
}

/** What is stored, without what does not fit, as a key that another command has in this version. */
function read() {
  /** @type {Record<string, string>} */
  const found = {};
  try {
    for (const [command, key] of Object.entries(JSON.parse(localStorage.getItem(STORED) ?? "{}"))) {
      const taken = [key, `shift+${key}`].some((each) => fixed.has(each) && fixed.get(each) !== command);
      if (command in FIRST && typeof key === "string" && !taken) found[command] = key;
    }
  } catch {
    // storage may be forbidden, or hold something else
  }
  const keys = Object.entries({ ...FIRST, ...found });
  return Object.fromEntries(Object.entries(found).filter(([command, key]) => !keys.some(([other, taken]) => other !== command && taken === key)));
}

function write() {
  try {
    localStorage.setItem(STORED, JSON.stringify(changed));
  } catch {
    // the keys last until the page is closed
  }
}

/** @param {Command} command @returns {string} its key, as `nameOf` names it */
export const keyOf = (command) => changed[command] ?? FIRST[command];

/** @param {Command} command @returns {string} its key as people read it */
export const shownKey = (command) => shown(keyOf(command));

export const isChanged = (command) => command in changed;
export const anyChanged = () => Object.keys(changed).length > 0;

/** @param {Command} command @param {string} key that no other command has */
export function setKey(command, key) {
  const { [command]: _, ...others } = changed;
  changed = key === FIRST[command] ? others : { ...others, [command]: key };
  write();
}

/** All keys are the first ones again. */
export function resetKeys() {
  changed = {};
  write();
}

/** The name of what is pressed: "k", "shift+k", "ctrl+Enter", "shift+?". */
export function pressedName(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return `${event.ctrlKey || event.metaKey ? "ctrl+" : ""}${event.altKey ? "alt+" : ""}${event.shiftKey ? "shift+" : ""}${key}`;
}

/** The name of a key; whether Shift is held for a sign such as "?" depends on the keyboard, and is left out. */
export const nameOf = (event) => (isSign(event.key) ? pressedName(event).replace("shift+", "") : pressedName(event));

const isSign = (key) => key.length === 1 && key.toLowerCase() === key.toUpperCase() && !/[0-9 ]/.test(key);

/** @param {string} name see `nameOf` @returns {string} the key as people read it */
export function shown(name) {
  const [, before, key] = /^((?:(?:ctrl|alt|shift)\+)*)(.+)$/.exec(name) ?? ["", "", name];
  const held = before.split("+").filter(Boolean).map((one) => one[0].toUpperCase() + one.slice(1));
  return [...held, SIGNS[key] ?? (key.length === 1 ? key.toUpperCase() : key)].join(" ");
}

/**
 * Why a command cannot have a key.
 * @param {Command} command
 * @param {string} name of the key, see `nameOf`
 * @param {string} pressed its other name, see `pressedName`
 * @param {{command?: string, keys: string[], what: string}[]} table all commands; those without a name have fixed keys
 * @returns {string|null}
 */
export function refusalOf(command, name, pressed, table) {
  if (name === FIRST[command]) {
    const other = table.find((one) => one.command && one.command !== command && keyOf(/** @type {Command} */ (one.command)) === name);
    return other ? taken(name, other) : null;
  }
  if (/^(ctrl|alt)\+|^(shift\+)?F\d+$/.test(name)) return `${shown(name)} may belong to the browser. Press a key without Ctrl and Alt.`;
  if (/(^|\+)(Tab| )$/.test(name)) return `${shown(name)} moves around the page or plays the clip. Press another key.`;
  const key = name.replace(/^(ctrl\+|alt\+|shift\+)*/, "");
  if ([...key].length !== 1 && !NAMED.includes(key)) return `${shown(name)} does not work on every keyboard. Press another key.`;
  const other = table.find((one) => one.command !== command && keysOf(one).some((each) => each === name || each === pressed));
  return other ? taken(name, other) : null;
}

const taken = (name, { command, what }) => `${shown(name)} is the key for “${what}”. ${command ? "Press another key, or change that one first." : "It cannot be changed; press another key."}`;

/** @returns {string[]} all keys of an entry of the table */
export const keysOf = ({ command, keys = [] }) => (command ? [keyOf(/** @type {Command} */ (command)), ...keys] : keys);
