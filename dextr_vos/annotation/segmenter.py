"""What every engine offers that turns clicks into masks, and how its soft masks become one label picture."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from dextr_vos.geometry import FloatArray, IntArray, sort_extremes
from dextr_vos.masks import Labels, labels_from_probs
from dextr_vos.pictures import ImageRgb


class Segmenter(Protocol):
    """An engine: extreme points in, soft masks out.

    Attributes:
        name: as `annotations.json` records it.
        threshold: a pixel belongs to an object where its probability is above this.
    """

    name: str
    threshold: float

    def segment(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """Soft masks of several objects of one picture.

        Args:
            image_rgb: H×W×3 uint8.
            objects_xy: per object N×2 points, N ≥ 4, ordered left, right, top, bottom, others.

        Returns:
            Per object H×W float32 in [0, 1], zero outside the box of its points.
        """
        ...


def label_frame(segmenter: Segmenter, image_rgb: ImageRgb, objects_xy: Mapping[int, IntArray]) -> Labels:
    """Labels of one picture from the clicks on its objects.

    Args:
        segmenter: the engine.
        image_rgb: H×W×3 uint8.
        objects_xy: per object number N×2 points in any order.

    Returns:
        H×W uint8 labels; where objects compete, the more probable one has the pixel.
    """
    if not objects_xy:
        return np.zeros(image_rgb.shape[:2], dtype=np.uint8)
    probs = segmenter.segment(image_rgb, [sort_extremes(points) for points in objects_xy.values()])
    numbers = np.array([0, *objects_xy], dtype=np.uint8)
    labels: Labels = numbers[labels_from_probs(probs, segmenter.threshold)]
    return labels
