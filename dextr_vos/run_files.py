"""A run: what `propagate` leaves of one clip in a folder, its files and their formats.

```
RUN/run.json               what made the run: model, clip, keyframes, settings, fingerprint
RUN/network.safetensors    the fine-tuned network, with the same record in its metadata
RUN/masks/<frame>.png      the mask of every frame
RUN/confidence.json        how reliable the masks are, by frame and object
RUN/training.pt            the checkpoint of an unfinished fine-tuning
RUN/.next-<digest>/        a run that is not finished yet; it replaces the one above once it is
RUN/.lock                  held by the process at work
```
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from dextr_vos.clip import Clip, is_clip_folder
from dextr_vos.errors import InputError, counted
from dextr_vos.files import read_json, read_text, refuse_links, write_text

POOR_IOU = 0.6  # a network that repeats a keyframe's mask with a lower IoU has not learned it
_PENDING = ".next-"
_DIGEST = re.compile("[0-9a-f]+")


@dataclass(frozen=True)
class RunPaths:
    """The files of a run, or of one that is not finished yet.

    Attributes:
        path: the folder; it need not exist.
    """

    path: Path

    @property
    def record(self) -> Path:
        """What made the run, see `RunRecord`."""
        return self.path / "run.json"

    @property
    def network(self) -> Path:
        """The fine-tuned network."""
        return self.path / "network.safetensors"

    @property
    def masks(self) -> Path:
        """Folder of the masks."""
        return self.path / "masks"

    def mask(self, name: str) -> Path:
        """The mask of the frame `name`."""
        return self.masks / f"{name}.png"

    @property
    def confidence(self) -> Path:
        """How reliable the masks are, see `read_confidence`."""
        return self.path / "confidence.json"

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of an unfinished fine-tuning."""
        return self.path / "training.pt"

    @property
    def confidence_log(self) -> Path:
        """In a pending run: the confidence of the masks so far, a line a frame."""
        return self.masks / ".confidence.jsonl"

    @property
    def passes(self) -> Path:
        """In a pending run: folder of soft masks in progress."""
        return self.masks / ".passes"

    @property
    def complete(self) -> Path:
        """In a pending run: an empty file that says that it is whole and may replace the older one."""
        return self.path / "ready"

    def pending(self, digest: str) -> "RunPaths":
        """A run that is not finished yet, in a hidden folder of this one.

        Args:
            digest: hexadecimal, tells runs of other keyframes or settings apart.
        """
        return RunPaths(self.path / f"{_PENDING}{digest}")

    def all_pending(self) -> list["RunPaths"]:
        """Every run in this folder that is not finished, the one with the latest mask last."""
        found = [
            RunPaths(path)
            for path in self.path.glob(f"{_PENDING}*")
            if _DIGEST.fullmatch(path.name.removeprefix(_PENDING)) and path.is_dir()
        ]
        return sorted(found, key=lambda run: _modified(run.masks))

    @property
    def exists(self) -> bool:
        """Whether the folder holds a finished run, or what is left of one."""
        return any(file.exists() for file in (self.record, self.network, self.masks, self.confidence))

    def check_links(self) -> None:
        """Refuse symbolic links among the files of the run; all who write into it call this first.

        Raises:
            InputError: there is one.
        """
        pending = (run.path for run in self.all_pending())
        refuse_links(self.record, self.network, self.masks, self.confidence, self.checkpoint, *pending)


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


class RunObject(BaseModel):
    """An object of the run: its id in the masks and its name."""

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

    def change_to(self, clip: Clip) -> str:
        """What has changed since at the place of this clip, in a few words; "" where `clip` is elsewhere."""
        now = RunClip.of(clip)
        if self.path != now.path:
            return ""
        if self.frames != now.frames:
            return f"{counted(self.frames, 'frame')} then, {now.frames} now"
        if self.size_hw != now.size_hw:
            return "{1}×{0} pixels then, {3}×{2} now".format(*self.size_hw, *now.size_hw)
        return "other names, or another first frame"

    def __str__(self) -> str:
        return f"{self.path} ({counted(self.frames, 'frame')} of {self.size_hw[1]}×{self.size_hw[0]})"


