"""How well the confidence of propagated masks, an expected IoU, agrees with their IoU."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dextr_vos.benchmark.result import CellResult
from dextr_vos.benchmark.statistics import Series, cells_at
from dextr_vos.run_files import UNCERTAIN_IOU

POOR_IOU = 0.6
"""A mask below this IoU ought to be marked."""


@dataclass(frozen=True)
class Calibration:
    """Agreement of confidence and IoU over masks.

    Attributes:
        masks: number of masks: every object in every scored frame without a keyframe.
        error: mean of |confidence − IoU|.
        bias: mean of confidence − IoU; above 0 the masks are worse than they are said to be.
        poor: number of masks with an IoU below 0.6.
        poor_marked: of these, the number that are marked: confidence below 0.79.
        marked: number of masks that are marked.
        marked_rightly: of these, the number with an IoU below 0.79.
    """

    masks: int
    error: float
    bias: float
    poor: int
    poor_marked: int
    marked: int
    marked_rightly: int


def calibration(results: Sequence[CellResult], series: Series, keyframes: int) -> Calibration | None:
    """Agreement over all cells of a curve at a number of keyframes; every mask counts once.

    Args:
        results: of cells.
        series: the curve.
        keyframes: number of keyframes.

    Returns:
        The agreement; None where no result of them holds confidence.
    """
    pairs = [
        (confidence, iou)
        for one in cells_at(results, series, keyframes)
        for each in one.objects
        if each.confidence
        for name, confidence, iou in zip(one.scored, each.confidence, each.j, strict=True)
        if name not in one.keyframes and not math.isnan(iou)
    ]
    if not pairs:
        return None
    expected, iou = np.asarray(pairs, dtype=np.float64).T
    poor, marked = iou < POOR_IOU, expected < UNCERTAIN_IOU
    return Calibration(
        masks=len(iou),
        error=float(np.abs(expected - iou).mean()),
        bias=float((expected - iou).mean()),
        poor=int(poor.sum()),
        poor_marked=int((poor & marked).sum()),
        marked=int(marked.sum()),
        marked_rightly=int((marked & (iou < UNCERTAIN_IOU)).sum()),
    )
