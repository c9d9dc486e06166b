"""The workspace: one clip being worked on, a folder whose files are the stages' hand-overs.

```
WORKSPACE/workspace.yaml     which clip, format version
WORKSPACE/annotations.json   objects, keyframes, every click
WORKSPACE/keyframes/*.png    indexed masks of the annotated frames
WORKSPACE/preview/*.jpg       the masks and clicks over their frames, to look at
```
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.files import write_text


@dataclass(frozen=True)
class Workspace:
    """The paths of a workspace."""

    path: Path

    @property
    def settings(self) -> Path:
        """Which clip it is on."""
        return self.path / "workspace.yaml"

    @property
    def annotations(self) -> Path:
        """Every click."""
        return self.path / "annotations.json"

    @property
    def keyframes(self) -> Path:
        """Folder of the annotated frames' masks."""
        return self.path / "keyframes"

    def keyframe(self, name: str) -> Path:
        """The mask of one annotated frame."""
        return self.keyframes / f"{name}.png"

    def preview(self, name: str) -> Path:
        """The picture that shows a mask and its clicks over the frame."""
        return self.path / "preview" / f"{name}.jpg"

    def check_clip(self, clip: Clip) -> None:
        """Refuse a clip that is not the one this workspace was made for; a new workspace takes any.

        Raises:
            InputError: the clip has other frames, or `workspace.yaml` is damaged or of another version.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; a workspace is a folder")
        if not self.settings.exists():
            return
        try:
            kept = _Settings.model_validate(
                YAML(typ="safe").load(self.settings.read_text(encoding="utf-8")), strict=False
            )
        except (YAMLError, UnicodeDecodeError, ValidationError):
            raise InputError(
                f"{self.settings} is damaged or of another release of dextr-vos; give another --out folder"
            ) from None
        if kept.identity != clip.identity:
            raise InputError(
                f"the workspace {self.path} is on {kept.clip} ({kept.frames} frames of "
                f"{kept.size_hw[1]}×{kept.size_hw[0]}), not on {clip.path} ({len(clip)} frames of "
                f"{clip.size_hw[1]}×{clip.size_hw[0]}); give another workspace"
            )

    def write_settings(self, clip: Clip) -> None:
        """Write `workspace.yaml` atomically."""
        settings = _Settings(
            clip=str(clip.path.resolve()),
            frames=len(clip),
            size_hw=clip.size_hw,
            identity=clip.identity,
        )
        text = io.StringIO()
        YAML().dump(settings.model_dump(mode="json"), text)
        write_text(self.settings, text.getvalue())


class _Settings(BaseModel):
    """What `workspace.yaml` holds; the path is for people, the identity for us."""

    format: Literal["dextr-vos workspace"] = "dextr-vos workspace"
    version: Literal[1] = 1
    clip: str
    frames: int
    size_hw: tuple[int, int]
    identity: str


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
        continued_from: fingerprint of the run whose network this one began with, after a correction.
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
    continued_from: str | None = None
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


Confidence = dict[str, dict[int, float]]


def write_confidence(path: Path, scores: Confidence) -> None:
    """Write the scores, frame by frame, atomically."""
    lines = [f" {json.dumps(name)}: {json.dumps(of_frame)}" for name, of_frame in scores.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    write_text(path, text)


def read_confidence(path: Path) -> Confidence:
    """Scores in [0, 1] by frame name and object number.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: {int(number): float(score) for number, score in of_frame.items()}
            for name, of_frame in content.items()
        }
    except FileNotFoundError:
        raise InputError(
            f"there is no {path}; give the --out folder of a finished train-propagation"
        ) from None
    except (ValueError, AttributeError, TypeError):
        raise InputError(f"{path} is damaged; run train-propagation again to make it anew") from None
