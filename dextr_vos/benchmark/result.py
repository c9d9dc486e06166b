"""Results of cells: the folder of a cell with its files, its thumbnails, and the time that it took."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from dextr_vos.benchmark.grid import Cell
from dextr_vos.benchmark.machine import Machine
from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path, read_text, write_text
from dextr_vos.geometry import fit_longest_side
from dextr_vos.images import ImageRgb
from dextr_vos.masks import VOID, Labels, display_colour, object_ids


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


# null in JSON, NaN here: an object that comes later has no score in the frames before
Score = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


class ObjectSeries(_Value):
    """Scores of one object, one value a scored frame.

    Attributes:
        object: its id in the masks.
        j: region similarity; NaN in frames before it appears.
        f: boundary accuracy, likewise.
        confidence: expected IoU of its mask, in [0, 1]; empty in results of older versions.
    """

    object: int
    j: tuple[Score, ...]
    f: tuple[Score, ...]
    confidence: tuple[float, ...] = ()


class ComputeSeconds(_Value):
    """Seconds of computing.

    Attributes:
        annotate: clicks to masks.
        finetune: fine-tuning.
        segment: segmenting all frames.
        score: scoring them.
    """

    annotate: float
    finetune: float
    segment: float
    score: float

    @property
    def total(self) -> float:
        """All but scoring, which is of the benchmark alone."""
        return self.annotate + self.finetune + self.segment


class CellResult(_Value):
    """`result.json`: the result of a finished cell.

    Attributes:
        key: see `key_of`.
        cell: what was run.
        frames: names of all frames.
        scored: of those with a score: all that have a true mask, but the first and the last.
        keyframes: of those that were annotated.
        annotated: objects in them, counted once a frame: what a person has to click or draw.
        objects: scores.
        keyframe_iou: by keyframe and object, IoU of its mask with the true one.
        seconds: of computing.
        steps: of fine-tuning; of the last one where frames were suggested.
        best: name of the frame with the highest J&F among those without a keyframe.
        worst: name of the one with the lowest.
        official_difference: largest difference of a J or F from the official package's.
        machine: where it ran.
    """

    format: Literal["dextr-vos benchmark cell"] = "dextr-vos benchmark cell"
    version: Literal[1, 2] = 2
    key: str
    cell: Cell
    frames: tuple[str, ...]
    scored: tuple[str, ...]
    keyframes: tuple[str, ...]
    annotated: int
    objects: tuple[ObjectSeries, ...]
    keyframe_iou: dict[str, dict[int, float]]
    seconds: ComputeSeconds
    steps: int
    best: str
    worst: str
    official_difference: float | None = None
    machine: Machine


class CellFolder:
    """The paths of one cell.

    Args:
        root: the benchmark's folder.
        key: of the cell.
    """

    def __init__(self, root: Path, key: str) -> None:
        self.path = root / "cells" / key
        self.key = key
        self.result = self.path / "result.json"
        self.failure = self.path / "failure.txt"
        self.state = self.path / "state.json"
        self.work = self.path / "work"
        self.best = self.path / "best.jpg"
        self.worst = self.path / "worst.jpg"

    def read(self) -> CellResult | None:
        """The result; None where it is missing or damaged."""
        try:
            result = CellResult.model_validate_json(read_text(self.result))
        except (FileNotFoundError, InputError, ValidationError):
            return None
        return result if result.key == self.key else None

    def write(self, result: CellResult) -> None:
        """Write the result atomically; the cell is finished then."""
        write_text(self.result, result.model_dump_json(indent=1) + "\n")


_WRITE_INTERVAL_S = 2.0
PHASES = ("annotate", "finetune", "segment", "score")


class Stopwatch:
    """Adds up the seconds of each phase, over interruptions too.

    Args:
        path: JSON file that keeps the seconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.share = 0.0
        try:
            content = json.loads(read_text(path))
            self.seconds |= {name: float(content["seconds"][name]) for name in PHASES}
        except (OSError, InputError, ValueError, ArithmeticError, KeyError, TypeError):
            pass  # missing or cut off: time starts at 0 again, masks do not
        self._last = self._written = time.monotonic()

    def tick(self, phase: str, share: float) -> None:
        """Add the time since the last tick to a phase.

        Args:
            phase: one of `PHASES`.
            share: share of the cell that is done, in [0, 1].
        """
        now = time.monotonic()
        self.seconds[phase] += now - self._last
        self._last, self.share = now, share
        if now - self._written > _WRITE_INTERVAL_S:
            self.write()

    def write(self) -> None:
        """Write the file now."""
        self._written = time.monotonic()
        write_text(self._path, json.dumps({"seconds": self.seconds, "share": round(self.share, 4)}) + "\n")

    def callback(self, phase: str, start: float, end: float) -> Callable[..., None]:
        """A callback for work that reports the number of steps done, and in all.

        Args:
            phase: one of `PHASES`.
            start: share of the cell that is done before the work.
            end: share that is done after it.
        """

        def report(done: int, total: int, *_: object) -> None:
            self.tick(phase, start + (end - start) * min(1.0, done / max(1, total)))

        return report


def share_done(path: Path) -> float:
    """Share of a cell that is done, as its file says; 0 without a file."""
    try:
        return float(json.loads(read_text(path))["share"])
    except (OSError, InputError, ValueError, ArithmeticError, KeyError, TypeError):
        return 0.0


_THUMBNAIL_PX = 320
_QUALITY = 72
_COLOURS = np.array([(0, 0, 0), *(display_colour(each) for each in range(1, 256))], dtype=np.uint8)


def thumbnail(image_rgb: ImageRgb, labels: Labels, truth: Labels) -> ImageRgb:
    """A small image of a frame with its mask.

    Args:
        image_rgb: H×W×3 uint8.
        labels: H×W uint8, the mask.
        truth: H×W uint8; its outline is drawn.
    """
    height, width = fit_longest_side((image_rgb.shape[0], image_rgb.shape[1]), _THUMBNAIL_PX)
    small: ImageRgb = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA)
    mask, true = (
        cv2.resize(each, (width, height), interpolation=cv2.INTER_NEAREST) for each in (labels, truth)
    )
    inside = (mask != 0) & (mask != VOID)
    small[inside] = (0.45 * small[inside] + 0.55 * _COLOURS[mask[inside]]).astype(np.uint8)
    for object_id in object_ids(true):
        outlines, _ = cv2.findContours(
            (true == object_id).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(small, outlines, -1, (255, 255, 255), 1, cv2.LINE_AA)
    return small


def write_thumbnail(path: Path, clip: Clip, index: int, labels: Labels, truth: Labels) -> None:
    """Write the thumbnail of one frame as JPEG."""
    image = thumbnail(clip.read(index), labels, truth)
    _, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.tobytes())
