"""Scores by the official package `davis2017`, where it is installed, to hold ours against.

The package is not on the package index; its users install it from its repository.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import InputError
from dextr_vos.evaluation.scores import ObjectScores
from dextr_vos.mask_file import mask_files, plain_name
from dextr_vos.masks import VOID, read_labels
from dextr_vos.workspace import ResultMasks


@dataclass(frozen=True)
class OfficialFunctions:
    """What `davis2017.metrics` computes: truth and mask, each N×H×W, to one value a frame."""

    region: Callable[..., Any]
    boundary: Callable[..., Any]


def official_functions() -> OfficialFunctions:
    """The official functions.

    Raises:
        InputError: the package, or scikit-image, which it needs, is not installed.
    """
    try:
        import skimage.morphology  # noqa: F401  the package imports it only when it scores
        from davis2017.metrics import db_eval_boundary, db_eval_iou
    except ImportError as error:
        raise InputError(
            f"the official scorer needs the package davis2017 and scikit-image ({error}); "
            "install davis2017-evaluation from its repository, or leave the official scores out"
        ) from None
    return OfficialFunctions(db_eval_iou, db_eval_boundary)


def official_scores(
    davis: Davis, results: Path, scores: Sequence[ObjectScores], year: int
) -> list[ObjectScores]:
    """The same frames and objects, scored by the official functions.

    Args:
        davis: the data set.
        results: folder of results, as `evaluate` reads it.
        scores: by our functions; they say what to score.
        year: 2016 or 2017.

    Raises:
        InputError: the official package is not installed.
    """
    functions = official_functions()
    found = []
    for one in scores:
        masks = ResultMasks.find(results / one.clip)
        truths = mask_files(davis.annotations / one.clip)
        truth, mask = [], []
        for name in one.frames:
            true = read_labels(truths[plain_name(str(name))])
            labels = read_labels(masks.mask_path(str(name)))
            if year == 2016:
                truth.append((true != 0) & (true != VOID))
                mask.append(labels != 0)
            else:
                truth.append(true == one.object_id)
                mask.append(labels == one.object_id)
        both = np.stack(truth), np.stack(mask)
        j, f = (np.asarray(each(*both), np.float64) for each in (functions.region, functions.boundary))
        found.append(ObjectScores(one.clip, one.object_id, one.frames, j, f))
    return found


def largest_difference(one: Sequence[ObjectScores], other: Sequence[ObjectScores]) -> float:
    """The largest difference of any J or F of any frame between two scorings of the same frames."""
    gaps = [
        np.abs(getattr(mine, measure) - getattr(theirs, measure)).max()
        for mine, theirs in zip(one, other, strict=True)
        for measure in ("j", "f")
    ]
    return float(max(gaps))


def official_clip_scores(davis: Davis, results: Path, clip: str) -> list[ObjectScores]:
    """A clip of DAVIS 2017 read and scored as the official script does it, step by step.

    Args:
        davis: the data set; frames themselves are not read.
        results: `<clip>/<frame>.png`.
        clip: its name.

    Raises:
        InputError: the official package is not installed.
    """
    functions = official_functions()
    from davis2017.davis import DAVIS
    from davis2017.results import Results

    data = DAVIS(str(davis.root), "semi-supervised", "val", sequences=[clip], codalab=True)
    # without frames it expects no masks; it looks for nothing else in the list of frames
    data.sequences[clip]["masks"] = [str(path) for path in davis.annotation_paths(clip)]
    truths, _, names = data.get_all_masks(clip, True)
    truths, names = truths[:, 1:-1], names[1:-1]
    masks = Results(root_dir=str(results)).read_masks(clip, names)
    if len(masks) < len(truths):
        masks = np.concatenate([masks, np.zeros((len(truths) - len(masks), *masks.shape[1:]))])
    return [
        ObjectScores(
            clip,
            place + 1,
            tuple(names),
            np.asarray(functions.region(truth, masks[place], None), np.float64),
            np.asarray(functions.boundary(truth, masks[place], None), np.float64),
        )
        for place, truth in enumerate(truths)
    ]
