"""The record of a run: what it was made of, as `run.json` and as metadata of its network."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dextr_vos.errors import InputError
from dextr_vos.files import write_text
from dextr_vos.frames import Clip


class RunObject(BaseModel):
    """An object of the run: its number in the masks and its name."""

    model_config = ConfigDict(frozen=True)
    id: int
    name: str


class RunClip(BaseModel):
    """The clip a run was made on; the path is for people, the identity tells clips apart."""

    model_config = ConfigDict(frozen=True)
    path: str
    frames: int
    size_hw: tuple[int, int]
    identity: str

    @staticmethod
    def of(clip: Clip) -> "RunClip":
        """The entry of an open clip."""
        return RunClip(
            path=str(clip.path.resolve()), frames=len(clip), size_hw=clip.size_hw, identity=clip.identity
        )

    def __str__(self) -> str:
        return f"{self.path} ({self.frames} frames of {self.size_hw[1]}×{self.size_hw[0]})"


class RunTraining(BaseModel):
    """How fine-tuning went.

    Attributes:
        steps: done.
        stop: "settled", "step limit" or "time limit".
        loss: mean of the last steps, before a share of what was learned was taken back.
        kept: that share, from 0 to 1, see `Recipe.kept`.
        seconds: spent.
        keyframe_iou: per object, how well the network repeats the masks it was taught with.
    """

    model_config = ConfigDict(frozen=True)
    steps: int
    stop: str
    loss: float
    seconds: float
    kept: float = 1.0
    keyframe_iou: dict[int, float] = {}


class RunRecord(BaseModel):
    """What made a run: `run.json`, and the metadata of its network.

    Attributes:
        fingerprint: changes with everything that determines the network, so that a finished training is
            never repeated and an outdated one never kept.
        basis: like it, but for the keyframes; a correction goes on from a network of the same basis.
        keyframe_digests: of the keyframes' masks, by their names.
        went_on_from: fingerprint of the run whose network this one began with, after a correction.
        smallest_part: per object, share of its largest part that another part of a mask must have to stay.
    """

    model_config = ConfigDict(frozen=True)
    format: Literal["dextr-vos run"] = "dextr-vos run"
    version: Literal[1] = 1
    network: str
    clip: RunClip
    objects: tuple[RunObject, ...]
    keyframes: tuple[str, ...]
    longest_side: int | None
    settings: dict[str, Any]
    parent: str | None
    seed: int
    training: RunTraining
    fingerprint: str
    basis: str = ""
    keyframe_digests: dict[str, str] = {}
    went_on_from: str | None = None
    smallest_part: dict[int, float] = {}


def read_record(path: Path) -> RunRecord:
    """Read `run.json`.

    Raises:
        InputError: it is damaged.
    """
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
        raise InputError(
            f"{path} is damaged or of another release of dextr-vos; give another --out folder"
        ) from None


def write_record(path: Path, record: RunRecord) -> None:
    """Write `run.json` atomically."""
    write_text(path, record.model_dump_json(indent=1) + "\n")


def keyframe_names(path: Path) -> list[str]:
    """The annotated frames that a `run.json` notes; other fields are not looked at.

    Raises:
        InputError: it notes none, or is damaged.
    """
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["keyframes"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f'expected {path} to hold "keyframes": ["00000", …], the names of the annotated frames, '
            "and found no such list; mend it, or give the folder of the masks itself"
        ) from None
    return names
