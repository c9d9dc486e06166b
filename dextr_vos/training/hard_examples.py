"""Hard examples and their fifth click (Maninis et al., CVPR 2018, interactive segmentation).

A network that has not learned from an object segments it from four clicks. Where the mask is too far from the
true one the object is hard, and a fifth click is put on its outline where the mask is most wrong.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.datasets.instances import Example, ObjectRef, ObjectSet
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.evaluation.interactive import mask_iou
from dextr_vos.evaluation.next_click import next_click
from dextr_vos.files import write_text
from dextr_vos.geometry import IntArray, extreme_points
from dextr_vos.interrupt import StopAsked, never

log = logging.getLogger(__name__)

OnObject = Callable[[int, int], None]
SegmenterFor = Callable[[ObjectRef], Segmenter]
# picture, number, IoU from four clicks, and the fifth click [x, y] where that is too low
_Row = tuple[str, int, float, list[int] | None]

_FORMAT = "dextr-vos hard examples 1"
_SECONDS_BETWEEN_WRITES = 30.0


def find_hard_examples(
    objects: ObjectSet,
    segmenter_for: SegmenterFor,
    below: float,
    path: Path,
    on_object: OnObject | None = None,
    stop_asked: StopAsked = never,
) -> dict[int, IntArray]:
    """Find the hard examples of a data set; what a file holds already is not looked for again.

    Args:
        objects: the data set.
        segmenter_for: the network that has not learned from an object.
        below: an object is hard when the IoU from four clicks is below this.
        path: JSON file of what was found, written now and then.
        on_object: called with objects done and objects in all.
        stop_asked: asked after every object.

    Returns:
        The fifth click, 1×2, of each hard example by its index.

    Raises:
        InputError: the file is broken, or was made of other objects or with another bound.
        Interrupted: a stop was asked for; what was found is in the file.
    """
    rows = _read(path, objects, below)
    written = time.monotonic()
    for index in range(len(rows), len(objects.refs)):
        rows.append(_looked_at(objects.read(index), segmenter_for(objects.refs[index]), below))
        if on_object is not None:
            on_object(len(rows), len(objects.refs))
        stopping = stop_asked() and len(rows) < len(objects.refs)
        if stopping or len(rows) == len(objects.refs) or time.monotonic() > written + _SECONDS_BETWEEN_WRITES:
            _write(path, rows, below)
            written = time.monotonic()
        if stopping:
            raise Interrupted(
                f"stopped after looking for hard examples in {len(rows)} of {len(objects.refs)} objects; "
                "the same command goes on from there"
            )
    _tell(path, rows, below)
    return _clicks(rows)


def read_hard_examples(objects: ObjectSet, below: float, path: Path) -> dict[int, IntArray] | None:
    """What `find_hard_examples` has put into a file; None while there are objects to look at."""
    rows = _read(path, objects, below)
    return _clicks(rows) if len(rows) == len(objects.refs) else None


def _clicks(rows: Sequence[_Row]) -> dict[int, IntArray]:
    return {index: np.array([row[3]], dtype=np.int64) for index, row in enumerate(rows) if row[3] is not None}


def _looked_at(example: Example, segmenter: Segmenter, below: float) -> _Row:
    points = extreme_points(example.mask)
    (prob,) = segmenter.segment(example.image_rgb, [points])
    mask = prob > segmenter.threshold
    iou = mask_iou(mask, example.mask, example.void)
    fifth = next_click(mask, example.mask, example.void, points) if iou < below else None
    return example.ref.image, example.ref.object_id, round(iou, 4), None if fifth is None else list(fifth)


def _tell(path: Path, rows: list[_Row], below: float) -> None:
    hard = [row[2] for row in rows if row[3] is not None]
    mean = f", {np.mean(hard):.3f} on the mean" if hard else ""
    log.info("%s: %d of %d objects have an IoU below %g%s", path.name, len(hard), len(rows), below, mean)


def _write(path: Path, rows: list[_Row], below: float) -> None:
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    write_text(path, f'{{"format": "{_FORMAT}", "below": {below}, "objects": [\n{lines}\n]}}\n')


def _read(path: Path, objects: ObjectSet, below: float) -> list[_Row]:
    """What the file holds, checked against the objects; nothing where there is no file."""
    if not path.exists():
        return []
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        rows: list[_Row] = [
            (str(picture), int(number), float(iou), None if fifth is None else [int(fifth[0]), int(fifth[1])])
            for picture, number, iou, fifth in told["objects"]
        ]
        found = told["format"], told["below"], [row[:2] for row in rows]
    except (ValueError, TypeError, KeyError, IndexError) as fault:
        raise InputError(f"{path} is broken ({fault}); remove it to look for hard examples again") from None
    expected = _FORMAT, below, [(ref.image, ref.object_id) for ref in objects.refs[: len(rows)]]
    if found != expected:
        raise InputError(
            f"{path} is of other objects or another bound than {below:g}; "
            "remove it to look for hard examples again"
        )
    return rows
