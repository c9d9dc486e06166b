"""CVAT's shapes and prompts, as masks and prompts of this package and back.

A point (x, y) is a place on the image, whose pixel (0, 0) covers 0 to 1; a mask is its run lengths and box.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import ModuleType

import cv2
import numpy as np

from dextr_vos.annotation.prompts import Click, Prompt, check_prompt
from dextr_vos.annotation.segmenter import Segmenter, load_segmenter
from dextr_vos.errors import InputError
from dextr_vos.export.formats.outlines import edge_polygons, mask_of_edges
from dextr_vos.geometry import BoolArray, pixel_under, touched_box
from dextr_vos.images import ImageRgb

TRACKED_SHAPES = frozenset({"mask", "polygon", "rectangle"})
_OUTLINE_ERROR_PX = 1.0  # of the corners of a polygon, so that a person can drag them

Points = Sequence[tuple[float, float]]


def cvat_sdk(module: str) -> ModuleType:
    """A module of cvat-sdk, such as `auto_annotation`.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(f"cvat_sdk.{module}")
    except ImportError as error:
        raise InputError(
            f'functions for CVAT need cvat-sdk ({error}); install it with: pip install "dextr-vos[cvat]"'
        ) from None


def prompt_of(
    positive: Points,
    negative: Points,
    corners: Points | None,
    size_hw: tuple[int, int],
    extreme_points: bool = False,
) -> Prompt:
    """What CVAT's interactor says of an object.

    Args:
        positive: places on the object.
        negative: places that are not on it.
        corners: top left and bottom right of a box around it.
        size_hw: height and width of the image.
        extreme_points: the positive places are extreme points.

    Raises:
        InputError: no mask can be made of it.
    """
    extremes, clicked = (positive, ()) if extreme_points else ((), positive)
    clicks = [Click(*pixel_under(place, size_hw), True) for place in clicked]
    clicks += [Click(*pixel_under(place, size_hw), False) for place in negative]
    box = None if corners is None or extreme_points else touched_box((*corners[0], *corners[1]), size_hw)
    points = (
        np.array([pixel_under(place, size_hw) for place in extremes], np.int64) if extreme_points else None
    )
    prompt = Prompt(points, tuple(clicks), box)
    check_prompt(prompt, size_hw, "the points")
    return prompt


def segment(segmenter: Segmenter, image_rgb: ImageRgb, prompt: Prompt) -> BoolArray:
    """The mask of a prompt that `prompt_of` made, H×W."""
    (prob,) = segmenter.prompted(image_rgb, [prompt])
    mask: BoolArray = prob > segmenter.threshold
    return mask


def mask_of_shape(kind: str, points: Sequence[float], image_rgb: ImageRgb, device: str) -> BoolArray:
    """The mask of a shape; what a rectangle is around, is segmented.

    Args:
        kind: of `TRACKED_SHAPES`.
        points: of the shape.
        image_rgb: H×W×3 uint8.
        device: where the lite network makes the mask of a rectangle.

    Raises:
        InputError: the shape is damaged, or covers nothing.
    """
    size_hw = (image_rgb.shape[0], image_rgb.shape[1])
    try:
        if kind == "mask":
            decode = cvat_sdk("masks").decode_mask
            mask: BoolArray = decode(points, image_width=size_hw[1], image_height=size_hw[0])
        elif kind == "polygon":
            mask = mask_of_edges([points], size_hw)
        else:
            x0, y0, x1, y1 = points
            prompt = Prompt(box_xyxy=touched_box((x0, y0, x1, y1), size_hw))
            check_prompt(prompt, size_hw, "the rectangle")
            mask = segment(_segmenter_of_boxes(device), image_rgb, prompt)
    except ValueError as error:
        raise InputError(f"the {kind} cannot be read: {error}") from None
    if not mask.any():
        raise InputError(f"the {kind} covers nothing of the image; draw it around the object")
    return mask


def shape_points(kind: str, mask: BoolArray) -> list[float]:
    """The points of a shape for a mask that is not empty; a polygon is around its largest part."""
    if kind == "mask":
        encoded: list[float] = cvat_sdk("masks").encode_mask(mask)
        return encoded
    if kind == "polygon":
        return max(outlines(mask), key=lambda ring: cv2.contourArea(_as_contour(ring)))
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return [float(x), float(y), float(x + width), float(y + height)]


def outlines(mask: BoolArray) -> list[list[float]]:
    """Polygons x, y, x, y, … around the parts of a mask, with as few corners as a pixel's error needs."""
    return [_simplified(_as_contour(np.ravel(ring))) for ring in edge_polygons(mask)]


def _simplified(ring: np.ndarray) -> list[float]:
    """A ring with fewer corners; the same where nothing would be left inside, as of a line of pixels."""
    fewer = cv2.approxPolyDP(ring, _OUTLINE_ERROR_PX, True)
    kept: list[float] = (fewer if cv2.contourArea(fewer) > 0 else ring).ravel().astype(float).tolist()
    return kept


@cache
def _segmenter_of_boxes(device: str) -> Segmenter:
    return load_segmenter("lite", device=device)


def _as_contour(points: Sequence[float] | np.ndarray) -> np.ndarray:
    return np.asarray(points, np.int32).reshape(-1, 1, 2)
