"""Copy-paste composition: an object turned, put on another image, hidden in part or joined with another.

After Ghiasi et al., "Simple Copy-Paste", CVPR 2021, for one target object with its exact mask.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.datasets.instances import Example
from dextr_vos.datasets.photometric import PhotometricAugmentation, change_colours, change_sharpness
from dextr_vos.geometry import BoolArray, crop
from dextr_vos.images import ImageRgb

Draw = Callable[[np.random.Generator], Example]

# a target that is hidden in part keeps at least this share of its pixels
_LEAST_LEFT = 0.5
_LEAST_PIXELS = 64
_MARGIN = 0.25
_SOFT_PX = 6


@dataclass(frozen=True)
class CopyPaste:
    """How samples are composed; every chance is a share of all samples.

    Attributes:
        paste: the object is put on another image.
        neighbour: of those pasted, another object stands behind it.
        retexture: of those pasted, its pixels come from another image, so that only its outline shows it.
        occlude: another object hides part of it.
        merge: another object overlaps it and both are the target, like a rider and a horse.
        rotation_deg: standard deviation of the rotation.
        shear: standard deviation of the shear.
        aspect: standard deviation of the logarithm of the aspect's change.
        size: least and largest longer side, as a share of the crop.
        photometric: changes of colours and sharpness.
    """

    paste: float = 0.5
    neighbour: float = 0.3
    retexture: float = 0.15
    occlude: float = 0.15
    merge: float = 0.15
    rotation_deg: float = 15.0
    shear: float = 0.1
    aspect: float = 0.15
    size: tuple[float, float] = (0.5, 1.2)
    photometric: PhotometricAugmentation = field(default_factory=PhotometricAugmentation)


@dataclass(frozen=True)
class Layer:
    """An image with one object.

    Attributes:
        image_rgb: H×W×3 uint8.
        mask: H×W bool, never empty.
        void: H×W bool, pixels that count neither way.
    """

    image_rgb: ImageRgb
    mask: BoolArray
    void: BoolArray


def compose(example: Example, draw: Draw, how: CopyPaste, longest: int, rng: np.random.Generator) -> Layer:
    """A sample with the example's object as its target.

    Args:
        example: the object.
        draw: gives further examples, for backgrounds and other objects.
        how: chances and amounts.
        longest: pixels that a size of 1.0 stands for.
        rng: the only source of chance.

    Returns:
        The surroundings of the target, not much more.
    """
    target = moved(example, how, longest, rng)
    target = replace(target, image_rgb=change_colours(target.image_rgb, how.photometric, rng))
    if rng.random() < how.paste:
        target = _pasted(target, draw, how, longest, rng)
    chance = rng.random()
    if chance < how.occlude + how.merge:
        other = _other(draw, how, longest, rng)
        target = (_occluded if chance < how.occlude else _merged)(target, other, rng)
    return replace(target, image_rgb=change_sharpness(target.image_rgb, how.photometric, rng))


def moved(example: Example, how: CopyPaste, longest: float, rng: np.random.Generator) -> Layer:
    """The object with its surroundings under a random affine map."""
    x, y, width, height = cv2.boundingRect(example.mask.view(np.uint8))
    scale = longest * rng.uniform(*how.size) / max(width, height)
    matrix = scale * _random_linear(how, rng)
    corners = np.array([(-width, -height), (width, -height)]) / 2 @ matrix.T
    reach = (1 + 2 * _MARGIN) * np.abs(corners).max(axis=0) + 2
    size = int(2 * reach[0]) + 1, int(2 * reach[1]) + 1
    centre = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
    affine = np.hstack([matrix, (reach - matrix @ centre)[:, None]])
    mask = cv2.warpAffine(example.mask.view(np.uint8), affine, size, flags=cv2.INTER_LINEAR).view(np.bool_)
    if np.count_nonzero(mask) < _LEAST_PIXELS:
        return Layer(example.image_rgb, example.mask, example.void)
    # area averaging is not on offer in a warp; a blur before it keeps fine texture from flickering
    image = example.image_rgb if scale > 0.6 else cv2.GaussianBlur(example.image_rgb, (0, 0), 0.4 / scale)
    image = cv2.warpAffine(image, affine, size, flags=cv2.INTER_LINEAR)
    if not example.void.any():
        return Layer(image, mask, np.zeros_like(mask))
    void = cv2.warpAffine(example.void.view(np.uint8), affine, size, flags=cv2.INTER_NEAREST).view(np.bool_)
    return Layer(image, mask, void & ~mask)


def centred(
    image_rgb: ImageRgb, mask: BoolArray, centre_xy: npt.ArrayLike, scale: float, mirrored: bool
) -> Layer:
    """An object elsewhere in an image of the same size; what is beyond the border is cut off.

    Args:
        image_rgb: H×W×3 uint8.
        mask: H×W bool, of the object.
        centre_xy: of the object's box, where it is to be, in pixels.
        scale: of the object.
        mirrored: left to right.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    linear = np.diag([-scale if mirrored else scale, scale])
    shift = np.asarray(centre_xy) - linear @ (x + width / 2, y + height / 2)
    affine, size = np.column_stack([linear, shift]), (mask.shape[1], mask.shape[0])
    image = cv2.warpAffine(image_rgb, affine, size, borderMode=cv2.BORDER_REFLECT_101)
    there = cv2.warpAffine(mask.view(np.uint8), affine, size).view(np.bool_)
    return Layer(np.asarray(image, np.uint8), there, np.zeros_like(there))


