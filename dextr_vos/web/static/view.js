/** Where the image is on the stage: scale and offset in CSS pixels, and the conversion between pixels and pointer. */
import { clamp } from "./dom.js";

const MARGIN = 20;
const LARGEST = 64;
/** A click this near to the image (CSS pixels) still means its border: extreme points often lie there. */
const REACH = 40;

export class View {
  constructor() {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.width = 1;
    this.height = 1;
    this.imageWidth = 0;
    this.imageHeight = 0;
    this.fitted = true;
    /** Side by side, the stage has two halves, each of which shows all. */
    this.sided = false;
    /** From the left edge of the stage to the half that the pointer is in. */
    this.offset = 0;
  }

  /** The stage's size in CSS pixels; `sided`: in two halves. */
  resize(width, height, sided = false) {
    this.sided = sided;
    const second = sided && this.offset > 0; // a gesture stays in the half in which it began
    this.width = sided ? width / 2 : width;
    this.offset = second ? this.width : 0;
    this.height = height;
    if (this.fitted) this.fit();
    else this.hold();
  }

  /** The image's size in pixels; another size is fitted again. */
  setImage(width, height) {
    if (width === this.imageWidth && height === this.imageHeight) return;
    this.imageWidth = width;
    this.imageHeight = height;
    this.fit();
  }

  /** @returns {number[]} where the halves begin */
  offsets() {
    return this.sided ? [0, this.width] : [0];
  }

  /** Something at `cx` on the stage happens in that half. */
  chooseHalf(cx) {
    this.offset = this.sided && cx >= this.width ? this.width : 0;
  }

  get fitScale() {
    const margin = Math.min(MARGIN, this.width * 0.03);
    const scale = Math.min((this.width - 2 * margin) / this.imageWidth, (this.height - 2 * margin) / this.imageHeight);
    return scale > 0 && Number.isFinite(scale) ? Math.min(scale, 8) : 1;
  }

  fit() {
    this.fitted = true;
    this.scale = this.fitScale;
    this.centre();
  }

  centre() {
    this.x = (this.width - this.imageWidth * this.scale) / 2;
    this.y = (this.height - this.imageHeight * this.scale) / 2;
  }

  /** Zoom so that the image under (cx, cy) stays there. */
  zoomTo(scale, cx = this.width / 2, cy = this.height / 2) {
    const next = clamp(scale, Math.min(this.fitScale * 0.5, 0.5), LARGEST);
    const [x, y] = this.toImage(cx, cy);
    this.scale = next;
    this.x = cx - x * next;
    this.y = cy - y * next;
    this.fitted = false;
    this.hold();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.hold();
  }

  /** Keep part of the image on the stage. */
  hold() {
    const keep = 60;
    this.x = clamp(this.x, keep - this.imageWidth * this.scale, this.width - keep);
    this.y = clamp(this.y, keep - this.imageHeight * this.scale, this.height - keep);
  }

  /** Stage to image, fractions kept. */
  toImage(cx, cy) {
    return [(cx - this.x) / this.scale, (cy - this.y) / this.scale];
  }

  /** Image to stage. */
  toStage(x, y) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  /** The pixel under the pointer, clamped to the image; null when too far from it. */
  pixelAt(cx, cy) {
    if (!this.imageWidth) return null;
    const [x, y] = this.toImage(cx, cy);
    const reach = REACH / this.scale;
    if (x < -reach || y < -reach || x > this.imageWidth + reach || y > this.imageHeight + reach) return null;
    return [clamp(Math.floor(x), 0, this.imageWidth - 1), clamp(Math.floor(y), 0, this.imageHeight - 1)];
  }
}
