"""Frames made of still images: objects and camera move, shapes bend, other objects occlude them.

Training data where there is no video; after Perazzi et al., CVPR 2017, and Khoreva et al., "Lucid Data
Dreaming for Video Object Segmentation", IJCV 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from dextr_vos.datasets.copy_paste import Layer, blend
from dextr_vos.datasets.photometric import PhotometricAugmentation, change_colours, change_sharpness
from dextr_vos.geometry import BoolArray, FloatArray
from dextr_vos.images import ImageRgb

_BEND_GRID = (4, 5)


@dataclass(frozen=True)
class Motion:
    """How far things move from one frame to the other; all are standard deviations.

    Attributes:
        shift: of an object, as a share of its longer side.
        rotation_deg: of an object.
        scale: of the logarithm of an object's size.
        bend: of the smooth displacement that changes an object's shape, as a share of its longer side.
        camera_shift: of the camera, as a share of the frame's longer side.
        camera_deg: of its rotation.
        camera_scale: of the logarithm of its zoom.
        light: largest change of brightness, contrast and colour between the frames.
        photometric: sharpness of each frame; its colours are those of the whole scene.
    """

    shift: float = 0.15
    rotation_deg: float = 10.0
    scale: float = 0.12
    bend: float = 0.035
    camera_shift: float = 0.05
    camera_deg: float = 3.0
    camera_scale: float = 0.06
    light: float = 0.08
    photometric: PhotometricAugmentation = field(default_factory=PhotometricAugmentation)


@dataclass(frozen=True)
class Sprite:
    """An object that moves by itself.

    Attributes:
        layer: its pixels; what is outside the mask is not shown.
        place_xy: where its centre is in the first frame.
        target: whether it belongs to the object to be segmented.
        leads: index of the sprite it moves along with; None moves freely.
        absent: it is missing from the second frame.
    """

    layer: Layer
    place_xy: tuple[float, float]
    target: bool
    leads: int | None = None
    absent: bool = False


@dataclass(frozen=True)
class Frame:
    """A frame with its target.

    Attributes:
        image_rgb: H×W×3 uint8.
        mask: H×W bool, of the target; may be empty.
        void: H×W bool, disjoint from the mask.
        others: H×W bool, sprites that are not the target.
    """

    image_rgb: ImageRgb
    mask: BoolArray
    void: BoolArray
    others: BoolArray


@dataclass(frozen=True)
class Pose:
    """Where something is: a linear map about its centre, a displacement, and how it is bent."""

    linear: FloatArray
    shift_xy: FloatArray
    bend: FloatArray

    def at(self, time: float) -> "Pose":
        """The part of it that is done at a time; 0 is unmoved, 1 is all."""
        still = np.eye(2, dtype=np.float32)
        linear = (still + time * (self.linear - still)).astype(np.float32)
        return Pose(linear, np.float32(time) * self.shift_xy, np.float32(time) * self.bend)

    @staticmethod
    def still() -> "Pose":
        """Unmoved."""
        return Pose(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), np.zeros((2, 2, 2), np.float32))

    @staticmethod
    def draw(
        shift: float, rotation_deg: float, scale: float, bend: float, rng: np.random.Generator
    ) -> "Pose":
        """A random one; `shift` and `bend` in pixels."""
        angle, size = np.deg2rad(rng.normal(0, rotation_deg)), np.exp(rng.normal(0, scale))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return Pose(
            (size * turn).astype(np.float32),
            rng.normal(0, shift, 2).astype(np.float32),
            rng.normal(0, bend, (*_BEND_GRID, 2)).astype(np.float32),
        )


def draw_frames(
    background: Layer, sprites: Sequence[Sprite], motion: Motion, rng: np.random.Generator
) -> tuple[Frame, Frame]:
    """Two frames of a scene; the first shows it as it is given. Arguments as `draw_clip`."""
    first, second = draw_clip(background, sprites, motion, (0.0, 1.0), rng)
    return first, second


def draw_clip(
    background: Layer,
    sprites: Sequence[Sprite],
    motion: Motion,
    times: Sequence[float],
    rng: np.random.Generator,
) -> list[Frame]:
    """Frames of a scene in which everything moves steadily.

    Args:
        background: the image behind; its own mask belongs to the target and moves with the camera.
        sprites: from back to front.
        motion: how far things move from time 0, which shows the scene as it is given, to time 1.
        times: of the frames. What is absent is so from time 0.5 on.
        rng: the only source of chance.
    """
    height, width = background.mask.shape
    longest = max(height, width)
    camera = Pose.draw(
        motion.camera_shift * longest,
        motion.camera_deg,
        motion.camera_scale,
        motion.bend * _reach(background.mask),
        rng,
    )
    poses = _sprite_poses(sprites, motion, rng)
    light = replace(motion.photometric, light=motion.light, tint=motion.light, grey=0.0)
    frames = []
    for time in times:
        there = [index for index, sprite in enumerate(sprites) if time < 0.5 or not sprite.absent]
        frame = _drawn(
            background,
            [sprites[index] for index in there],
            camera.at(time),
            [poses[index].at(time) for index in there],
            rng,
            moves=time > 0,
        )
        if time > 0:
            frame = replace(frame, image_rgb=change_colours(frame.image_rgb, light, rng))
        frames.append(frame)
    return [
        replace(frame, image_rgb=change_sharpness(frame.image_rgb, motion.photometric, rng))
        for frame in frames
    ]


def warp(
    values: np.ndarray, pose: Pose, centre_xy: Sequence[float], interpolation: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """An image or mask moved about a centre; what comes in from beyond the border is mirrored."""
    height, width = values.shape[:2]
    x, y = _sources(pose, centre_xy, centre_xy, (height, width))
    return np.asarray(cv2.remap(values, x, y, interpolation, borderMode=cv2.BORDER_REFLECT_101))


def _sprite_poses(sprites: Sequence[Sprite], motion: Motion, rng: np.random.Generator) -> list[Pose]:
    poses: list[Pose] = []
    for sprite in sprites:
        reach = _reach(sprite.layer.mask)
        pose = Pose.draw(motion.shift * reach, motion.rotation_deg, motion.scale, motion.bend * reach, rng)
        if sprite.leads is not None:
            led = poses[sprite.leads]
            shift = (led.shift_xy + pose.shift_xy / 8).astype(np.float32)
            pose = replace(pose, shift_xy=shift, linear=led.linear)
        poses.append(pose)
    return poses


def _reach(mask: BoolArray) -> float:
    _, _, width, height = cv2.boundingRect(mask.view(np.uint8))
    return float(max(width, height, 1))


def _drawn(
    background: Layer,
    sprites: Sequence[Sprite],
    camera: Pose,
    poses: Sequence[Pose],
    rng: np.random.Generator,
    moves: bool,
) -> Frame:
    height, width = background.mask.shape
    image, mask, void = background.image_rgb, background.mask, background.void
    if moves:
        centre = ((width - 1) / 2, (height - 1) / 2)
        image = warp(image, camera, centre)
        mask = warp(mask.view(np.uint8), camera, centre, cv2.INTER_NEAREST).view(np.bool_)
        void = warp(void.view(np.uint8), camera, centre, cv2.INTER_NEAREST).view(np.bool_)
    others = np.zeros_like(mask)
    for sprite, pose in zip(sprites, poses, strict=True):
        layer = _placed(sprite, pose, (height, width))
        if not layer.mask.any():
            continue
        image = blend(image, layer, rng)
        mask = mask | layer.mask if sprite.target else mask & ~layer.mask
        others = others & ~layer.mask if sprite.target else others | layer.mask
        void = void & ~layer.mask
    return Frame(image, mask, void, others)


def _placed(sprite: Sprite, pose: Pose, size_hw: tuple[int, int]) -> Layer:
    """The sprite in a frame, moved by a pose."""
    layer = sprite.layer
    x, y, width, height = cv2.boundingRect(layer.mask.view(np.uint8))
    centre = x + (width - 1) / 2, y + (height - 1) / 2
    map_x, map_y = _sources(pose, centre, sprite.place_xy, size_hw)
    mask = cv2.remap(layer.mask.view(np.uint8), map_x, map_y, cv2.INTER_NEAREST).view(np.bool_)
    image = np.asarray(cv2.remap(layer.image_rgb, map_x, map_y, cv2.INTER_LINEAR), dtype=np.uint8)
    return Layer(image, mask, np.zeros_like(mask))


def _sources(
    pose: Pose, centre_xy: Sequence[float], place_xy: Sequence[float], size_hw: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Where each pixel comes from, for what has its centre at `centre_xy` and is put at `place_xy`."""
    height, width = size_hw
    inverse = np.linalg.inv(pose.linear)
    offset = np.asarray(centre_xy) - inverse @ (np.asarray(place_xy) + pose.shift_xy)
    xs = np.arange(width, dtype=np.float32)[None]
    ys = np.arange(height, dtype=np.float32)[:, None]
    bend = cv2.resize(pose.bend, (width, height), interpolation=cv2.INTER_CUBIC)
    map_x = inverse[0, 0] * xs + inverse[0, 1] * ys + np.float32(offset[0]) + bend[..., 0]
    map_y = inverse[1, 0] * xs + inverse[1, 1] * ys + np.float32(offset[1]) + bend[..., 1]
    return map_x.astype(np.float32), map_y.astype(np.float32)
