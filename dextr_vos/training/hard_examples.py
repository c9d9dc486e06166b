"""Hard examples and their fifth click (Maninis et al., CVPR 2018, interactive segmentation).

A network that has not learned from an object segments it from four clicks. Where the mask is too far from the
true one the object is hard, and a fifth click is put on its outline where the mask is most wrong.
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch

from dextr_vos.annotation.segmenter import Segmenter, load_segmenter
from dextr_vos.datasets.instances import Concat, Example, ObjectRef, ObjectSet, OnObject, Subset
from dextr_vos.datasets.registry import fold_of
from dextr_vos.errors import ConfigError, InputError, Interrupted
from dextr_vos.evaluation.interactive import mask_iou
from dextr_vos.evaluation.next_click import next_click
from dextr_vos.files import read_json, write_text
from dextr_vos.geometry import IntArray, extreme_points
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.training.dextr_settings import DextrData, HardSettings
from dextr_vos.training.processes import is_main_process

log = logging.getLogger(__name__)

HARD_EXAMPLES = "hard_examples.json"
HARD_VALIDATION = "hard_validation.json"

SegmenterFor = Callable[[ObjectRef], Segmenter]
# image, object_id, IoU from four clicks, and the fifth click [x, y] where that is too low
_Row = tuple[str, int, float, list[int] | None]

_FORMAT = "dextr-vos hard examples 1"
_SECONDS_BETWEEN_WRITES = 30.0
_SECONDS_BETWEEN_POLLS = 1.0


def check_networks(hard: HardSettings) -> None:
    """Make sure that hard examples can be searched for, before anything is written.

    Raises:
        ConfigError: a network learned from the wrong fold.
        WeightsError: a network's checkpoint is missing or broken.
    """
    for fold, path in enumerate((hard.first, hard.second)):
        metadata = read_metadata(path) if path.suffix == ".safetensors" else {}
        # trainings of an earlier version wrote "half"
        found = metadata.get("fold", metadata.get("half"))
        if found not in (None, str(fold)):
            raise ConfigError(
                f"expected hard.{('first', 'second')[fold]} to have been trained on fold {fold}, got {path} "
                f"of fold {found}"
            )
        load_segmenter(weights=path, device="cpu")


def with_hard_examples(
    data: DextrData,
    out: Path,
    hard: HardSettings,
    device: torch.device | None = None,
    on_object: OnObject | None = None,
    stop_asked: StopAsked = never,
) -> DextrData:
    """The hard examples of the data alone, each with its fifth click; see `find_hard_examples`.

    They are kept in the folder of the training. Of several processes the main one searches, the others wait.

    Args:
        data: to train and to validate on.
        out: folder of the training.
        hard: the networks and the bound.
        device: None takes the best there is.
        on_object: called with objects done and objects in all.
        stop_asked: asked after every object.

    Raises:
        InputError: there is no hard example.
        WeightsError: a network's checkpoint is missing or broken.
        Interrupted: a stop was asked for.
    """
    joined = Concat(data.sets)
    if is_main_process():
        segmenter = _networks(hard, device)
        find = partial(find_hard_examples, below=hard.below, on_object=on_object, stop_asked=stop_asked)
        sets_xy = find(joined, lambda ref: segmenter(fold_of(ref.image)), path=out / HARD_EXAMPLES)
        validation_xy = find(data.validation, lambda _: segmenter(1), path=out / HARD_VALIDATION)
    else:
        sets_xy = _awaited(joined, hard.below, out / HARD_EXAMPLES, stop_asked)
        validation_xy = _awaited(data.validation, hard.below, out / HARD_VALIDATION, stop_asked)
    if not sets_xy:
        raise InputError(
            f"none of {len(joined.refs)} objects has an IoU below hard.below={hard.below:g}, so there is no "
            "hard example to train on; raise hard.below"
        )
    return _only_hard(data, sets_xy, validation_xy)


def find_hard_examples(
    objects: ObjectSet,
    segmenter_for: SegmenterFor,
    below: float,
    path: Path,
    on_object: OnObject | None = None,
    stop_asked: StopAsked = never,
) -> dict[int, IntArray]:
    """Find the hard examples of a data set; objects that the file holds are not segmented again.

    Args:
        objects: the data set.
        segmenter_for: the network that has not learned from an object.
        below: an object is hard when the IoU from four clicks is below this.
        path: JSON file of what was found, written every half minute.
        on_object: called with objects done and in all.
        stop_asked: asked after every object.

    Returns:
        The fifth click, 1×2, of each hard example by its index.

    Raises:
        InputError: the file is broken, or was made of other objects or with another bound.
        Interrupted: a stop was asked for; what was found is in the file.
    """
    rows = _read(path, objects, below)
    count, written = len(objects.refs), time.monotonic()
    for index in range(len(rows), count):
        rows.append(_judge(objects.read(index), segmenter_for(objects.refs[index]), below))
        if on_object is not None:
            on_object(len(rows), count)
        stopping = stop_asked() and len(rows) < count
        if stopping or len(rows) == count or time.monotonic() > written + _SECONDS_BETWEEN_WRITES:
            _write(path, rows, below)
            written = time.monotonic()
        if stopping:
            done = f"stopped after looking for hard examples in {len(rows)} of {count} objects"
            raise Interrupted(f"{done}; the same command resumes")
    _log_counts(path, rows, below)
    return _clicks(rows)


def read_hard_examples(objects: ObjectSet, below: float, path: Path) -> dict[int, IntArray] | None:
    """What `find_hard_examples` has put into a file; None while there are objects left."""
    rows = _read(path, objects, below)
    return _clicks(rows) if len(rows) == len(objects.refs) else None


def _networks(hard: HardSettings, device: torch.device | None) -> Callable[[int], Segmenter]:
    """For each fold the network that has not learned from it, read when it is first asked for."""

    @cache
    def segmenter(fold: int) -> Segmenter:
        path = hard.first if fold == 1 else hard.second
        return load_segmenter(weights=path, device="auto" if device is None else str(device))

    return segmenter


def _awaited(objects: ObjectSet, below: float, path: Path, stop_asked: StopAsked) -> dict[int, IntArray]:
    """What the main process finds."""
    while (found := read_hard_examples(objects, below, path)) is None:
        if stop_asked():
            raise Interrupted("stopped while the main process looked for hard examples")
        time.sleep(_SECONDS_BETWEEN_POLLS)
    return found


def _only_hard(
    data: DextrData, sets_xy: Mapping[int, IntArray], validation_xy: Mapping[int, IntArray]
) -> DextrData:
    """The objects with a fifth click alone."""
    starts = accumulate((len(part.refs) for part in data.sets[:-1]), initial=0)
    sets = [
        _only(part, [index - start for index in sets_xy])
        for part, start in zip(data.sets, starts, strict=True)
    ]
    return DextrData(
        sets, _only(data.validation, validation_xy), _renumbered(sets_xy), _renumbered(validation_xy)
    )


def _only(objects: ObjectSet, indices: Collection[int]) -> Subset:
    chosen = set(indices)
    return Subset(objects, lambda _, index: index in chosen)


def _renumbered(clicks_xy: Mapping[int, IntArray]) -> dict[int, IntArray]:
    """The same clicks by the indices that the objects have without all others."""
    return {new: clicks_xy[index] for new, index in enumerate(sorted(clicks_xy))}


def _clicks(rows: Sequence[_Row]) -> dict[int, IntArray]:
    return {index: np.array([row[3]], dtype=np.int64) for index, row in enumerate(rows) if row[3] is not None}


def _judge(example: Example, segmenter: Segmenter, below: float) -> _Row:
    points = extreme_points(example.mask)
    (prob,) = segmenter.probabilities(example.image_rgb, [points])
    mask = prob > segmenter.threshold
    iou = mask_iou(mask, example.mask, example.void)
    fifth = next_click(mask, example.mask, example.void, points) if iou < below else None
    return example.ref.image, example.ref.object_id, round(iou, 4), None if fifth is None else list(fifth)


def _log_counts(path: Path, rows: list[_Row], below: float) -> None:
    hard = [row[2] for row in rows if row[3] is not None]
    mean = f", mean {np.mean(hard):.3f}" if hard else ""
    log.info("%s: %d of %d objects have an IoU below %g%s", path.name, len(hard), len(rows), below, mean)


def _write(path: Path, rows: list[_Row], below: float) -> None:
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    write_text(path, f'{{"format": "{_FORMAT}", "below": {below}, "objects": [\n{lines}\n]}}\n')


def _read(path: Path, objects: ObjectSet, below: float) -> list[_Row]:
    """The rows of a file, checked against the objects; none where there is no file."""
    if not path.exists():
        return []
    try:
        content = read_json(path)
        rows: list[_Row] = [
            (str(image), int(object_id), float(iou), None if fifth is None else [int(v) for v in fifth[:2]])
            for image, object_id, iou, fifth in content["objects"]
        ]
        found = content["format"], content["below"], [row[:2] for row in rows]
    except (InputError, ValueError, ArithmeticError, TypeError, LookupError) as error:
        raise InputError(f"{path} is broken ({error}); remove it to look for hard examples again") from None
    expected = _FORMAT, below, [(ref.image, ref.object_id) for ref in objects.refs[: len(rows)]]
    if found != expected:
        raise InputError(
            f"{path} is of other objects or another bound than {below:g}; "
            "remove it to look for hard examples again"
        )
    return rows
