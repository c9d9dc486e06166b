"""The Semantic Boundaries Dataset on disk: objects of 11,355 VOC images (Hariharan et al., ICCV 2011).

`inst/<image>.mat` holds `GTinst.Segmentation`, H×W object values, and `GTinst.Categories`, their
VOC classes.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dextr_vos.datasets.instances import Concat, Example, ObjectRef, Subset
from dextr_vos.datasets.layout import find_root, indexed_refs, read_list
from dextr_vos.datasets.voc import VocObjects, voc_category
from dextr_vos.errors import InputError
from dextr_vos.images import read_image
from dextr_vos.masks import VOID, Labels

GET_SBD = (
    "get the Semantic Boundaries Dataset (benchmark.tgz) from home.bharathh.info/pubs/codes/SBD and give the "
    "folder with benchmark_RELEASE/dataset/{img,inst,train.txt,val.txt}"
)
_NEEDED = ("img", "inst", "train.txt", "val.txt")


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
        self._root = find_root(root, ("", "dataset", "benchmark_RELEASE/dataset"), _NEEDED, GET_SBD)
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
    from scipy.io import loadmat

    try:
        with path.open("rb") as file:
            instances = loadmat(file, squeeze_me=True)["GTinst"]
        object_map = np.asarray(instances["Segmentation"].item(), dtype=np.uint8)
        classes = np.atleast_1d(np.asarray(instances["Categories"].item())).astype(np.int64)
    except FileNotFoundError:
        raise InputError(f"there is no {path}; get the Semantic Boundaries Dataset again") from None
    except Exception as error:  # scipy raises many kinds on a broken file
        raise InputError(
            f"cannot read {path}: expected GTinst with Segmentation and Categories, as SBD has it: {error}"
        ) from None
    return object_map, classes


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
