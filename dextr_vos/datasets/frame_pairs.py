"""Scenes for two frames: a background, objects that occlude one another, and one target among them."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

from dextr_vos.datasets.copy_paste import CopyPaste, Draw, Layer, moved
from dextr_vos.datasets.instances import Example
from dextr_vos.datasets.mask_corruption import MaskCorruption, corrupt_guide, corrupt_mask
from dextr_vos.datasets.motion import Frame, Motion, Sprite
from dextr_vos.datasets.photometric import change_colours

if TYPE_CHECKING:  # settings are read without PyTorch, too
    from torch import Tensor

Chance = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class SceneRecipe:
    """How a scene is made; every chance is a share of all scenes.

    Attributes:
        size_hw: of the frames, in pixels.
        size: least and largest longer side of the target, as a share of the frame's longer side.
        own: the target stays in its own image.
        merge: of the scenes in which it does not, a second object moves along and belongs to the target, like
            a rider's horse.
        others: chance of another object, and of one more after each.
        twin: chance that another object is a copy of the target.
        absent: the target has left the second frame, unless it stays in its own image.
        sprite: how objects that are pasted in are turned and coloured.
        motion: from one frame to the other.
    """

    size_hw: tuple[int, int] = (224, 320)
    size: tuple[float, float] = (0.15, 0.85)
    own: Chance = 0.4
    merge: Chance = 0.2
    others: Annotated[float, Field(ge=0, lt=1)] = 0.55
    twin: Chance = 0.15
    absent: Chance = 0.04
    sprite: CopyPaste = field(default_factory=CopyPaste)
    motion: Motion = field(default_factory=Motion)


def draw_scene(
    example: Example, draw: Draw, how: SceneRecipe, rng: np.random.Generator, behind: Draw | None = None
) -> tuple[Layer, list[Sprite]]:
    """A scene with the example's object as its target.

    Args:
        example: the object.
        draw: gives further examples, for other objects and backgrounds.
        how: chances and amounts.
        rng: the only source of chance.
        behind: gives the backgrounds, in place of `draw`.

    Returns:
        The image behind, of `how.size_hw`, with the target as its mask where it stays in its own image;
        and the sprites from back to front.
    """
    if rng.random() < how.own:
        background, targets = crop_around_object(example, how, rng), []
    else:
        background = crop_around_object((behind or draw)(rng), how, rng)
        background = replace(
            background, mask=np.zeros_like(background.mask), void=np.zeros_like(background.void)
        )
        targets = _targets(example, draw, how, rng)
    background = replace(
        background, image_rgb=change_colours(background.image_rgb, how.sprite.photometric, rng)
    )
    sprites = list(targets)
    while rng.random() < how.others:
        other = _other(example, draw, how, rng)
        if targets and rng.random() < 0.5:
            # sprites that move along keep their index, so others go behind all of the target or before it
            sprites = [other, *(_renumbered(sprite) for sprite in sprites)]
        else:
            sprites.append(other)
    return background, sprites


def _targets(example: Example, draw: Draw, how: SceneRecipe, rng: np.random.Generator) -> list[Sprite]:
    layer = _sprite_layer(example, how, how.size, rng)
    place = _somewhere(how, rng)
    sprites = [Sprite(layer, place, target=True, absent=rng.random() < how.absent)]
    if rng.random() < how.merge:
        _, _, width, height = cv2.boundingRect(layer.mask.view(np.uint8))
        share = max(width, height) / max(how.size_hw)
        second = _sprite_layer(draw(rng), how, (0.5 * share, 1.2 * share), rng)
        near = place[0] + rng.normal(0, 0.25) * width, place[1] + rng.normal(0, 0.35) * height
        sprites.append(Sprite(second, near, target=True, leads=0, absent=sprites[0].absent))
    return sprites


def _other(example: Example, draw: Draw, how: SceneRecipe, rng: np.random.Generator) -> Sprite:
    twin = rng.random() < how.twin
    layer = _sprite_layer(example if twin else draw(rng), how, (0.1, 0.6), rng)
    return Sprite(layer, _somewhere(how, rng), target=False)


def _renumbered(sprite: Sprite) -> Sprite:
    return sprite if sprite.leads is None else replace(sprite, leads=sprite.leads + 1)


def _sprite_layer(
    example: Example, how: SceneRecipe, size: tuple[float, float], rng: np.random.Generator
) -> Layer:
    layer = moved(example, replace(how.sprite, size=size), max(how.size_hw), rng)
    return replace(layer, image_rgb=change_colours(layer.image_rgb, how.sprite.photometric, rng))


def _somewhere(how: SceneRecipe, rng: np.random.Generator) -> tuple[float, float]:
    height, width = how.size_hw
    return float(rng.uniform(0.1, 0.9) * width), float(rng.uniform(0.15, 0.9) * height)


def crop_around_object(example: Example, how: SceneRecipe, rng: np.random.Generator) -> Layer:
    """A frame of the example's own image with its object somewhere in it, in a size of `how.size`.

    Beyond the image's border it is mirrored.
    """
    height, width = how.size_hw
    x, y, box_w, box_h = cv2.boundingRect(example.mask.view(np.uint8))
    scale = max(how.size_hw) * rng.uniform(*how.size) / max(box_w, box_h)
    # no more than a third of the frame is mirrored border
    scale = max(scale, 0.67 * max(width / example.mask.shape[1], height / example.mask.shape[0]))
    affine = cv2.getRotationMatrix2D((x + box_w / 2, y + box_h / 2), rng.normal(0, 6), scale)
    seen_w, seen_h = example.mask.shape[1] * scale, example.mask.shape[0] * scale
    # moved as far as the image reaches, and never so far that the object leaves
    place = np.array([rng.uniform(0.3, 0.7) * width, rng.uniform(0.35, 0.65) * height])
    left, top = place - np.array([x + box_w / 2, y + box_h / 2]) * scale
    left = np.clip(left, min(0, width - seen_w), max(0, width - seen_w))
    top = np.clip(top, min(0, height - seen_h), max(0, height - seen_h))
    affine[:, 2] += np.array([left, top]) + (scale - 1) * np.array([x + box_w / 2, y + box_h / 2])
    if rng.random() < 0.5:
        affine[0] = -affine[0] + (0, 0, width - 1)
    image = example.image_rgb if scale > 0.6 else cv2.GaussianBlur(example.image_rgb, (0, 0), 0.4 / scale)

    def warped(values: np.ndarray, interpolation: int) -> np.ndarray:
        return np.asarray(
            cv2.warpAffine(
                values, affine, (width, height), flags=interpolation, borderMode=cv2.BORDER_REFLECT_101
            )
        )

    return Layer(
        warped(image, cv2.INTER_LINEAR),
        warped(example.mask.view(np.uint8), cv2.INTER_NEAREST).view(np.bool_),
        warped(example.void.view(np.uint8), cv2.INTER_NEAREST).view(np.bool_),
    )


def pair_sample(
    first: Frame, second: Frame, corruption: MaskCorruption, rng: np.random.Generator
) -> "dict[str, Tensor]":
    """Two frames as the network takes them, in either order; the known one shows the target.

    Returns:
        "image" and "known" H×W×3 uint8; "guide" 1×H×W float32; "target", "void" and "known_mask" 1×H×W bool.
    """
    import torch

    known, target = known_and_target(first, second, rng)
    return {
        "image": torch.from_numpy(np.ascontiguousarray(target.image_rgb)),
        "known": torch.from_numpy(np.ascontiguousarray(known.image_rgb)),
        **pair_masks(known, target, corruption, rng),
    }


def known_and_target(first: Frame, second: Frame, rng: np.random.Generator) -> tuple[Frame, Frame]:
    """Two frames in either order, the first of which shows the target."""
    swapped = rng.random() < 0.5
    return (second, first) if (swapped and second.mask.any()) or not first.mask.any() else (first, second)


def pair_masks(
    known: Frame, target: Frame, corruption: MaskCorruption, rng: np.random.Generator
) -> "dict[str, Tensor]":
    """All of `pair_sample` but the images."""
    import torch

    guide = corrupt_guide(target, corruption, rng)
    known_mask = known.mask
    if corruption.known and rng.random() < corruption.known:
        known_mask = corrupt_mask(known_mask, corruption, rng)
    return {
        "guide": torch.from_numpy(guide)[None],
        "target": torch.from_numpy(np.ascontiguousarray(target.mask))[None],
        "void": torch.from_numpy(np.ascontiguousarray(target.void))[None],
        "known_mask": torch.from_numpy(np.ascontiguousarray(known_mask))[None],
    }
