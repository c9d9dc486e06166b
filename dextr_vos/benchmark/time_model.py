"""Seconds that people spend: those of the DEXTR paper, or measured from `annotations.json`."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dextr_vos.annotation.annotations import FORMAT, read_json
from dextr_vos.benchmark.settings import CLICK_S, DRAW_S, Supervision
from dextr_vos.errors import InputError
from dextr_vos.files import write_text

# whoever does not click for longer has gone for coffee
LONGEST_GAP_S = 5.0


class TimeModel(BaseModel):
    """What one object in one frame costs a person.

    Attributes:
        click_s: seconds to click it.
        draw_s: seconds to draw it.
        measured: how many objects of how many frames `click_s` is the mean of; 0: it is as given.
        median_s: median of these.
    """

    model_config = ConfigDict(frozen=True)
    click_s: float = CLICK_S
    draw_s: float = DRAW_S
    measured: int = 0
    median_s: float | None = None

    def seconds(self, supervision: Supervision, annotated: int) -> float:
        """Seconds for so many objects, counted once a frame."""
        return annotated * (self.draw_s if supervision == "gt" else self.click_s)

    def __str__(self) -> str:
        clicked = f"{self.click_s:.3g} s an object and frame clicked"
        if self.measured:
            clicked += f" (mean of {self.measured} measured, median {self.median_s:.3g} s)"
        return f"{clicked}, {self.draw_s:.3g} s drawn"


def measured_times(paths: Sequence[Path], draw_s: float = DRAW_S) -> TimeModel:
    """The time model whose clicks take as long as they took people.

    Args:
        paths: `annotations.json` files, or folders that are searched for them.
        draw_s: seconds to draw an object.

    Raises:
        InputError: there is no such file, it is no `annotations.json`, or none tells a time.
    """
    seconds = [value for path in _documents(paths) for value in object_seconds(path)]
    if not seconds:
        told = ", ".join(str(path) for path in paths)
        raise InputError(
            f"no time can be told from {told}; expected clicks of people with their times, "
            "as the annotation page writes them"
        )
    return TimeModel(
        click_s=statistics.mean(seconds),
        draw_s=draw_s,
        measured=len(seconds),
        median_s=statistics.median(seconds),
    )


def object_seconds(path: Path) -> list[float]:
    """Seconds that each object of each keyframe took, as far as an `annotations.json` tells.

    An object's own `seconds` count where it has them. Elsewhere they are added up from the times of clicks
    that people made: each gap between one click of the document and the next belongs to the object of the
    latter, and gaps of more than 5 s are left out.

    Raises:
        InputError: the file is no `annotations.json`.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f'{path} is no annotations file: expected "format": "{FORMAT}"')
    told: dict[tuple[str, str], float] = {}
    clicks: list[tuple[datetime, tuple[str, str]]] = []
    try:
        for frame, keyframe in content["keyframes"].items():
            for number, clicked in keyframe["objects"].items():
                place = (frame, number)
                if clicked.get("seconds") is not None:
                    told[place] = float(clicked["seconds"])
                clicks += [(time, place) for time in _human_times(clicked["points"])]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise InputError(f"{path} is damaged; docs/formats.md describes annotations.json") from None
    clicks.sort(key=lambda click: click[0])
    added: dict[tuple[str, str], float] = {}
    for (before, _), (time, place) in pairwise(clicks):
        gap = (time - before).total_seconds()
        if gap <= LONGEST_GAP_S:
            added[place] = added.get(place, 0.0) + gap
    return [value for value in (added | told).values() if value > 0]


def save_times(path: Path, times: TimeModel) -> None:
    """Write a time model as JSON."""
    write_text(path, times.model_dump_json(indent=1) + "\n")


def load_times(path: Path) -> TimeModel:
    """Read a time model; the paper's where there is none."""
    try:
        return TimeModel.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, ValidationError):
        return TimeModel()


def _human_times(points: Iterable[dict[str, Any]]) -> Iterator[datetime]:
    for point in points:
        if point["origin"] == "human":
            yield datetime.fromisoformat(point["time"])


def _documents(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("annotations.json")) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"the folder {path} holds no annotations.json")
        found += inside
    return found
