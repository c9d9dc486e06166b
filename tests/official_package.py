"""A stand-in for the official package, for machines that lack it: `davis2017.metrics` by slow definitions."""

import sys
from types import ModuleType

import numpy as np

from dextr_vos.evaluation.metrics import boundary_accuracy, region_similarity


def install(monkeypatch, wrong_by: float = 0.0) -> None:
    """Put the stand-in where it is imported from; its J is wrong by so much."""
    package, metrics, skimage, morphology = (
        ModuleType(name) for name in ("davis2017", "davis2017.metrics", "skimage", "skimage.morphology")
    )
    metrics.db_eval_iou = lambda truth, mask, void=None: (
        np.array([region_similarity(*pair) for pair in zip(truth, mask, strict=True)]) + wrong_by
    )
    metrics.db_eval_boundary = lambda truth, mask, void=None: np.array(
        [boundary_accuracy(*pair) for pair in zip(truth, mask, strict=True)]
    )
    package.metrics, skimage.morphology = metrics, morphology
    for module in (package, metrics, skimage, morphology):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def remove(monkeypatch) -> None:
    """As if the package were not installed."""
    for name in ("davis2017", "davis2017.metrics"):
        monkeypatch.setitem(sys.modules, name, None)
