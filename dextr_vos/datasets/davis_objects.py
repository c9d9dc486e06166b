"""Frames of DAVIS 2016 and 2017 as still pictures: every object of every n-th frame."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dextr_vos.datasets.davis import Davis
from dextr_vos.datasets.index import indexed_refs
from dextr_vos.datasets.objects import Example, ObjectRef
from dextr_vos.errors import InputError
from dextr_vos.masks import VOID
from dextr_vos.pictures import read_picture


class DavisObjects:
    """The objects of DAVIS frames; see `ObjectSet`. A picture is `clip/00000`, its category the clip.

    `number` is the object's value in the masks less one; DAVIS 2016 has one object a frame.

    Args:
        root: the folder that holds `JPEGImages` and `Annotations`.
        split: `train`, `val` or another list of the root.
        year: whose split list to prefer, 2016 or 2017.
        every: take each clip's first frame and every `every`-th after it.
        index_folder: where the list of objects is kept; see `indexed_refs`.

    Raises:
        InputError: the data set is not there or not whole, `every` is below 1, or a mask has no frame.
    """

    def __init__(
        self,
        root: Path,
        split: str = "val",
        year: int | None = None,
        every: int = 1,
        *,
        index_folder: Path | None = None,
    ) -> None:
        if every < 1:
            raise InputError(f"expected every n-th frame with n of at least 1, got every={every}")
        self._davis = Davis(root)
        self._frames: dict[str, Path] = {}
        self._masks: dict[str, Path] = {}
        for clip in self._davis.clips(split, year):
            frames = {path.stem: path for path in self._davis.frame_paths(clip)}
            for path in self._davis.annotation_paths(clip)[::every]:
                if path.stem not in frames:
                    raise InputError(f"the mask {path} has no frame of its name in JPEGImages; get it again")
                name = f"{clip}/{path.stem}"
                self._frames[name], self._masks[name] = frames[path.stem], path
        self.refs = indexed_refs(
            f"davis-{split}-every{every}", list(self._masks.values()), self._count, index_folder
        )

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        ref = self.refs[index]
        image_rgb = read_picture(self._frames[ref.picture])
        path = self._masks[ref.picture]
        labels = self._davis.read_annotation(path)
        mask = labels == ref.number + 1
        if labels.shape != image_rgb.shape[:2] or not mask.any():
            raise InputError(f"the mask {path} does not fit its frame or has changed; get it again")
        return Example(ref, image_rgb, mask, labels == VOID)

    def _count(self) -> Iterator[ObjectRef]:
        for name, path in self._masks.items():
            areas = np.bincount(self._davis.read_annotation(path).ravel(), minlength=VOID + 1)
            for number in np.flatnonzero(areas[1:VOID]).tolist():
                yield ObjectRef(name, number, name.partition("/")[0], int(areas[number + 1]))
