"""The workspace: one clip being worked on, a folder whose files are the stages' hand-overs.

```
WORKSPACE/workspace.yaml     which clip, format version
WORKSPACE/annotations.json   objects, keyframes, every click
WORKSPACE/keyframes/*.png    indexed masks of the annotated frames
WORKSPACE/preview/*.jpg       the masks and clicks over their frames, to look at
WORKSPACE/propagation/        the run: network, masks of all frames, confidence
```
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dextr_vos.clip import Clip, open_clip
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

    @property
    def run(self) -> Path:
        """Folder of the run, which the page and the commands share."""
        return self.path / "propagation"

    @property
    def exists(self) -> bool:
        """Whether this folder is a workspace: it names its clip."""
        return self.settings.is_file()

    def keyframe(self, name: str) -> Path:
        """The mask of one annotated frame."""
        return self.keyframes / f"{name}.png"

    def preview(self, name: str) -> Path:
        """The picture that shows a mask and its clicks over the frame."""
        return self.path / "preview" / f"{name}.jpg"

    def open_clip(self) -> Clip:
        """Open the clip that this workspace is on.

        Raises:
            InputError: there is no workspace here, `workspace.yaml` is damaged or of another version, or the
                clip is not where it was, or has other frames now.
        """
        if not self.exists:
            raise InputError(f"{self.path} is no workspace; make one with dextr-vos annotate CLIP")
        recorded = Path(self._read_settings().clip)
        if not recorded.exists():
            raise InputError(
                f"the clip {recorded} of the workspace {self.path} is not there any more; if it was moved, "
                f"run dextr-vos annotate CLIP --out {self.path} with its new place"
            )
        clip = open_clip(recorded)
        self.check_clip(clip)
        return clip

    def check_clip(self, clip: Clip) -> None:
        """Refuse a clip that is not the one this workspace was made for; a new workspace takes any.

        Raises:
            InputError: the clip has other frames, or `workspace.yaml` is damaged or of another version.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; a workspace is a folder")
        if not self.exists:
            return
        kept = self._read_settings()
        if kept.identity != clip.identity:
            raise InputError(
                f"the workspace {self.path} is on {kept.clip} ({kept.frames} frames of "
                f"{kept.size_hw[1]}×{kept.size_hw[0]}), not on {clip.path} ({len(clip)} frames of "
                f"{clip.size_hw[1]}×{clip.size_hw[0]}); give another workspace"
            )

    def _read_settings(self) -> "_Settings":
        try:
            return _Settings.model_validate(
                YAML(typ="safe").load(self.settings.read_text(encoding="utf-8")), strict=False
            )
        except (YAMLError, UnicodeDecodeError, ValidationError):
            raise InputError(
                f"{self.settings} is damaged or of another release of dextr-vos; give another --out folder"
            ) from None

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
