"""Random changes of an image's colours and sharpness: as light, lenses and codecs cause them."""

from dataclasses import dataclass

import cv2
import numpy as np

from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb


@dataclass(frozen=True)
class PhotometricAugmentation:
    """How far colours and sharpness may change; 0 leaves them.

    Attributes:
        light: largest share by which each of brightness, contrast and saturation changes.
        tint: largest share by which one colour channel changes against the others.
        grey: share of images that lose their colours.
        blur: share of images blurred, half of these as if moved.
        noise: share of images with sensor noise.
        codec: share of images with JPEG artefacts.
    """

    light: float = 0.25
    tint: float = 0.15
    grey: float = 0.05
    blur: float = 0.25
    noise: float = 0.15
    codec: float = 0.25


def change_colours(
    image_rgb: ImageRgb, augmentation: PhotometricAugmentation, rng: np.random.Generator
) -> ImageRgb:
    """Change brightness, contrast, saturation, tint and gamma at random.

    Args:
        image_rgb: H×W×3 uint8.
        augmentation: how far.
        rng: the only source of chance.

    Returns:
        H×W×3 uint8, a new array.
    """
    contrast, saturation = rng.uniform(1 - augmentation.light, 1 + augmentation.light, 2)
    brightness = rng.uniform(-augmentation.light, augmentation.light) * 128
    gamma = np.exp(rng.uniform(-augmentation.light, augmentation.light))
    tint = rng.uniform(1 - augmentation.tint, 1 + augmentation.tint, 3)
    if rng.random() < augmentation.grey:
        saturation = 0.0
    # one look-up for gamma, contrast and brightness, one matrix for saturation and tint
    levels = 255 * (np.arange(256) / 255) ** gamma
    table = np.clip((levels - 128) * contrast + 128 + brightness, 0, 255).astype(np.uint8)
    luma = np.array([0.299, 0.587, 0.114])
    matrix = (saturation * np.eye(3) + (1 - saturation) * luma[None, :]) * tint[:, None]
    changed: ImageRgb = cv2.transform(cv2.LUT(image_rgb, table), matrix)
    return changed


def change_sharpness(
    image_rgb: ImageRgb, augmentation: PhotometricAugmentation, rng: np.random.Generator
) -> ImageRgb:
    """Blur, move, add noise to or compress an image at random. Arguments and result as `change_colours`."""
    image = image_rgb
    if rng.random() < augmentation.blur:
        if rng.random() < 0.5:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))
        else:
            image = cv2.filter2D(image, -1, _motion_kernel(int(rng.integers(3, 10)), rng.uniform(0, np.pi)))
    if rng.random() < augmentation.noise:
        deviation = rng.uniform(2, 12)
        noisy = rng.standard_normal(image.shape, dtype=np.float32)
        noisy *= deviation
        noisy += image
        image = np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
    if rng.random() < augmentation.codec:
        quality = int(rng.integers(25, 85))
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return image


def _motion_kernel(length: int, angle: float) -> FloatArray:
    kernel = np.zeros((length, length), dtype=np.float32)
    centre = (length - 1) / 2
    reach = centre * np.array([np.cos(angle), np.sin(angle)])
    start, end = (np.round(centre + sign * reach).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    normalized: FloatArray = kernel / kernel.sum()
    return normalized
