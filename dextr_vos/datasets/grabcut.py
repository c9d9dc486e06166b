"""The GrabCut data set on disk: 50 images with one outlined object each (Rother et al., SIGGRAPH 2004)."""

from pathlib import Path

import numpy as np

from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.layout import find_root
from dextr_vos.errors import InputError
from dextr_vos.images import SUFFIXES, read_image
from dextr_vos.masks import Labels

GET_GRABCUT = (
    "get the GrabCut data set of Microsoft Research, 50 images with ground truth, with "
    "dextr-vos download grabcut, and give the folder with data_GT (images) and boundary_GT (their masks)"
)
_OBJECT = 255


class GrabCutObjects:
    """The objects of the GrabCut data set, one an image; see `ObjectSet`.

    Ground truth is 0 background, 255 object; what lies between counts neither way.

    Args:
        root: the folder with `data_GT` and `boundary_GT`, or the one above it.

    Raises:
        InputError: the data set is not there, or an image has no ground truth.
    """

    def __init__(self, root: Path) -> None:
        self._root = find_root(root, ("", "grabcut", "GrabCut"), ("data_GT", "boundary_GT"), GET_GRABCUT)
        self._images, self._truths = (
            {
                path.stem: path
                for path in sorted((self._root / folder).iterdir())
                if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
            }
            for folder in ("data_GT", "boundary_GT")
        )
        missing = sorted(set(self._images) - set(self._truths))
        if missing or not self._images:
            what = f"no ground truth of {missing[0]}" if missing else "no image in data_GT"
            raise InputError(f"{self._root} has {what}; {GET_GRABCUT}")
        self.refs = [self._ref(name) for name in self._images]

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        ref = self.refs[index]
        image_rgb = read_image(self._images[ref.image])
        truth = self._truth(ref.image)
        if truth.shape != image_rgb.shape[:2]:
            raise InputError(f"the ground truth {self._truths[ref.image]} is not of its image's size")
        mask = truth == _OBJECT
        return Example(ref, image_rgb, mask, ~mask & (truth != 0))

    def _truth(self, name: str) -> Labels:
        # BMP files of several modes, all of them grey
        return read_image(self._truths[name])[..., 0]

    def _ref(self, name: str) -> ObjectRef:
        area = int(np.count_nonzero(self._truth(name) == _OBJECT))
        if not area:
            raise InputError(
                f"expected 255 for the object in the ground truth {self._truths[name]}, found none"
            )
        return ObjectRef(name, 0, "object", area)