class RunSpan(BaseModel):
    """Consecutive frames whose masks were made alike.

    Attributes:
        first: name of the first frame.
        last: name of the last frame.
        before: name of the keyframe from which they were tracked forward, None where they were not.
        after: name of the keyframe from which they were tracked backward, None where they were not.
        digest: of these keyframes and of the settings; masks with another one are outdated.
    """

    model_config = ConfigDict(frozen=True)
    first: str
    last: str
    before: str | None
    after: str | None
    digest: str


class RunTraining(BaseModel):
    """How fine-tuning went.

    Attributes:
        steps: number of steps done.
        stop: why it ended: "converged", "step limit" or "time limit".
        loss: mean loss of the last steps, before the weights were interpolated.
        seconds: time spent.
        alpha: weight of the fine-tuned network in its interpolation with the parent, in [0, 1].
        keyframe_iou: per object, IoU of the network's masks of the keyframes with those it was trained on.
    """

    model_config = ConfigDict(frozen=True)
    steps: int
    stop: str
    loss: float
    seconds: float
    alpha: float = 1.0
    keyframe_iou: dict[int, float] = {}


_RENAMED = {
    "network": "model",
    "basis": "base_fingerprint",
    "went_on_from": "continued_from",
    "smallest_part": "min_component_share",
    "kept": "alpha",
}


class RunRecord(BaseModel):
    """What made a run: `run.json`, and the metadata of its network.

    Attributes:
        model: "lite" or "paper".
        objects: the objects, one a channel of the network.
        keyframes: names of the annotated frames.
        longest_side: longest side of the resized frame, in pixels; None where frames keep their size.
        settings: of the training, as KEY=VALUE changes them.
        parent: checkpoint that fine-tuning started from.
        fingerprint: digest of everything that determines the network, so that a finished training is never
            repeated and an outdated one never kept.
        base_fingerprint: the same without the keyframes; a correction continues from a network whose base
            fingerprint is equal.
        keyframe_digests: digests of the keyframes' masks and frames, by frame name.
        continued_from: fingerprint of the run whose network this one started from, after a correction.
        min_component_share: per object, the size from which on a connected component of its mask is always
            kept, as a share of its largest one; smaller ones where they are not doubtful, see `postprocess`.
        spans: how the masks were made that are no keyframes'; frames in none of them have no mask, or that of
            an earlier keyframe. None in the metadata of the network, and in older runs, where all masks
            were made from the keyframes on both sides.
        cuts: names of the first frames of new shots; None in the metadata of the network, and in older runs.
        flashes: names of frames that interrupt a shot, up to three in a row, in which nothing is tracked.
        files_state: digest of names, sizes and times of the clip's files, by which they are known to be the
            same without being read; "" for frames in memory, and in older runs.
        frames_digest: of the contents of all frames, from which masks are made again when it changes; "" in
            the metadata of the network, and in older runs.
    """

    model_config = ConfigDict(frozen=True)
    format: Literal["dextr-vos run"] = "dextr-vos run"
    version: Literal[2] = 2
    model: str
    clip: RunClip
    objects: tuple[RunObject, ...]
    keyframes: tuple[str, ...]
    longest_side: int | None
    settings: dict[str, Any]
    parent: str | None
    seed: int
    training: RunTraining
    fingerprint: str
    base_fingerprint: str = ""
    keyframe_digests: dict[str, str] = {}
    continued_from: str | None = None
    min_component_share: dict[int, float] = {}
    spans: tuple[RunSpan, ...] | None = None
    cuts: tuple[str, ...] | None = None
    flashes: tuple[str, ...] = ()
    files_state: str = ""
    frames_digest: str = ""

    @property
    def across_cuts(self) -> bool:
        """Whether objects were tracked from one shot into the next."""
        return bool(self.settings.get("tracking", {}).get("across_cuts"))

    @model_validator(mode="before")
    @classmethod
    def _from_version_1(cls, values: Any) -> Any:
        """Runs of version 1 open under today's names; their fingerprints match no run of today."""
        if not isinstance(values, dict) or values.get("version") != 1:
            return values
        values = {_RENAMED.get(key, key): value for key, value in values.items()} | {"version": 2}
        values["model"] = {"osvos": "paper"}.get(values.get("model"), values.get("model"))
        if isinstance(training := values.get("training"), dict):
            values["training"] = {_RENAMED.get(key, key): value for key, value in training.items()}
            if training.get("stop") == "settled":
                values["training"]["stop"] = "converged"
        return values


