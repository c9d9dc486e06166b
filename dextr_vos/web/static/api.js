/** Requests to the server. Network errors and refusals are told apart: `Offline` and `Refused`. */

/** The server cannot be reached; the same request may go through later. */
export class Offline extends Error {}

/** The server refused; the message is its own sentence. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Where the server's routes are: below the address of the page, since a project has a page for each clip. */
const BASE = location.pathname.replace(/\/$/, "");

/** @param {string} path of a route, as `/api/state` */
export const address = (path) => BASE + path;

/** @param {string} name of a clip of the project @returns {string} the address of its page */
export const clipAddress = (name) => `/clips/${encodeURIComponent(name)}/`;

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(address(path), { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    throw new Offline("The server does not respond.");
  }
  if (answer.ok) return answer;
  let sentence = `The server answered with ${answer.status}.`;
  try {
    sentence = (await answer.json()).error ?? sentence;
  } catch {
    // no JSON: the status must suffice
  }
  throw new Refused(answer.status, sentence);
}

/** GET as JSON. */
export async function get(path) {
  return (await request(path, {})).json();
}

/** POST JSON, answer as JSON. An interrupted answer counts as Offline. */
export async function post(path, body = {}) {
  const answer = await request(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  try {
    return await answer.json();
  } catch {
    throw new Offline("The server's answer was interrupted.");
  }
}

const PIECE = 900_000; // bytes; the server takes no larger requests

/** POST a file in pieces, each of which the server adds to those before. */
export async function send(route, path, file) {
  for (let at = 0; at === 0 || at < file.size; at += PIECE) {
    await request(`${route}?path=${encodeURIComponent(path)}&offset=${at}`, {
      method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file.slice(at, at + PIECE),
    });
  }
}

/**
 * GET an image or a mask; null where there is none (204).
 * @param {AbortSignal} [signal] ends it, as `Offline`
 */
export async function getImage(path, cache = "default", signal = undefined) {
  const answer = await request(path, { cache, signal });
  if (answer.status === 204) return null;
  try {
    return { blob: await answer.blob(), source: answer.headers.get("X-Mask-Source") };
  } catch {
    throw new Offline("The server's answer was interrupted.");
  }
}

/** Bytes of base64. */
export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
