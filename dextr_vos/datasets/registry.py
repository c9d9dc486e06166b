"""The data sets by kind: from a few settings to a list of objects."""

import zlib
from pathlib import Path
from typing import Literal, assert_never

from pydantic import Field, model_validator

from dextr_vos.config import Settings
from dextr_vos.datasets.instances import ObjectSet, Subset
from dextr_vos.errors import ConfigError, InputError
from dextr_vos.files import read_text

Kind = Literal["voc", "sbd", "voc+sbd", "coco", "davis", "folder"]

_HOLD_OUT_BUCKETS = 1000
# the split where the settings name none; other kinds have no splits
_SPLITS = {"voc": "train", "sbd": "train", "coco": "train2017", "davis": "train"}
# settings that have no effect with other kinds
_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "split": tuple(_SPLITS),
    "sbd_root": ("voc+sbd",),
    "description": ("folder",),
    "categories": ("coco",),
    "clips": ("davis",),
    "without_clips": ("davis",),
    "without": ("folder",),
}


class DataSettings(Settings):
    """One data set to learn from.

    Attributes:
        kind: the data set, or the layout of its files.
        root: its folder, relative to the `data_root` of all data sets; that of VOC for voc+sbd.
        sbd_root: the folder of SBD, for voc+sbd.
        description: the YAML of a folder data set, relative to the file that names it.
        split: name of a split list; each kind has its own.
        year: of DAVIS.
        clips: clips of DAVIS; all of the split where none is given.
        without_clips: clips of DAVIS that are left out.
        without: a text file, relative to the file that names it, with the stem of an image a line; these
            images of a folder are left out.
        every: one frame of DAVIS in this many is taken.
        categories: categories of COCO; all where none is given.
        min_area: smaller objects are left out, in pixels.
        max_area: larger objects are left out, in pixels.
        repeat: how often an object is seen in an epoch.
    """

    kind: Kind
    root: Path = Path()
    sbd_root: Path = Path()
    description: Path | None = None
    split: str | None = None
    year: Literal[2016, 2017] = 2017
    clips: tuple[str, ...] = ()
    without_clips: tuple[str, ...] = ()
    without: Path | None = None
    every: int = Field(default=1, ge=1)
    categories: tuple[str, ...] = ()
    min_area: int = Field(default=0, ge=0)
    max_area: int | None = Field(default=None, ge=0)
    repeat: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _agrees(self) -> "DataSettings":
        for name, kinds in _ONLY_FOR.items():
            if getattr(self, name) != type(self).model_fields[name].default and self.kind not in kinds:
                raise ValueError(f"expected {name} with the kind {' or '.join(kinds)}, got {self.kind}")
        return self

    def describe(self) -> str:
        """The kind and split, for a log."""
        if self.description is not None:
            return f"{self.kind} {self.description.stem}"
        return " ".join(filter(None, [self.kind, self.split or _SPLITS.get(self.kind)]))


def open_objects(data: DataSettings, data_root: Path, beside: Path) -> ObjectSet:
    """The objects of a data set.

    Args:
        data: which.
        data_root: folder that its roots are relative to.
        beside: folder that its description is relative to.

    Raises:
        ConfigError: a folder data set without a description.
        InputError: it is missing, or not as it should be.
    """
    objects = _open(data, data_root, beside)
    if data.min_area or data.max_area is not None:
        most = float("inf") if data.max_area is None else data.max_area
        objects = Subset(objects, lambda ref, _: data.min_area <= ref.area <= most)
    return objects


def _open(data: DataSettings, data_root: Path, beside: Path) -> ObjectSet:
    # the readers use different libraries; only the one that is needed is imported
    root = data_root / data.root
    split = data.split or _SPLITS.get(data.kind, "")
    if data.kind == "folder":
        from dextr_vos.datasets.folder import FolderObjects

        if data.description is None:
            raise ConfigError("expected a description with kind folder: the YAML that describes its objects")
        return _without(FolderObjects(beside / data.description, root), data, beside)
    if data.kind == "voc":
        from dextr_vos.datasets.pascal import VocObjects

        return VocObjects(root, split)
    if data.kind == "sbd":
        from dextr_vos.datasets.pascal import SbdObjects

        return SbdObjects(root, split)
    if data.kind == "voc+sbd":
        from dextr_vos.datasets.pascal import voc_and_sbd

        return voc_and_sbd(root, data_root / data.sbd_root)
    if data.kind == "coco":
        from dextr_vos.datasets.coco import CocoObjects

        return CocoObjects(root, split, data.categories or None)
    if data.kind == "davis":
        from dextr_vos.datasets.davis import DavisObjects

        # the clip is the category
        return Subset(
            DavisObjects(root, split, data.year, data.every),
            lambda ref, _: (
                (not data.clips or ref.category in data.clips) and ref.category not in data.without_clips
            ),
        )
    assert_never(data.kind)


def _without(objects: ObjectSet, data: DataSettings, beside: Path) -> ObjectSet:
    if data.without is None:
        return objects
    path = beside / data.without
    try:
        stems = set(read_text(path).split())
    except (OSError, InputError) as error:
        raise ConfigError(f"the list of images to leave out, {path}, cannot be read: {error}") from None
    return Subset(objects, lambda ref, _: Path(ref.image).name not in stems)


def is_held_out(image: str, share: float) -> bool:
    """Whether an image is held out for validation; a pure function of its name."""
    return zlib.crc32(image.encode()) % _HOLD_OUT_BUCKETS < share * _HOLD_OUT_BUCKETS


def fold_of(image: str) -> int:
    """Which half of the images one is in, 0 or 1: a pure function of its name, apart from `is_held_out`."""
    return zlib.crc32(image.encode()) // _HOLD_OUT_BUCKETS % 2


def holdout_part(objects: ObjectSet, share: float, *, kept: bool) -> Subset:
    """The objects in images that are held out for validation, or the others."""
    return Subset(objects, lambda ref, _: is_held_out(ref.image, share) == kept)
