"""`anno_cfg.yml`: the YAML of a session on separate images, as users of the matplotlib tool have it."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from dextr_vos.config import Settings, load_settings
from dextr_vos.errors import ConfigError


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