def read_record(path: Path) -> RunRecord:
    """Read `run.json`.

    Raises:
        InputError: it is damaged.
    """
    try:
        return RunRecord.model_validate_json(read_text(path))
    except (ValidationError, InputError):
        raise InputError(
            f"{path} is damaged or was written by another version of dextr-vos; use another --out folder"
        ) from None


def write_record(path: Path, record: RunRecord) -> None:
    """Write `run.json` atomically."""
    write_text(path, record.model_dump_json(indent=1) + "\n")


def keyframe_names(path: Path) -> list[str]:
    """Names of the annotated frames in a `run.json`, whatever its other fields say.

    Raises:
        InputError: there are none, or the file is damaged.
    """
    try:
        names = read_json(path)["keyframes"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError
    except (OSError, InputError, KeyError, TypeError):
        raise InputError(
            f'expected {path} to hold "keyframes": ["00000", …], the names of the annotated frames, '
            "and found no such list; add it, or give the folder of the masks itself"
        ) from None
    return names


def shot_names(path: Path, field: Literal["cuts", "flashes"]) -> list[str]:
    """Names of the first frames of new shots, or of flashes, in a `run.json`.

    There are none where it has none, or is damaged.
    """
    try:
        names = read_json(path).get(field) or []
        return [name for name in names if isinstance(name, str)]
    except (OSError, InputError, ValueError, AttributeError, TypeError, RecursionError):
        return []


def describe_without_run(path: Path) -> str:
    """What a path without a run is, and what to give in its place, in one sentence."""
    inside = sorted((file.parent for file in path.glob("*/workspace.yaml")), key=lambda each: each.name)
    if not path.exists():
        what = f"there is no folder {path}"
    elif inside:
        some = ", ".join(map(str, inside[:5])) + (" …" if len(inside) > 5 else "")
        return f"{path} is a folder of workspaces; give one of them: {some}"
    elif path.is_file():
        what = f"{path} is a file, expected a run"
    elif is_clip_folder(path):
        what = f"{path} is a folder of images, expected a run"
    else:
        what = f"{path} holds no finished run"
    return f"{what}; give the workspace of the clip, or the --out folder of a finished propagate"


Confidence = dict[str, dict[int, Annotated[float, Field(allow_inf_nan=False)]]]
"""Confidence in [0, 1] by frame name and object id."""


def frame_confidence(of_frame: Mapping[int, float]) -> float:
    """Confidence in a frame's mask: that of its least certain object, 1 without objects."""
    return min(of_frame.values(), default=1.0)


FrameState = Literal["confident", "uncertain", "lost"]
UNCERTAIN_IOU = 0.79
LOST_IOU = 0.3


def frame_state(confidence: float) -> FrameState:
    """What a frame's confidence, an expected IoU in [0, 1], says of its mask.

    Returns:
        "uncertain" below 0.79, where the mask is worth a look; "lost" below 0.3, where it is hardly of the
        object: in a shot without a keyframe, or empty though the keyframes around show the object, the
        confidence is 0.
    """
    if confidence < LOST_IOU:
        return "lost"
    return "uncertain" if confidence < UNCERTAIN_IOU else "confident"


def write_confidence(path: Path, scores: Confidence) -> None:
    """Write `confidence.json`, a line a frame, atomically."""
    lines = [f" {json.dumps(name)}: {json.dumps(of_frame)}" for name, of_frame in scores.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    write_text(path, text)


def read_confidence(path: Path) -> Confidence:
    """Read `confidence.json`.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    try:
        if not path.exists():
            raise FileNotFoundError
        return TypeAdapter(Confidence).validate_python(read_json(path))
    except FileNotFoundError:
        raise InputError(f"there is no {path}; run propagate again to make it") from None
    except (InputError, ValidationError):
        raise InputError(f"{path} is damaged; run propagate again to replace it") from None
