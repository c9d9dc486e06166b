"""Where a person would click to correct a mask: on the object where it is missed, off it where it spills."""

from collections.abc import Iterable

import cv2
import numpy as np

from dextr_vos.annotation.prompts import Click
from dextr_vos.geometry import BoolArray

# errors that are nowhere wider than this need no click, in pixels from the middle to the edge
_LEAST_DEPTH_PX = 1.0


def next_correction(
    mask: BoolArray,
    truth: BoolArray,
    void: BoolArray,
    rng: np.random.Generator | None = None,
    before: Iterable[Click] = (),
) -> Click | None:
    """Where a person would click next to correct a mask: in the middle of its largest error.

    The protocol of RITM (Sofiiuk et al., ICIP 2022).

    Args:
        mask: H×W bool, as it is.
        truth: H×W bool.
        void: H×W bool, nothing is wrong there.
        rng: without one, the pixel farthest from the edge of the error; with one, a random pixel at least
            half as far from it.
        before: clicks made already; the next one is on another pixel.

    Returns:
        A positive click where the object is missed, a negative one where the mask spills; None where no error
        is wider than two pixels.
    """
    depths = []
    for wrong in (truth & ~mask & ~void, mask & ~truth & ~void):
        padded = np.pad(wrong.view(np.uint8), 1)
        depths.append(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1])
    for click in before:
        for depth in depths:
            depth[click.y, click.x] = 0
    missed, spilled = (float(depth.max()) for depth in depths)
    positive = missed >= spilled
    depth, deepest = depths[0 if positive else 1], max(missed, spilled)
    if deepest <= _LEAST_DEPTH_PX:
        return None
    if rng is None:
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    else:
        ys, xs = np.nonzero(depth > deepest / 2)
        chosen = int(rng.integers(len(xs)))
        y, x = ys[chosen], xs[chosen]
    return Click(int(x), int(y), positive)
