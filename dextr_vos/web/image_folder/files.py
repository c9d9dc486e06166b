"""Files of separate images: the settings, `anno_cfg.yml`, the finished masks, and the progress of the images.

All are as the matplotlib annotation tool has them. None is ever half written.
"""

import io
import json
import logging
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image
from pydantic import Field, field_validator

from dextr_vos.config import Settings, load_settings
from dextr_vos.errors import ConfigError, InputError
from dextr_vos.files import atomic_path, read_json, write_text
from dextr_vos.masks import Labels, read_labels

log = logging.getLogger(__name__)

FORMAT = "dextr-vos progress"
VERSION = 2
Status = Literal["open", "done", "skipped"]
_STATUSES: tuple[Status, ...] = get_args(Status)
# what reading a file of another tool may raise
_NO_PROGRESS = (OSError, InputError, LookupError, ValueError, TypeError, AttributeError, StopIteration)
_IMAGES_KEYS = ("images", "pictures")  # of version 2 and of version 1


class RequiredSettings(Settings):
    """Folders of the images and of their masks."""

    source: Path
    destination: Path


class OptionalSettings(Settings):
    """Settings that may be left out.

    Attributes:
        update: add images that were put into the folder after the first session.
        mask_suffix: of the masks, between the stem of the image and the suffix of the file.
        save_format: of the masks: 8-bit PNG, or an array of uint8.
    """

    update: bool = True
    mask_suffix: str = "_mask"
    save_format: Literal["png", "npy"] = "png"

    @field_validator("mask_suffix")
    @classmethod
    def _is_no_path(cls, suffix: str) -> str:
        if "/" in suffix or "\\" in suffix or "\0" in suffix:
            raise ValueError(f"expected a part of a file name, got {suffix!r}")
        return suffix


class AdminSettings(Settings):
    """Where progress is kept.

    Attributes:
        progress_file: relative to the source folder, or an absolute path.
        reset_progress: forget it, after asking.
    """

    progress_file: Path = Path(".anno_prog")
    reset_progress: bool = False


class FolderSettings(Settings):
    """All of `anno_cfg.yml`; optional and admin may be left empty."""

    required: RequiredSettings
    optional: OptionalSettings = Field(default_factory=OptionalSettings)
    admin: AdminSettings = Field(default_factory=AdminSettings)

    @field_validator("optional", "admin", mode="before")
    @classmethod
    def _may_be_empty(cls, value: object) -> object:
        return {} if value is None else value


def read_folder_settings(path: Path) -> FolderSettings:
    """Read the settings; a relative folder is looked for in the current folder, then beside the file.

    Raises:
        ConfigError: see `load_settings`; or the folder of the images does not exist.
    """
    settings = load_settings(FolderSettings, path)
    source = _found(settings.required.source, path)
    if not source.is_dir():
        raise ConfigError(f"{path}: required.source: there is no folder {source}; give that of the images")
    destination = settings.required.destination.expanduser()
    if not destination.is_absolute() and source != settings.required.source.expanduser():
        destination = path.parent / destination  # both are relative to the same folder
    if destination.exists() and not destination.is_dir():
        raise ConfigError(f"{path}: required.destination: {destination} is a file; expected a folder")
    required = RequiredSettings(source=source, destination=destination)
    return settings.model_copy(update={"required": required})


def _found(folder: Path, config: Path) -> Path:
    folder = folder.expanduser()
    beside = config.parent / folder
    return beside if not folder.is_dir() and beside.is_dir() else folder


class FinishedMasks:
    """The masks of finished images, 8-bit grey PNGs or arrays of uint8, whoever wrote them.

    Args:
        settings: of the session.
    """

    def __init__(self, settings: FolderSettings) -> None:
        self._folder = settings.required.destination
        self._end = f"{settings.optional.mask_suffix}.{settings.optional.save_format}"

    def path(self, name: str) -> Path:
        """Where the mask of an image belongs."""
        return self._folder / f"{Path(name).stem}{self._end}"

    def exists(self, name: str) -> bool:
        """Whether an image has a mask."""
        return self.path(name).exists()

    def write(self, name: str, labels: Labels) -> None:
        """Write the labels of an image, H×W uint8, atomically."""
        path, buffer = self.path(name), io.BytesIO()
        if path.suffix == ".npy":
            np.save(buffer, labels)
        else:
            Image.fromarray(np.ascontiguousarray(labels)).save(buffer, format="PNG")
        with atomic_path(path, durable=True) as temporary:
            temporary.write_bytes(buffer.getvalue())

    def read(self, name: str, size_hw: tuple[int, int]) -> Labels | None:
        """The labels of an image, H×W uint8; None where it has no mask.

        Raises:
            InputError: the mask cannot be read, or does not have the size of the image.
        """
        path = self.path(name)
        if not path.exists():
            return None
        try:
            return read_labels(path, size_hw)
        except InputError as error:
            raise InputError(f"{error}; or move it elsewhere to start {name} again") from None


class ProgressFile:
    """Which images are done or skipped; images that it does not mention are open.

    Args:
        path: of the file. A file of another tool that is there stays as it is, and ours is put beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = _read_progress(path)
        if content is None and path.exists():
            self.path = path.with_name(f"{path.name}.json")
            log.warning("%s is not a progress file of dextr-vos and is left alone; see %s", path, self.path)
            content = _read_progress(self.path)
        self.is_new = content is None
        self._statuses = content or {}

    def status(self, name: str) -> Status:
        """The status of an image."""
        return self._statuses.get(name, "open")

    def known(self) -> set[str]:
        """Names of the images that it mentions."""
        return set(self._statuses)

    def set(self, statuses: dict[str, Status]) -> None:
        """Set and save the status of images."""
        self._statuses = {**self._statuses, **statuses}
        self._save()

    def reset(self) -> None:
        """Set the status of all images to open."""
        self._statuses = dict.fromkeys(self._statuses, "open")
        self._save()

    def _save(self) -> None:
        content = {"format": FORMAT, "version": VERSION, "images": dict(sorted(self._statuses.items()))}
        write_text(self.path, json.dumps(content, ensure_ascii=False, indent=1) + "\n", durable=True)
        self.is_new = False


def _read_progress(path: Path) -> dict[str, Status] | None:
    """What a progress file contains; None where there is none or it is of another tool."""
    try:
        content = read_json(path)
        if content["format"] != FORMAT:
            return None
        images = next(content[key] for key in _IMAGES_KEYS if key in content)
        return {str(name): status for name, status in images.items() if status in _STATUSES}
    except _NO_PROGRESS:
        return None
