"""What is known of an object in an image, and the crop and numbers that a network gets of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.errors import InputError, counted
from dextr_vos.geometry import Box, FloatArray, IntArray, box_around, box_size_hw, crop

# of a mask below this nothing is drawn
_MASK_THRESHOLD = 0.5
_MASK_STRIDE = 4

FEWEST_POINTS = 4  # extreme ones that make a mask
SHORTEST_BOX_PX = 3


class Click(NamedTuple):
    """A click on a pixel: the object is here, or it is not."""

    x: int
    y: int
    positive: bool


@dataclass(frozen=True)
class Prompt:
    """What is known of one object, in pixels of the image.

    A mask is made of four extreme points or more, of a box, of a mask to correct, or of a positive click.

    Attributes:
        points_xy: N×2 extreme points and further points of the outline, N ≥ 4, or none.
        clicks: on the object, and on what is not the object.
        box_xyxy: a box that the object fills.
        mask: H×W float32 in [0, 1], the mask so far.
    """

    points_xy: IntArray | None = None
    clicks: Sequence[Click] = field(default_factory=tuple)
    box_xyxy: Box | None = None
    mask: FloatArray | None = None

    @property
    def is_extremes(self) -> bool:
        """Whether there are extreme points, and nothing else."""
        return self.points_xy is not None and not self.clicks and self.box_xyxy is None and self.mask is None

    @property
    def makes_mask(self) -> bool:
        """Whether a mask can be made of it."""
        if self.points_xy is not None and len(self.points_xy) < FEWEST_POINTS:
            return False
        return self.known or any(click.positive for click in self.clicks)

    @property
    def known(self) -> bool:
        """Whether it says how far the object reaches: by extreme points, a box or a mask."""
        if self.points_xy is not None or self.box_xyxy is not None:
            return True
        return self.mask is not None and bool((self.mask > _MASK_THRESHOLD).any())

    def extent_xy(self) -> IntArray | None:
        """Points that the object reaches as far as it is known, N×2; None where only clicks are known."""
        known: list[npt.ArrayLike] = []
        if self.points_xy is not None:
            known.append(self.points_xy)
        elif self.box_xyxy is not None:
            known.append([self.box_xyxy[:2], self.box_xyxy[2:]])
        elif self.mask is not None:
            x, y, width, height = cv2.boundingRect((self.mask > _MASK_THRESHOLD).view(np.uint8))
            known += [[(x, y), (x + width - 1, y + height - 1)]] if width else []
        if not known:
            return None
        positive = [click[:2] for click in self.clicks if click.positive]
        return np.vstack([*known, *([positive] if positive else [])]).astype(np.int64)

    def crop_box(self, crop: ClickCrop, size_hw: tuple[int, int]) -> Box:
        """The part of an image that a network gets: around all that is known, or the whole image."""
        extent = self.extent_xy()
        return (0, 0, size_hw[1] - 1, size_hw[0] - 1) if extent is None else crop.box(extent, size_hw)


def unit_points(points_xy: npt.ArrayLike, box_xyxy: Box) -> FloatArray:
    """Pixels of the image as shares of a box's width and height, N×2 float32; a pixel's centre counts."""
    height, width = box_size_hw(box_xyxy)
    points = np.asarray(points_xy, dtype=np.float64).reshape(-1, 2)
    unit: FloatArray = ((points - box_xyxy[:2] + 0.5) / (width, height)).astype(np.float32)
    return unit


def unit_box(points_xy: npt.ArrayLike, box_xyxy: Box) -> FloatArray:
    """Corners, 2×2, of the box around some points, as shares of another box; whole pixels count."""
    points = np.asarray(points_xy, dtype=np.float64).reshape(-1, 2)
    height, width = box_size_hw(box_xyxy)
    corners = np.stack([points.min(axis=0), points.max(axis=0) + 1])
    unit: FloatArray = ((corners - box_xyxy[:2]) / (width, height)).astype(np.float32)
    return unit


def coverage(mask: npt.NDArray[np.generic], box_xyxy: Box, size_px: int) -> FloatArray:
    """A mask, H×W, in the resized crop of an image: the share of every pixel that it covers, S×S float32."""
    patch = crop(np.asarray(mask, dtype=np.float32), box_xyxy)
    shrinks = max(patch.shape) > size_px
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: FloatArray = cv2.resize(patch, (size_px, size_px), interpolation=interpolation)
    return resized


def mask_input(mask: npt.NDArray[np.generic], box_xyxy: Box, size_px: int) -> FloatArray:
    """The mask so far as the network takes it, S/4×S/4 float32 in [0, 1]."""
    return coverage(mask, box_xyxy, size_px // _MASK_STRIDE)


def check_prompt(prompt: Prompt, size_hw: tuple[int, int], where: str) -> None:
    """Refuse what makes no mask.

    Args:
        prompt: what is known of an object.
        size_hw: height and width of the image.
        where: see `check_points`.

    Raises:
        InputError: extreme points that `check_points` refuses; a box or a click outside the image; a box less
            than 3 pixels wide or high; a mask of another size; or neither extreme points nor a box, a mask
            or a positive click.
    """
    if prompt.points_xy is not None:
        check_points(prompt.points_xy, size_hw, where)
    if prompt.points_xy is not None and prompt.box_xyxy is not None:
        raise InputError(f"{where}: expected either extreme points or a box, got both; leave the box out")
    if prompt.box_xyxy is not None:
        corners = np.array([prompt.box_xyxy[:2], prompt.box_xyxy[2:]], dtype=np.int64)
        check_inside(corners, size_hw, f"{where}, corners of the box")
        _check_span(corners, where, "draw it around the object")
    clicked = np.array([click[:2] for click in prompt.clicks], dtype=np.int64).reshape(-1, 2)
    check_inside(clicked, size_hw, f"{where}, positive and negative clicks")
    if prompt.mask is not None and prompt.mask.shape != size_hw:
        raise InputError(
            f"{where}: the mask is of {prompt.mask.shape[1]}×{prompt.mask.shape[0]} px, expected the image's "
            f"{size_hw[1]}×{size_hw[0]}"
        )
    if not (prompt.known or any(click.positive for click in prompt.clicks)):
        raise InputError(
            f"{where}: expected four extreme points, a box, or at least one positive click on the object"
        )


def check_points(points_xy: IntArray, size_hw: tuple[int, int], where: str) -> None:
    """Refuse points that cannot be the extreme points of an object.

    Args:
        points_xy: N×2 integers.
        size_hw: height and width of the image.
        where: what to call the points in the message, such as file, frame and object.

    Raises:
        InputError: fewer than four points, one outside the image, or all in a box less than 3 pixels wide or
            high.
    """
    if len(points_xy) < FEWEST_POINTS:
        raise InputError(
            f"{where}: {counted(len(points_xy), 'point')}, expected at least four, the leftmost, rightmost, "
            "topmost and bottommost of the object"
        )
    check_inside(points_xy, size_hw, where)
    _check_span(points_xy, where, "click the object's four extremes")


def _check_span(points_xy: IntArray, where: str, advice: str) -> None:
    box_h, box_w = box_size_hw(box_around(points_xy))
    if min(box_h, box_w) < SHORTEST_BOX_PX:
        raise InputError(
            f"{where}: the points span a box of {box_w}×{box_h} px, expected at least "
            f"{SHORTEST_BOX_PX}×{SHORTEST_BOX_PX}; {advice}"
        )


def check_inside(points_xy: IntArray, size_hw: tuple[int, int], where: str) -> None:
    """Refuse points outside an image.

    Raises:
        InputError: one is; the arguments are those of `check_points`.
    """
    height, width = size_hw
    for number, (x, y) in enumerate(points_xy.tolist(), start=1):
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(
                f"{where}, point {number}: ({x}, {y}) is outside the {width}×{height} image; "
                f"x goes from 0 to {width - 1}, y from 0 to {height - 1}"
            )
