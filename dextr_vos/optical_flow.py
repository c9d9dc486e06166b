"""Dense optical flow (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016)."""

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.geometry import FloatArray, fit_longest_side
from dextr_vos.images import ImageRgb

_FLOW_SIDE = 480  # at which masks' flow is computed


def backward_flow(before: npt.NDArray[np.uint8], now: npt.NDArray[np.uint8]) -> FloatArray:
    """From each pixel of an image to where it was in the one before.

    Args:
        before: H×W uint8, grey.
        now: H×W uint8, grey.

    Returns:
        H×W×2 float32, x and y in pixels.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(now, before, None), np.float32)


def warp_masks(probs: FloatArray, before_rgb: ImageRgb, now_rgb: ImageRgb) -> FloatArray:
    """Soft masks of one frame, warped by the optical flow to its neighbour.

    Args:
        probs: K×H×W float32, of the frame before.
        before_rgb: H×W×3 uint8.
        now_rgb: H×W×3 uint8, the neighbour, later or earlier.

    Returns:
        K×H×W float32; 0 for what comes in from beyond the border.
    """
    height, width = now_rgb.shape[:2]
    small_h, small_w = fit_longest_side((height, width), _FLOW_SIDE)
    before, now = (
        cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (small_w, small_h), interpolation=cv2.INTER_AREA)
        for image in (before_rgb, now_rgb)
    )
    flow = cv2.resize(backward_flow(before, now), (width, height))
    map_x = flow[..., 0] * (width / small_w) + np.arange(width, dtype=np.float32)
    map_y = flow[..., 1] * (height / small_h) + np.arange(height, dtype=np.float32)[:, None]
    moved = [
        cv2.remap(each, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR)
        for each in probs
    ]
    return np.stack(moved).astype(np.float32)
