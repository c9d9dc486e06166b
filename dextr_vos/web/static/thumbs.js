/** Thumbnails with the masks over them, on the film strip and above the timeline. */
import { address } from "./api.js";

/** What a frame's mask looks like now; another text when it may have changed. */
export function maskLook(index, cache, server) {
  return `${cache.turn(index)}.${server.objects.filter((one) => one.visible).map((one) => `${one.id}${one.colour.slice(1)}`).join("")}`;
}

/**
 * Show a frame in one image and its masks in another, which is hidden where there are none.
 * @param {HTMLImageElement} image
 * @param {HTMLImageElement} mask
 */
export function showThumb(image, mask, index, cache, server) {
  const source = address(`/api/thumbs/${index}`);
  const masked = `${source}/mask?v=${maskLook(index, cache, server)}`;
  const reveal = () => { mask.style.visibility = image.complete && mask.complete && mask.naturalWidth ? "" : "hidden"; };
  if (image.getAttribute("src") !== source) {
    mask.style.visibility = "hidden"; // never over another frame
    image.onload = reveal;
    image.src = source;
  }
  if (mask.getAttribute("src") === masked) return;
  mask.onload = mask.onerror = reveal;
  mask.src = masked;
}
