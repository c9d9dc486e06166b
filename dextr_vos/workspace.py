"""The workspace: everything about one clip, in a folder whose files the stages hand to one another.

```
WORKSPACE/workspace.yaml      which clip, format version
WORKSPACE/annotations.json    objects, keyframes, every click
WORKSPACE/labels.yaml         the names that objects may have, where a person has written them
WORKSPACE/keyframes/*.png     indexed masks of the annotated frames
WORKSPACE/corrections/*.png   those of corrected frames that are no keyframes yet; only the page uses them
WORKSPACE/preview/*.jpg       the masks and clicks over their frames, to look at
WORKSPACE/propagation/        the run, see `run_files`
WORKSPACE/exports/            what the page exports
WORKSPACE/history/            undo of the page: journal.jsonl, layers/*.png; the keyframes of the last
                              run, and the masks that it has replaced
```
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from dextr_vos.clip import Clip, open_clip
from dextr_vos.errors import ConfigError, InputError
from dextr_vos.files import natural_key, read_text, refuse_links, sweep_temporaries, write_text
from dextr_vos.mask_file import find_mask_file, mask_files, plain_name
from dextr_vos.masks import VOID, Labels, looks_like_mask, read_labels, write_labels
from dextr_vos.run_files import RunClip, RunPaths, describe_without_run, keyframe_names, read_record
from dextr_vos.yaml_text import parse_yaml


@dataclass(frozen=True)
class Workspace:
    """The files of a workspace.

    Attributes:
        path: the folder; it need not exist.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """Which clip the workspace belongs to."""
        return self.path / "workspace.yaml"

    @property
    def annotations(self) -> Path:
        """Every click, see `annotation.annotations`."""
        return self.path / "annotations.json"

    @property
    def labels(self) -> Path:
        """The names that objects may have, see `annotation.label_set`."""
        return self.path / "labels.yaml"

    @property
    def keyframes(self) -> Path:
        """Folder of the annotated frames' masks."""
        return self.path / "keyframes"

    def keyframe(self, name: str) -> Path:
        """The mask of the annotated frame `name`."""
        return self.keyframes / f"{name}.png"

    def keyframe_files(self) -> list[Path]:
        """The masks of all annotated frames, in natural order; those being written are left out."""
        return list(mask_files(self.keyframes).values())

    def keyframes_as_png(self, names: Iterable[str]) -> set[str]:
        """Make the masks of keyframes indexed PNGs that are named like their frames.

        Masks of other formats, in other spellings of the name, and grey or coloured PNGs are replaced.

        Args:
            names: of the frames whose masks are made so; others stay as they are.

        Returns:
            The names of all annotated frames, spelled as in `names` where they are there.

        Raises:
            InputError: there are two masks of one frame, or one cannot be read.
        """
        called = {plain_name(name): name for name in names}
        found = mask_files(self.keyframes)
        for plain in found.keys() & called.keys():
            file, png = found[plain], self.keyframe(called[plain])
            if png.exists() and file.samefile(png) and looks_like_mask(file):
                continue
            write_labels(png, read_labels(file), durable=True)
            if not file.samefile(png):  # two spellings of a name are one file in some file systems
                file.unlink()
        return {called.get(plain, file.stem) for plain, file in found.items()}

    @property
    def corrections(self) -> Path:
        """Folder of the corrected frames' masks that are no keyframes yet; only the page uses them."""
        return self.path / "corrections"

    def correction(self, name: str) -> Path:
        """Mask of a corrected frame that is no keyframe yet."""
        return self.corrections / f"{name}.png"

    def annotated_mask(self, name: str, corrected: bool) -> Path:
        """The mask of a keyframe, or of a corrected frame that is none yet."""
        return self.correction(name) if corrected else self.keyframe(name)

    def corrected_frames(self) -> set[str]:
        """Names of the corrected frames that are no keyframes yet."""
        found = mask_files(self.corrections)
        return {name for name in found if find_mask_file(self.keyframes, name) is None}

    def drafts_left_out(self) -> str:
        """A sentence for who uses the masks without the page; "" where no frame is a draft."""
        count = len(self.corrected_frames())
        if count == 1:
            return "1 corrected frame is a draft and was not used; K on the page makes it a keyframe"
        many = f"{count} corrected frames are drafts and were not used; K on the page makes them keyframes"
        return many if count else ""

    def preview(self, name: str) -> Path:
        """The image that shows a mask and its clicks over the frame `name`."""
        return self.path / "preview" / f"{name}.jpg"

    @property
    def run(self) -> RunPaths:
        """The run: a network, and masks of all frames."""
        return RunPaths(self.path / "propagation")

    @property
    def exports(self) -> Path:
        """Folder of what is exported without a place of its own."""
        return self.path / "exports"

    @property
    def journal(self) -> Path:
        """The page's undo history."""
        return self.path / "history" / "journal.jsonl"

    @property
    def layers(self) -> Path:
        """Folder of the undo history's masks, one object each."""
        return self.path / "history" / "layers"

    @property
    def snapshot(self) -> "Workspace":
        """The keyframes that the last run of the page was started with."""
        return Workspace(self.path / "history" / "propagated")

    @property
    def replaced_masks(self) -> Path:
        """Folder of the masks that the last run of the page has replaced, to be compared with."""
        return self.path / "history" / "replaced"

    @property
    def exists(self) -> bool:
        """Whether the folder is a workspace: it names its clip."""
        return self.settings.is_file()

    def open_clip(self) -> Clip:
        """Open the clip that this workspace was created for.

        Raises:
            InputError: there is no workspace, its clip is gone or has other frames now.
        """
        if not self.exists:
            raise InputError(
                f"{self.path} is not a workspace (it has no workspace.yaml); give one that "
                "dextr-vos annotate made, or the clip itself"
            )
        path = Path(self._read_settings().clip)
        if not path.exists():
            raise InputError(
                f"the clip {path} of the workspace {self.path} is gone; move it back, or give its new path "
                f"to dextr-vos annotate CLIP --out {self.path}"
            )
        clip = open_clip(path)
        self.check_clip(clip)
        return clip

    def check_links(self) -> None:
        """Refuse symbolic links among the files of the workspace; all who write into it call this first.

        Raises:
            InputError: there is one.
        """
        refuse_links(self.settings, self.annotations, self.run.path, *self._folders)

    def sweep(self) -> None:
        """Remove what killed writers left; only who holds the folder's lock may.

        Raises:
            InputError: a folder is a symbolic link, see `check_links`.
        """
        self.check_links()
        for folder in (self.path, *self._folders):
            sweep_temporaries(folder)

    @property
    def _folders(self) -> tuple[Path, ...]:
        names = ("keyframes", "corrections", "preview", "exports", "history")
        return tuple(self.path / name for name in names)

    def check_clip(self, clip: Clip) -> None:
        """Refuse a clip that this workspace was not created for; a new workspace accepts any.

        Raises:
            InputError: the clip has other frames, its folder is that of the new workspace, or
                `workspace.yaml` is damaged or of another version.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; a workspace is a folder")
        if not self.settings.exists():
            if self.path.resolve() == clip.path.resolve():
                raise InputError(
                    f"the workspace {self.path} is the clip's own folder, which would mix masks with its "
                    f"frames; give another, such as work/{self.path.resolve().name}"
                )
            return
        made_for = self._read_settings().made_for
        if made_for.identity == clip.identity:
            return
        if change := made_for.change_to(clip):
            clicks = f" and take the clicks over with --clicks {self.annotations}"
            clicks = clicks if self.annotations.exists() else ""
            raise InputError(
                f"the frames of {clip.path} have changed since the workspace {self.path} was made "
                f"({change}); restore them, or begin a new workspace{clicks}"
            )
        here = RunClip.of(clip).model_copy(update={"path": str(clip.path)})
        raise InputError(
            f"the workspace {self.path} belongs to {made_for}, not to {here}; give another workspace"
        )

    def write_settings(self, clip: Clip) -> None:
        """Write `workspace.yaml` atomically."""
        here = RunClip.of(clip)
        settings = WorkspaceSettings(clip=here.path, **here.model_dump(exclude={"path"}))
        text = io.StringIO()
        YAML().dump(settings.model_dump(mode="json"), text)
        write_text(self.settings, text.getvalue(), durable=True)

    def read_settings_or_none(self) -> "WorkspaceSettings | None":
        """What `workspace.yaml` says; None where there is none, or it cannot be used."""
        try:
            return self._read_settings() if self.exists else None
        except (InputError, OSError):
            return None

    def _read_settings(self) -> "WorkspaceSettings":
        try:
            values = parse_yaml(read_text(self.settings), str(self.settings))[0]
            return WorkspaceSettings.model_validate(values, strict=False)
        except (ConfigError, InputError, ValidationError):
            raise InputError(
                f"{self.settings} is damaged or was written by another version of dextr-vos; "
                "use another --out folder"
            ) from None


class WorkspaceSettings(BaseModel):
    """The content of `workspace.yaml`; the identity tells clips apart, the path finds the clip again."""

    format: Literal["dextr-vos workspace"] = "dextr-vos workspace"
    version: Literal[1] = 1
    clip: str
    frames: int
    size_hw: tuple[int, int]
    identity: str

    @property
    def made_for(self) -> RunClip:
        """The clip."""
        return RunClip(path=self.clip, frames=self.frames, size_hw=self.size_hw, identity=self.identity)


def find_run(path: Path) -> RunPaths:
    """The run in a folder, or that of a workspace.

    Args:
        path: the folder of a run, or a workspace.

    Raises:
        InputError: there is none; the sentence says what is there in its place.
    """
    workspace = Workspace(path)
    run = workspace.run if workspace.exists else RunPaths(path)
    if run.exists:
        return run
    if workspace.exists:
        raise InputError(f"the workspace {path} has no run yet; make one with dextr-vos propagate {path}")
    raise InputError(describe_without_run(path))


@dataclass(frozen=True)
class ResultMasks:
    """The masks of a clip's frames, from a workspace, a run, or any folder of masks.

    Attributes:
        path: the workspace, run or folder.
        folders: where the masks are, `<frame>.png` or of another suffix; one in an earlier folder comes
            before one in a later folder.
        keyframes: names of the annotated frames, None where they are unknown.
        object_names: names of the objects by id, as far as they are known.
        only: ids of the objects whose masks are read; None for all.
    """

    path: Path
    folders: tuple[Path, ...]
    keyframes: frozenset[str] | None = None
    object_names: dict[int, str] = field(default_factory=dict)
    only: frozenset[int] | None = None

    @staticmethod
    def find(path: Path) -> "ResultMasks":
        """Where the masks are.

        Args:
            path: a workspace (annotated frames come before those of its run), a run, or a folder of masks.

        Raises:
            InputError: there is no such folder, or `run.json` is damaged.
        """
        if not path.is_dir():
            raise InputError(f"there is no folder {path}; give a workspace, a run, or a folder of masks")
        workspace = Workspace(path)
        if workspace.exists:
            names = frozenset(mask_files(workspace.keyframes))
            return ResultMasks(
                path, (workspace.keyframes, workspace.run.masks), names, run_object_names(workspace.run)
            )
        run = RunPaths(path)
        folder = run.masks if run.masks.is_dir() else path
        known = map(plain_name, keyframe_names(run.record)) if run.record.is_file() else None
        keyframes = None if known is None else frozenset(known)
        return ResultMasks(path, (folder,), keyframes, run_object_names(run))

    def find_mask(self, name: str) -> Path | None:
        """The mask file of the frame `name`, None where there is none."""
        files = (find_mask_file(folder, name) for folder in self.folders)
        return next((file for file in files if file is not None), None)

    def files(self) -> dict[str, Path]:
        """All mask files by frame name, in natural order."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            found |= mask_files(folder)
        return dict(sorted(found.items(), key=lambda named: natural_key(named[0])))

    def mask_path(self, name: str) -> Path:
        """The mask file of the frame `name`, or where it should be."""
        return self.find_mask(name) or self.folders[-1] / f"{name}.png"

    def require_all(self, clip: Clip, frames: Sequence[int] | None = None) -> None:
        """Check that frames have masks.

        Args:
            clip: the clip.
            frames: indices of the frames; None for every frame.

        Raises:
            InputError: a frame has none.
        """
        names = clip.names if frames is None else [clip.names[index] for index in frames]
        missing = [name for name in names if self.find_mask(name) is None]
        if missing and not self.files():
            raise InputError(describe_without_run(self.path))
        if missing:
            raise InputError(
                f"{self.path} has no masks of {len(missing)} of {len(names)} frames of {clip.path}, first "
                f"{missing[0]}.png; give the folder of a finished propagate or segment; "
                "after propagate with --frames or --direction, run it again without them"
            )

    def read(self, clip: Clip, index: int) -> Labels:
        """Labels of one frame, H×W uint8.

        Raises:
            InputError: the mask is missing, damaged, or not of the clip's size.
        """
        return self._selected(read_labels(self.mask_path(clip.names[index]), clip.size_hw))

    def _selected(self, labels: Labels) -> Labels:
        """Labels without the objects that are not read; void pixels stay."""
        if self.only is not None:
            labels[~np.isin(labels, [*self.only, VOID])] = 0
        return labels


def run_object_names(run: RunPaths) -> dict[int, str]:
    """Names of a run's objects; an older or damaged record names none."""
    try:
        return {entry.id: entry.name for entry in read_record(run.record).objects}
    except (InputError, OSError):
        return {}
