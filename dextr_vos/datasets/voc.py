"""PASCAL VOC 2012 on disk: the objects of its segmentation task (Everingham et al., IJCV 2015).

`SegmentationObject` numbers the objects of an image, with 255 for the void along their outlines;
`SegmentationClass` says what they are.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.layout import find_root, indexed_refs, read_indices, read_list
from dextr_vos.errors import InputError
from dextr_vos.images import read_image
from dextr_vos.masks import VOID

# class 1 first
VOC_CATEGORIES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
GET_VOC = (
    "get the training and validation data of PASCAL VOC 2012 from host.robots.ox.ac.uk/pascal/VOC/voc2012 "
    "and give the folder with VOCdevkit/VOC2012/{JPEGImages,SegmentationObject,SegmentationClass,"
    "ImageSets/Segmentation}"
)
_FOLDERS = ("JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Segmentation")


def voc_category(number: int) -> str:
    """Name of a VOC class, 1…20; "object" for others."""
    return VOC_CATEGORIES[number - 1] if 1 <= number <= len(VOC_CATEGORIES) else "object"


class VocObjects:
    """The objects of VOC 2012; see `ObjectSet`. `object_id` is the value in `SegmentationObject` less one.

    Args:
        root: `VOCdevkit`, `VOCdevkit/VOC2012`, or the folder that holds `VOCdevkit`.
        split: `train`, `val`, `trainval`, or another list in `ImageSets/Segmentation`.
        min_area: smaller objects are left out, in pixels.
        index_folder: where the list of objects is kept; see `indexed_refs`.

    Attributes:
        images: names of all images of the split, with or without objects.

    Raises:
        InputError: the data set is not there or not whole.
    """

    def __init__(
        self,
        root: Path,
        split: str = "train",
        *,
        min_area: int = 0,
        index_folder: Path | None = None,
    ) -> None:
        self._root = find_root(root, ("", "VOC2012", "VOCdevkit/VOC2012"), _FOLDERS, GET_VOC)
        self.images = read_list(self._root / "ImageSets" / "Segmentation" / f"{split}.txt")
        files = [
            self._root / folder / f"{name}.png"
            for folder in ("SegmentationObject", "SegmentationClass")
            for name in self.images
        ]
        refs = indexed_refs(f"voc2012-{split}", files, self._count, index_folder)
        self.refs = [ref for ref in refs if ref.area >= min_area]

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        ref = self.refs[index]
        image_rgb = read_image(self._root / "JPEGImages" / f"{ref.image}.jpg")
        path = self._root / "SegmentationObject" / f"{ref.image}.png"
        object_map = read_indices(path)
        mask = object_map == ref.object_id + 1
        if object_map.shape != image_rgb.shape[:2] or not mask.any():
            raise InputError(f"the labels {path} do not fit their image or have changed; get them again")
        return Example(ref, image_rgb, mask, object_map == VOID)

    def _count(self) -> Iterator[ObjectRef]:
        for name in self.images:
            object_map = read_indices(self._root / "SegmentationObject" / f"{name}.png")
            path = self._root / "SegmentationClass" / f"{name}.png"
            classes = read_indices(path)
            if classes.shape != object_map.shape:
                raise InputError(f"the labels {path} and those of its objects differ in size; get both again")
            areas = np.bincount(object_map.ravel(), minlength=VOID + 1)
            for object_id in np.flatnonzero(areas[1:VOID]).tolist():
                votes = np.bincount(classes[object_map == object_id + 1])[:VOID]
                votes[0] = 0
                yield ObjectRef(name, object_id, voc_category(int(votes.argmax())), int(areas[object_id + 1]))
