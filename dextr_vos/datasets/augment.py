"""Random changes of a picture and its mask together: geometry on both, colour on the picture alone."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.masks import VOID, Labels
from dextr_vos.pictures import ImageRgb


@dataclass(frozen=True)
class Augmentation:
    """How far a sample may be changed.

    Attributes:
        flip: mirror left and right half of the time.
        rotation_deg: rotation about the centre, from −this to this.
        scale: factors of size, least and largest.
        shift: largest displacement, as a share of each side.
        brightness: largest share by which brightness, contrast and saturation change.
    """

    flip: bool = True
    rotation_deg: float = 30.0
    scale: tuple[float, float] = (0.75, 1.25)
    shift: float = 0.0
    brightness: float = 0.0


def augment(
    image_rgb: ImageRgb, labels: Labels, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[ImageRgb, Labels]:
    """Change a picture and its labels at random.

    The picture is resampled bicubically and mirrored beyond its border; labels are resampled by nearest
    neighbour and void there, so that invented pixels teach nothing.

    Args:
        image_rgb: H×W×3 uint8.
        labels: H×W uint8.
        augmentation: how far.
        rng: the only source of chance.

    Returns:
        Picture and labels of the same size.
    """
    matrix = _random_affine(labels.shape, augmentation, rng)
    size = (labels.shape[1], labels.shape[0])
    image = cv2.warpAffine(image_rgb, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    moved = cv2.warpAffine(
        labels, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=VOID
    )
    if augmentation.brightness > 0:
        image = _random_colour(image, augmentation.brightness, rng)
    return image, moved


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