def _random_linear(how: CopyPaste, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    angle = np.deg2rad(rng.normal(0, how.rotation_deg))
    stretch = np.exp(rng.normal(0, how.aspect) / 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, rng.normal(0, how.shear)], [0, 1]])
    mirror = np.diag([1.0 if rng.random() < 0.5 else -1.0, 1.0])
    linear: npt.NDArray[np.float64] = turn @ shear @ np.diag([stretch, 1 / stretch]) @ mirror
    return linear


def _other(draw: Draw, how: CopyPaste, longest: int, rng: np.random.Generator) -> Layer:
    layer = moved(draw(rng), how, longest * rng.uniform(0.3, 1.0), rng)
    return replace(layer, image_rgb=change_colours(layer.image_rgb, how.photometric, rng))


def _pasted(target: Layer, draw: Draw, how: CopyPaste, longest: int, rng: np.random.Generator) -> Layer:
    """The target on another image, perhaps with another object behind it."""
    shape = target.mask.shape
    texture = _filling(draw(rng).image_rgb, shape, rng) if rng.random() < how.retexture else target.image_rgb
    background = change_colours(_filling(draw(rng).image_rgb, shape, rng), how.photometric, rng)
    if rng.random() < how.neighbour:
        other = placed(_other(draw, how, longest, rng), target.mask, rng)
        background = blend(background, other, rng)
    image = blend(background, replace(target, image_rgb=texture), rng)
    return Layer(image, target.mask, np.zeros_like(target.mask))


def _occluded(target: Layer, other: Layer, rng: np.random.Generator) -> Layer:
    """The target behind another object; unchanged where too little of it would be left."""
    other = placed(other, target.mask, rng)
    left = target.mask & ~other.mask
    if np.count_nonzero(left) < max(_LEAST_LEFT * np.count_nonzero(target.mask), _LEAST_PIXELS):
        return target
    return Layer(blend(target.image_rgb, other, rng), left, target.void & ~other.mask)


def _merged(target: Layer, other: Layer, rng: np.random.Generator) -> Layer:
    """The target with another object before it, both as one; unchanged where they do not touch."""
    other = placed(other, target.mask, rng)
    if not np.any(target.mask & other.mask):
        return target
    mask = target.mask | other.mask
    return Layer(blend(target.image_rgb, other, rng), mask, target.void & ~mask)


def placed(other: Layer, mask: BoolArray, rng: np.random.Generator) -> Layer:
    """Another layer moved into the frame of `mask`, its object's centre on a random pixel of `mask`'s box."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    ox, oy, other_w, other_h = cv2.boundingRect(other.mask.view(np.uint8))
    shift = (
        x + rng.uniform(0, width) - (ox + other_w / 2),
        y + rng.uniform(0, height) - (oy + other_h / 2),
    )
    left, top = round(shift[0]), round(shift[1])
    box = -left, -top, mask.shape[1] - 1 - left, mask.shape[0] - 1 - top
    return Layer(crop(other.image_rgb, box), crop(other.mask, box), np.zeros_like(mask))


def _filling(image_rgb: ImageRgb, shape: tuple[int, ...], rng: np.random.Generator) -> ImageRgb:
    """A random part of an image, enlarged or reduced to fill `shape`."""
    height, width = shape
    fit = min(image_rgb.shape[0] / height, image_rgb.shape[1] / width)
    part = min(fit, rng.uniform(0.5, 1.0) * fit + rng.uniform(0, 0.3))
    part_h, part_w = max(1, int(height * part)), max(1, int(width * part))
    y = int(rng.integers(image_rgb.shape[0] - part_h + 1))
    x = int(rng.integers(image_rgb.shape[1] - part_w + 1))
    piece = image_rgb[y : y + part_h, x : x + part_w]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    filled: ImageRgb = cv2.resize(piece, (width, height), interpolation=cv2.INTER_LINEAR)
    return filled


def blend(background: ImageRgb, layer: Layer, rng: np.random.Generator) -> ImageRgb:
    """The layer's object over another image of its size, with a soft edge of a random width."""
    alpha = cv2.GaussianBlur(layer.mask.astype(np.float32), (0, 0), rng.uniform(0.4, 1.2))
    blended = background.copy()
    # no blur reaches further from the object
    x, y, width, height = cv2.boundingRect(layer.mask.view(np.uint8))
    part = (
        slice(max(y - _SOFT_PX, 0), y + height + _SOFT_PX),
        slice(max(x - _SOFT_PX, 0), x + width + _SOFT_PX),
    )
    below = background[part].astype(np.float32)
    mixed = layer.image_rgb[part] - below
    mixed *= cv2.merge([alpha[part]] * 3)
    mixed += below
    mixed += 0.5
    blended[part] = mixed
    return blended
