"""PASCAL VOC 2012 and the Semantic Boundaries Dataset on disk: objects of images.

VOC (Everingham et al., IJCV 2015): `SegmentationObject` numbers the objects of an image, with 255 for the
void along their outlines; `SegmentationClass` says what they are. SBD (Hariharan et al., ICCV 2011) has
11,355 images of VOC: `inst/<image>.mat` holds `GTinst.Segmentation`, H×W object values, and
`GTinst.Categories`, their VOC classes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dextr_vos.datasets.instances import Concat, Example, ObjectRef, Subset
from dextr_vos.datasets.layout import find_root, indexed_refs, read_indices, read_list
from dextr_vos.errors import InputError
from dextr_vos.images import read_image
from dextr_vos.masks import VOID, Labels
from dextr_vos.matlab import read_matlab

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
    "get the training and validation data of PASCAL VOC 2012 with dextr-vos download voc, or from "
    "host.robots.ox.ac.uk/pascal/VOC/voc2012, and give the folder with "
    "VOCdevkit/VOC2012/{JPEGImages,SegmentationObject,SegmentationClass,ImageSets/Segmentation}"
)
_FOLDERS = ("JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Segmentation")
GET_SBD = (
    "get the Semantic Boundaries Dataset with dextr-vos download sbd, or as benchmark.tgz from "
    "home.bharathh.info/pubs/codes/SBD, and give the folder with "
    "benchmark_RELEASE/dataset/{img,inst,train.txt,val.txt}"
)
_MAX_SBD_BYTES = 1 << 28
_SBD_FILES = ("img", "inst", "train.txt", "val.txt")


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


class SbdObjects:
    """The objects of SBD; see `ObjectSet`. `object_id` is the value in `Segmentation` less one.

    Args:
        root: `benchmark_RELEASE/dataset`, `benchmark_RELEASE`, or the folder that holds it.
        split: `train`, `val`, `trainval` for both, or another list beside them.
        min_area: smaller objects are left out, in pixels.
        index_folder: where the list of objects is kept; see `indexed_refs`.

    Attributes:
        images: names of all images of the split.

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
        self._root = find_root(root, ("", "dataset", "benchmark_RELEASE/dataset"), _SBD_FILES, GET_SBD)
        lists = ("train", "val") if split == "trainval" else (split,)
        names = [name for part in lists for name in read_list(self._root / f"{part}.txt")]
        self.images = list(dict.fromkeys(names))
        files = [self._path(name) for name in self.images]
        refs = indexed_refs(f"sbd-{split}", files, self._count, index_folder)
        self.refs = [ref for ref in refs if ref.area >= min_area]

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        ref = self.refs[index]
        image_rgb = read_image(self._root / "img" / f"{ref.image}.jpg")
        path = self._path(ref.image)
        object_map, _ = read_instances(path)
        mask = object_map == ref.object_id + 1
        if object_map.shape != image_rgb.shape[:2] or not mask.any():
            raise InputError(f"the labels {path} do not fit their image or have changed; get them again")
        return Example(ref, image_rgb, mask, object_map == VOID)

    def _path(self, name: str) -> Path:
        return self._root / "inst" / f"{name}.mat"

    def _count(self) -> Iterator[ObjectRef]:
        for name in self.images:
            object_map, classes = read_instances(self._path(name))
            areas = np.bincount(object_map.ravel(), minlength=VOID + 1)
            for object_id in np.flatnonzero(areas[1:VOID]).tolist():
                category = voc_category(int(classes[object_id])) if object_id < len(classes) else "object"
                yield ObjectRef(name, object_id, category, int(areas[object_id + 1]))


def read_instances(path: Path) -> tuple[Labels, npt.NDArray[np.int64]]:
    """Object values, H×W uint8, and the VOC class of each object, of an `inst/*.mat` of SBD.

    Raises:
        InputError: the file is missing, broken or of another kind.
    """
    try:
        instances = read_matlab(path, {"GTinst"}, _MAX_SBD_BYTES)["GTinst"]
        if not isinstance(instances, dict):
            raise ValueError("GTinst is no structure")
        object_map, classes = (
            _whole_numbers(instances, "Segmentation"),
            _whole_numbers(instances, "Categories"),
        )
        if object_map.ndim != 2:
            raise ValueError(f"Segmentation has the shape {object_map.shape}")
    except FileNotFoundError:
        raise InputError(f"there is no {path}; get the Semantic Boundaries Dataset again") from None
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"cannot read {path}: expected GTinst with Segmentation and Categories, as SBD has it: {error}"
        ) from None
    return object_map.astype(np.uint8), classes.ravel().astype(np.int64)


def _whole_numbers(instances: Mapping[str, Any], name: str) -> npt.NDArray[Any]:
    """The values of a field, from 0 to 255."""
    values = instances[name]
    if not isinstance(values, np.ndarray) or not np.isin(values, np.arange(VOID + 1)).all():
        raise ValueError(f"{name} does not hold whole numbers from 0 to {VOID}")
    return values


def voc_and_sbd(
    voc_root: Path, sbd_root: Path, *, min_area: int = 0, index_folder: Path | None = None
) -> Concat:
    """VOC train and SBD train and val as one set, without any image of VOC val.

    This is what the published DEXTR of PASCAL and SBD learned from (Maninis et al., CVPR 2018). An image in
    both sets counts once, with the objects that VOC outlined.

    Args:
        voc_root: see `VocObjects`.
        sbd_root: see `SbdObjects`.
        min_area: smaller objects are left out, in pixels.
        index_folder: where the lists of objects are kept; see `indexed_refs`.

    Raises:
        InputError: one of the data sets is not there or not whole.
    """
    voc = VocObjects(voc_root, "train", min_area=min_area, index_folder=index_folder)
    held_out = VocObjects(voc_root, "val", index_folder=index_folder)
    sbd = SbdObjects(sbd_root, "trainval", min_area=min_area, index_folder=index_folder)
    taken = {*voc.images, *held_out.images}
    return Concat([voc, Subset(sbd, lambda ref, _: ref.image not in taken)])
