"""Optical flow between neighbouring frames, and masks warped by it."""

import cv2
import numpy as np

from dextr_vos.geometry import FloatArray, fit_longest_side
from dextr_vos.images import ImageRgb

_LONGEST_SIDE = 480  # at which the flow is computed


class Flow:
    """Dense optical flow (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016)."""

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def warp(self, probs: FloatArray, before_rgb: ImageRgb, now_rgb: ImageRgb) -> FloatArray:
        """Soft masks of one frame, warped by the optical flow to its neighbour.

        Args:
            probs: K×H×W float32, of the frame before.
            before_rgb: H×W×3 uint8.
            now_rgb: H×W×3 uint8, the neighbour, later or earlier.

        Returns:
            K×H×W float32; 0 for what comes in from beyond the border.
        """
        height, width = now_rgb.shape[:2]
        small_h, small_w = fit_longest_side((height, width), _LONGEST_SIDE)
        before, now = (
            cv2.resize(
                cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (small_w, small_h), interpolation=cv2.INTER_AREA
            )
            for image in (before_rgb, now_rgb)
        )
        flow = cv2.resize(self._search.calc(now, before, None), (width, height))
        map_x = flow[..., 0] * (width / small_w) + np.arange(width, dtype=np.float32)
        map_y = flow[..., 1] * (height / small_h) + np.arange(height, dtype=np.float32)[:, None]
        moved = [
            cv2.remap(each, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR)
            for each in probs
        ]
        return np.stack(moved).astype(np.float32)
