"""Scenes: whole pictures in which every object is foreground, some of them pasted in.

What a parent network learns from where there is no video: what an object is, and where it ends.
"""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from dextr_vos.datasets.compose import Composition, Draw, Layer, blend, moved
from dextr_vos.datasets.photometry import change_colours, change_sharpness


@dataclass(frozen=True)
class Scene:
    """How a scene is made of a picture.

    Attributes:
        size_hw: of the scene, in pixels.
        zoom: least and largest share of the picture that is seen, 1 being all that fits.
        paste: chance of a further object, and of one more after it.
        pasted: how those are changed; their `size` is a share of the scene's longer side.
        rotation_deg: standard deviation of the picture's rotation.
    """

    size_hw: tuple[int, int] = (224, 320)
    zoom: tuple[float, float] = (0.5, 1.0)
    paste: float = 0.5
    pasted: Composition = field(default_factory=lambda: Composition(size=(0.15, 0.8)))
    rotation_deg: float = 8.0


def compose_scene(picture: Layer, draw: Draw, how: Scene, rng: np.random.Generator) -> Layer:
    """A scene.

    Args:
        picture: with the union of its objects as mask, which may be empty.
        draw: gives further objects.
        how: chances and amounts.
        rng: the only source of chance.

    Returns:
        A layer of `how.size_hw`; its mask may be empty, too.
    """
    photometry = how.pasted.photometry
    scene = _seen(picture, how, rng)
    scene = replace(scene, image_rgb=change_colours(scene.image_rgb, photometry, rng))
    while rng.random() < how.paste:
        layer = moved(draw(rng), how.pasted, max(how.size_hw), rng)
        layer = replace(layer, image_rgb=change_colours(layer.image_rgb, photometry, rng))
        layer = _somewhere(layer, how.size_hw, rng)
        image = blend(scene.image_rgb, layer, rng)
        scene = Layer(image, scene.mask | layer.mask, scene.void & ~layer.mask)
    return replace(scene, image_rgb=change_sharpness(scene.image_rgb, photometry, rng))


def _seen(picture: Layer, how: Scene, rng: np.random.Generator) -> Layer:
    """A part of the picture, turned a little, perhaps mirrored; beyond its border it is reflected."""
    height, width = picture.mask.shape
    scene_h, scene_w = how.size_hw
    part = min(height / scene_h, width / scene_w) * rng.uniform(*how.zoom)
    angle = rng.normal(0, how.rotation_deg)
    play = np.array([width - part * scene_w, height - part * scene_h])
    centre = np.array([width, height]) / 2 + rng.uniform(-0.5, 0.5, 2) * play
    affine = cv2.getRotationMatrix2D(centre.tolist(), angle, 1 / part)
    affine[:, 2] += np.array([scene_w, scene_h]) / 2 - centre
    if rng.random() < 0.5:
        affine[0] = -affine[0] + (0, 0, scene_w - 1)

    def warped(values: np.ndarray, interpolation: int) -> np.ndarray:
        return np.asarray(
            cv2.warpAffine(
                values, affine, (scene_w, scene_h), flags=interpolation, borderMode=cv2.BORDER_REFLECT_101
            )
        )

    return Layer(
        warped(picture.image_rgb, cv2.INTER_AREA if part > 1 else cv2.INTER_LINEAR),
        warped(picture.mask.view(np.uint8), cv2.INTER_NEAREST).view(np.bool_),
        warped(picture.void.view(np.uint8), cv2.INTER_NEAREST).view(np.bool_),
    )


def _somewhere(layer: Layer, size_hw: tuple[int, int], rng: np.random.Generator) -> Layer:
    """The layer's object at a random place of an otherwise empty picture; part of it may lie outside."""
    x, y, width, height = cv2.boundingRect(layer.mask.view(np.uint8))
    place = rng.uniform(0, 1, 2) * size_hw[::-1]
    shift = np.round(place - (x + width / 2, y + height / 2))
    affine = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    size = size_hw[1], size_hw[0]
    image = np.asarray(cv2.warpAffine(layer.image_rgb, affine, size, flags=cv2.INTER_NEAREST), dtype=np.uint8)
    mask = cv2.warpAffine(layer.mask.view(np.uint8), affine, size, flags=cv2.INTER_NEAREST).view(np.bool_)
    return Layer(image, mask, np.zeros_like(mask))
