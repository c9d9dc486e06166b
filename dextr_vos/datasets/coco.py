"""COCO on disk: objects of `instances_*.json` (Lin et al., ECCV 2014), without crowds."""

import difflib
import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.layout import find_root
from dextr_vos.errors import InputError
from dextr_vos.geometry import BoolArray
from dextr_vos.images import read_image

GET_COCO = (
    "get COCO with dextr-vos download coco, or from cocodataset.org (images and “train/val annotations”), "
    "and give the folder with {split}/*.jpg and annotations/instances_{split}.json"
)

_MAY_BE_EMPTY = 16.0  # an outline of a smaller area may hold no pixel at all


@dataclass(frozen=True)
class _Outline:
    """One annotation, kept small: polygons as arrays, or run lengths as they are."""

    segmentation: list[np.ndarray[tuple[int], np.dtype[np.float64]]] | dict[str, Any]
    size_hw: tuple[int, int]

    def mask(self) -> BoolArray:
        """H×W bool, rasterised as COCO's own evaluation does it."""
        from pycocotools import mask as runs

        if isinstance(self.segmentation, dict):
            packed = self.segmentation
            if isinstance(packed["counts"], list):
                packed = runs.frPyObjects(packed, *self.size_hw)
        elif not self.segmentation:
            return np.zeros(self.size_hw, dtype=bool)
        else:
            packed = runs.merge(
                runs.frPyObjects([part.tolist() for part in self.segmentation], *self.size_hw)
            )
        with warnings.catch_warnings():
            # pycocotools 2.0.11 implements __array__ without the `copy` of numpy 2
            warnings.simplefilter("ignore", DeprecationWarning)
            return np.asarray(runs.decode(packed), dtype=bool)


class CocoObjects:
    """The objects of a COCO split; see `ObjectSet`.

    `object_id` counts the annotations of an image, without crowds, in the order of their ids; filters do not
    change it. `ObjectRef.area` is the annotation's, rounded, and may differ from the mask's by a few pixels.

    Args:
        root: the folder with `annotations/` and the images in `<split>/` or `images/<split>/`.
        split: `train2017`, `val2017`, or another name that `annotations/instances_<split>.json` has.
        categories: names of those to take; None takes all.
        area: smallest and largest area in pixels, both ends included.

    Raises:
        InputError: the data set is not there, is broken, or has no such category.
    """

    def __init__(
        self,
        root: Path,
        split: str = "val2017",
        categories: Sequence[str] | None = None,
        area: tuple[float, float] = (0, math.inf),
    ) -> None:
        get_it = GET_COCO.format(split=split)
        labels = f"annotations/instances_{split}.json"
        folder = find_root(root, ("", "coco", "COCO"), (labels,), get_it)
        self._images = find_root(folder, ("images", ""), (split,), get_it) / split
        self._files: dict[str, str] = {}
        self._outlines: list[_Outline] = []
        self.refs: list[ObjectRef] = []
        path = folder / labels
        try:
            self._take(json.loads(path.read_bytes()), path, categories, area)
        except InputError:
            raise
        except (OSError, ValueError, ArithmeticError, RecursionError) as error:
            raise InputError(f"cannot read {path}: {error}; get the file again") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"expected COCO's instances in {path}, with images, annotations and categories, got "
                f"{type(error).__name__} {error}"
            ) from None

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        ref, outline = self.refs[index], self._outlines[index]
        path = self._images / self._files[ref.image]
        image_rgb = read_image(path)
        if image_rgb.shape[:2] != outline.size_hw:
            (height, width), (labels_h, labels_w) = image_rgb.shape[:2], outline.size_hw
            raise InputError(
                f"the image {path} is {width}×{height} pixels, its annotations say "
                f"{labels_w}×{labels_h}; get the images of COCO unscaled"
            )
        mask = outline.mask()
        return Example(ref, image_rgb, mask, np.zeros_like(mask))

    def _take(
        self, content: dict[str, Any], path: Path, categories: Sequence[str] | None, area: tuple[float, float]
    ) -> None:
        names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        wanted = _known(categories, sorted(names.values()), path)
        images = {entry["id"]: entry for entry in content["images"]}
        of_image: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in sorted(images)}
        for entry in content["annotations"]:
            if not entry.get("iscrowd", 0):
                of_image[entry["image_id"]].append(entry)
        for image_id, entries in of_image.items():
            image = images[image_id]
            name = Path(image["file_name"]).stem
            size_hw = (int(image["height"]), int(image["width"]))
            for object_id, entry in enumerate(sorted(entries, key=lambda entry: int(entry["id"]))):
                category = names[entry["category_id"]]
                if category not in wanted or not area[0] <= entry["area"] <= area[1]:
                    continue
                outline = _outline(entry["segmentation"], size_hw)
                if entry["area"] < _MAY_BE_EMPTY and not outline.mask().any():
                    continue
                self._files[name] = image["file_name"]
                self._outlines.append(outline)
                self.refs.append(ObjectRef(name, object_id, category, round(entry["area"])))


def _outline(segmentation: Any, size_hw: tuple[int, int]) -> _Outline:
    if isinstance(segmentation, dict):
        return _Outline(segmentation, size_hw)
    # fewer than three corners enclose nothing
    return _Outline([np.asarray(part, np.float64) for part in segmentation if len(part) >= 6], size_hw)


def _known(categories: Sequence[str] | None, known: list[str], path: Path) -> set[str]:
    """The categories asked for; InputError with the nearest names for one that is not there."""
    for name in categories or ():
        if name not in known:
            near = difflib.get_close_matches(name, known) or known
            raise InputError(f"{path} has no category {name!r}; the nearest are {', '.join(near[:10])}")
    return set(known if categories is None else categories)
