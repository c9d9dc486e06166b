/**
 * Label PNGs decoded by hand: 8 bits a pixel, grey or indexed, not interlaced.
 * A canvas would do it too, but browsers may alter what they give back (colour management, protection against
 * fingerprinting), and an object number off by one is another object.
 */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<{width: number, height: number, labels: Uint8Array}>}
 */
export async function decodeLabels(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (SIGNATURE.some((value, at) => bytes[at] !== value)) throw new Error("not a PNG");
  let at = 8, width = 0, height = 0;
  const parts = [];
  while (at + 8 <= bytes.length) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const start = at + 8;
    if (kind === "IHDR") {
      width = view.getUint32(start);
      height = view.getUint32(start + 4);
      const [depth, colour, , , interlace] = bytes.subarray(start + 8, start + 13);
      if (depth !== 8 || (colour !== 0 && colour !== 3) || interlace) throw new Error("not a label PNG");
    } else if (kind === "IDAT") parts.push(bytes.subarray(start, start + length));
    else if (kind === "IEND") break;
    at = start + length + 4;
  }
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  return { width, height, labels: unfilter(raw, width, height) };
}

/** Undo the line filters of PNG for one byte a pixel. */
function unfilter(raw, width, height) {
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (width + 1)];
    const source = y * (width + 1) + 1;
    const row = y * width;
    const up = row - width;
    if (filter === 0) out.set(raw.subarray(source, source + width), row);
    else if (filter === 1) {
      for (let x = 0, left = 0; x < width; x++) out[row + x] = left = (raw[source + x] + left) & 255;
    } else if (filter === 2) {
      for (let x = 0; x < width; x++) out[row + x] = raw[source + x] + (y ? out[up + x] : 0);
    } else if (filter === 3) {
      for (let x = 0; x < width; x++) {
        out[row + x] = raw[source + x] + (((x ? out[row + x - 1] : 0) + (y ? out[up + x] : 0)) >> 1);
      }
    } else {
      for (let x = 0; x < width; x++) {
        const a = x ? out[row + x - 1] : 0, b = y ? out[up + x] : 0, c = x && y ? out[up + x - 1] : 0;
        const pa = Math.abs(b - c), pb = Math.abs(a - c), pc = Math.abs(a + b - 2 * c);
        out[row + x] = raw[source + x] + (pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
      }
    }
  }
  return out;
}
