"""Seconds of a person's time: those of the DEXTR paper, or measured from `annotations.json`."""

import statistics
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dextr_vos.annotation.annotations import Annotations, ObjectClicks, load_annotations
from dextr_vos.benchmark.settings import CLICK_S, Supervision
from dextr_vos.errors import InputError
from dextr_vos.files import read_text, write_text
from dextr_vos.masks import DRAW_S

# a longer gap between two clicks is a pause, not work
LONGEST_GAP_S = 5.0


class AnnotationTime(BaseModel):
    """What one object in one frame costs a person.

    Attributes:
        click_s: seconds to click it.
        draw_s: seconds to draw it.
        measured: how many objects `click_s` is the mean of, counted once a frame; 0 when it was given.
        median_s: median seconds of these objects; None when `click_s` was given.
    """

    model_config = ConfigDict(frozen=True)
    click_s: float = CLICK_S
    draw_s: float = DRAW_S
    measured: int = 0
    median_s: float | None = None

    def seconds(self, supervision: Supervision, annotated: int) -> float:
        """Seconds for a number of annotated objects, counted once a frame."""
        return annotated * (self.draw_s if supervision == "gt" else self.click_s)

    def __str__(self) -> str:
        clicked = f"{self.click_s:.3g} s per object and frame clicked"
        if self.measured:
            clicked += f" (mean of {self.measured} measured, median {self.median_s:.3g} s)"
        return f"{clicked}, {self.draw_s:.3g} s drawn"


def measured_annotation_time(paths: Sequence[Path], draw_s: float = DRAW_S) -> AnnotationTime:
    """The annotation time with the mean seconds that people needed for an object's clicks.

    Args:
        paths: `annotations.json` files, or folders that are searched for them.
        draw_s: seconds to draw an object.

    Raises:
        InputError: a file is missing or not an `annotations.json`, or none of them holds a time.
    """
    seconds = [value for path in _documents(paths) for value in object_seconds(load_annotations(path))]
    if not seconds:
        names = ", ".join(str(path) for path in paths)
        raise InputError(
            f"no time can be measured from {names}; expected objects that people clicked, with seconds or "
            "times of their clicks, as the annotation page writes them"
        )
    return AnnotationTime(
        click_s=statistics.mean(seconds),
        draw_s=draw_s,
        measured=len(seconds),
        median_s=statistics.median(seconds),
    )


def object_seconds(document: Annotations) -> list[float]:
    """Seconds that each object in each keyframe took a person to click.

    The document's own `seconds` count where it records them. Elsewhere they are added up from the times of
    the clicks: each gap between one click of the document and the next belongs to the object of the latter,
    and gaps of more than 5 s are left out. Objects without clicks of people, objects that were painted and
    corrected masks are left out.

    Args:
        document: a workspace's annotations.
    """
    clicks = sorted(
        (datetime.fromisoformat(point.time), (frame, object_id))
        for frame, keyframe in document.keyframes.items()
        for object_id, clicked in keyframe.objects.items()
        for point in clicked.points
        if point.origin == "human"
    )
    from_clicks: dict[tuple[str, int], float] = {}
    for (before, _), (time, place) in pairwise(clicks):
        gap = (time - before).total_seconds()
        if gap <= LONGEST_GAP_S:
            from_clicks[place] = from_clicks.get(place, 0.0) + gap
    seconds = [
        document.seconds.get(frame, {}).get(object_id, from_clicks.get((frame, object_id), 0.0))
        for frame, keyframe in document.keyframes.items()
        for object_id, clicked in keyframe.objects.items()
        if _clicked_by_a_person(clicked)
    ]
    return [value for value in seconds if value > 0]


def save_annotation_time(path: Path, time: AnnotationTime) -> None:
    """Write an annotation time as JSON."""
    write_text(path, time.model_dump_json(indent=1) + "\n")


def load_annotation_time(path: Path) -> AnnotationTime:
    """Read an annotation time; that of the DEXTR paper when the file is missing or damaged."""
    try:
        return AnnotationTime.model_validate_json(read_text(path))
    except (FileNotFoundError, InputError, ValidationError):
        return AnnotationTime()


def _clicked_by_a_person(clicked: ObjectClicks) -> bool:
    return not (clicked.painted or clicked.without_clicks) and any(
        point.origin == "human" for point in clicked.points
    )


def _documents(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("annotations.json")) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"the folder {path} holds no annotations.json; give one of a workspace")
        found += inside
    return found
