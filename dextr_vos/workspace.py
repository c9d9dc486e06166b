"""The workspace: one clip being worked on, a folder whose files are the stages' hand-overs.

```
WORKSPACE/workspace.yaml     which clip, format version
WORKSPACE/annotations.json   objects, keyframes, every click
WORKSPACE/keyframes/*.png    indexed masks of the annotated frames
```
"""

import io
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dextr_vos.errors import InputError
from dextr_vos.files import write_text
from dextr_vos.frames import Clip

FORMAT = "dextr-vos workspace"
VERSION = 1


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

    def check_clip(self, clip: Clip) -> None:
        """Refuse a clip that is not the one this workspace was made for; a new workspace takes any.

        Raises:
            InputError: the clip has other frames, or `workspace.yaml` is damaged.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; a workspace is a folder")
        if not self.settings.exists():
            return
        try:
            kept = YAML(typ="safe").load(self.settings.read_text(encoding="utf-8"))
            frames, size_hw = int(kept["frames"]), tuple(kept["size_hw"])
        except (YAMLError, TypeError, KeyError, ValueError):
            raise InputError(f"{self.settings} is damaged; give another --out folder") from None
        if (frames, size_hw) != (len(clip), clip.size_hw):
            raise InputError(
                f"the workspace {self.path} is on {kept.get('clip')} with {frames} frames of "
                f"{size_hw[1]}×{size_hw[0]}, {clip.path} has {len(clip)} of "
                f"{clip.size_hw[1]}×{clip.size_hw[0]}; give another --out folder"
            )

    def write_settings(self, clip: Clip) -> None:
        """Write `workspace.yaml` atomically."""
        text = io.StringIO()
        content = {
            "format": FORMAT,
            "version": VERSION,
            "clip": str(clip.path.resolve()),
            "frames": len(clip),
            "size_hw": list(clip.size_hw),
        }
        YAML().dump(content, text)
        write_text(self.settings, text.getvalue())
