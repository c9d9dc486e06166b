"""What is kept of a finished cell: `result.json`, and a thumbnail of its best and its worst frame."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dextr_vos.benchmark.grid import Cell
from dextr_vos.benchmark.machine import Machine
from dextr_vos.files import write_text


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class ObjectSeries(_Value):
    """Scores of one object, one value a scored frame.

    Attributes:
        object: its number.
        j: region similarity.
        f: boundary accuracy.
    """

    object: int
    j: tuple[float, ...]
    f: tuple[float, ...]


class Seconds(_Value):
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
        """All but scoring, which nobody needs outside a benchmark."""
        return self.annotate + self.finetune + self.segment


class CellResult(_Value):
    """All that is known of a finished cell.

    Attributes:
        key: see `key_of`.
        cell: what was run.
        frames: names of all frames.
        scored: of those with a score: all but the first and the last.
        keyframes: of those that were annotated.
        annotated: objects in them, one counted a frame: what a person has to click or draw.
        objects: scores.
        keyframe_iou: by keyframe and object, how well its mask agrees with the true one.
        seconds: of computing.
        steps: of fine-tuning, the last one where there were several.
        best: name of the frame with the highest J&F among those without a keyframe.
        worst: of that with the lowest.
        official_difference: largest difference of a J or F from the official package's.
        machine: where it ran.
    """

    format: Literal["dextr-vos benchmark cell"] = "dextr-vos benchmark cell"
    version: Literal[1] = 1
    key: str
    cell: Cell
    frames: tuple[str, ...]
    scored: tuple[str, ...]
    keyframes: tuple[str, ...]
    annotated: int
    objects: tuple[ObjectSeries, ...]
    keyframe_iou: dict[str, dict[int, float]]
    seconds: Seconds
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
        """The result; None where there is none yet, or it is damaged."""
        try:
            result = CellResult.model_validate_json(self.result.read_text(encoding="utf-8"))
        except (FileNotFoundError, UnicodeDecodeError, ValidationError):
            return None
        return result if result.key == self.key else None

    def write(self, result: CellResult) -> None:
        """Write the result atomically; the cell is finished then."""
        write_text(self.result, result.model_dump_json(indent=1) + "\n")


_SECONDS_BETWEEN_WRITES = 2.0
PHASES = ("annotate", "finetune", "segment", "score")


class Stopwatch:
    """Adds up the seconds of each phase over all the times that the work was begun.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.share = 0.0
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self.seconds |= {name: float(content["seconds"][name]) for name in PHASES}
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or cut off: time starts anew, masks do not
        self._last = self._written = time.monotonic()

    def tick(self, phase: str, share: float) -> None:
        """The time since the last tick went into a phase.

        Args:
            phase: one of `PHASES`.
            share: how much of the cell is done, in [0, 1].
        """
        now = time.monotonic()
        self.seconds[phase] += now - self._last
        self._last, self.share = now, share
        if now - self._written > _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write the file now."""
        self._written = time.monotonic()
        write_text(self._path, json.dumps({"seconds": self.seconds, "share": round(self.share, 4)}) + "\n")

    def callback(self, phase: str, start: float, end: float) -> Callable[..., None]:
        """What long work reports to: with done and in all, and whatever follows.

        Args:
            phase: what is done.
            start: share of the cell that is done at its beginning.
            end: and at its end.
        """

        def report(done: int, total: int, *_: object) -> None:
            self.tick(phase, start + (end - start) * min(1.0, done / max(1, total)))

        return report


def share_done(path: Path) -> float:
    """How much of a cell is done, by its file; 0 where there is none."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["share"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
