"""Random changes of an image and its mask together: geometry changes both, colour the image alone."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.geometry import IntArray
from dextr_vos.images import ImageRgb
from dextr_vos.masks import VOID, Labels


@dataclass(frozen=True)
class Augmentation:
    """How far a sample may be changed.

    Attributes:
        flip: mirror left and right half of the time.
        rotation_deg: rotation about the centre, from −this to this.
        scale: factors of size, least and largest.
        shift: largest displacement, as a share of each side.
        brightness: largest share by which brightness, contrast and saturation change.
        beyond: what fills the pixels from beyond the border: the image mirrored, which is void, or black
            background, as in DEXTR's release.
    """

    flip: bool = True
    rotation_deg: float = 30.0
    scale: tuple[float, float] = (0.75, 1.25)
    shift: float = 0.0
    brightness: float = 0.0
    beyond: Literal["mirror", "black"] = "mirror"


def augment(
    image_rgb: ImageRgb, labels: Labels, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[ImageRgb, Labels]:
    """Change an image and its labels at random.

    The image is resampled bicubically, labels by nearest neighbour. What is mirrored beyond the border is
    void, so that invented pixels teach nothing.

    Args:
        image_rgb: H×W×3 uint8.
        labels: H×W uint8.
        augmentation: how far.
        rng: the only source of chance.

    Returns:
        Image and labels of the same size.
    """
    image, moved, _ = augment_with_points(
        image_rgb, labels, np.zeros((0, 2), dtype=np.int64), augmentation, rng
    )
    return image, moved


def augment_with_points(
    image_rgb: ImageRgb,
    labels: Labels,
    points_xy: IntArray,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[ImageRgb, Labels, IntArray]:
    """Change an image, its labels and points on it at random; see `augment`.

    Args:
        image_rgb: H×W×3 uint8.
        labels: H×W uint8.
        points_xy: N×2 integers in the image.
        augmentation: how far.
        rng: the only source of chance.

    Returns:
        Image and labels of the same size, and the points that did not leave the image.
    """
    matrix = _random_affine(labels.shape, augmentation, rng)
    size = (labels.shape[1], labels.shape[0])
    mirror = augmentation.beyond == "mirror"
    image = cv2.warpAffine(
        image_rgb,
        matrix,
        size,
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101 if mirror else cv2.BORDER_CONSTANT,
    )
    moved = cv2.warpAffine(
        labels,
        matrix,
        size,
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=VOID if mirror else 0,
    )
    if augmentation.brightness > 0:
        image = _random_colour(image, augmentation.brightness, rng)
    return image, moved, _moved_points(points_xy, matrix, size)


def _moved_points(points_xy: IntArray, matrix: npt.NDArray[np.float64], size_wh: tuple[int, int]) -> IntArray:
    moved: IntArray = np.rint(points_xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.int64)
    return moved[((moved >= 0) & (moved < size_wh)).all(axis=1)]


def _random_affine(
    size_hw: tuple[int, ...], augmentation: Augmentation, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    height, width = size_hw
    angle = rng.uniform(-augmentation.rotation_deg, augmentation.rotation_deg)
    scale = rng.uniform(*augmentation.scale)
    matrix: npt.NDArray[np.float64] = cv2.getRotationMatrix2D(
        ((width - 1) / 2, (height - 1) / 2), angle, scale
    )
    matrix[:, 2] += rng.uniform(-augmentation.shift, augmentation.shift, 2) * (width, height)
    if augmentation.flip and rng.random() < 0.5:
        matrix[0] = -matrix[0] + (0, 0, width - 1)
    return matrix


def _random_colour(image_rgb: ImageRgb, amount: float, rng: np.random.Generator) -> ImageRgb:
    brightness, contrast, saturation = rng.uniform(1 - amount, 1 + amount, 3)
    image = image_rgb.astype(np.float32) * brightness
    image = (image - image.mean()) * contrast + image.mean()
    grey = image.mean(axis=2, keepdims=True)
    changed: ImageRgb = np.clip((image - grey) * saturation + grey, 0, 255).astype(np.uint8)
    return changed
