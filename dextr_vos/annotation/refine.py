"""Where a network is unsure, the colours of what it is sure of decide.

The cut is that of GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004).
"""

import cv2
import numpy as np

from dextr_vos.geometry import FloatArray
from dextr_vos.pictures import ImageRgb

# what the network is sure of teaches the colour models and stays as it is
_SURE = 0.9
# weight of the cut beside the network's own mask
_CUT_WEIGHT = 0.6


def refine_by_colour(prob: FloatArray, image_rgb: ImageRgb) -> FloatArray:
    """A soft mask mixed with a graph cut that follows the colours of its certain pixels.

    Args:
        prob: H×W in [0, 1].
        image_rgb: H×W×3 uint8, the same crop.

    Returns:
        H×W float32 in [0, 1]; `prob` itself where it has no certain object or no certain background.
    """
    sure = np.where(prob > _SURE, cv2.GC_FGD, np.where(prob < 1 - _SURE, cv2.GC_BGD, -1))
    if not (sure == cv2.GC_FGD).any() or not (sure == cv2.GC_BGD).any():
        return prob
    unsure = np.where(prob > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    labels = np.where(sure < 0, unsure, sure).astype(np.uint8)
    cv2.setRNGSeed(0)  # its k-means draws from OpenCV's global generator
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(image_rgb, labels, None, background, foreground, 1, cv2.GC_INIT_WITH_MASK)
    cut = (labels & 1).astype(np.float32)
    return np.asarray((1 - _CUT_WEIGHT) * prob + _CUT_WEIGHT * cut, dtype=np.float32)
