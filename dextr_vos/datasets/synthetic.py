"""A rendered clip with exact masks: one textured object that turns and deforms over a moving background.

It passes once behind a pole, and the light swells and fades. Everything follows from the seed.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dextr_vos.errors import InputError
from dextr_vos.files import read_text, write_text
from dextr_vos.geometry import BoolArray, FloatArray, extreme_points
from dextr_vos.images import ImageRgb, write_image
from dextr_vos.masks import write_labels

_TEXTURE_PX = 512
_HARMONICS = (2, 3, 5)  # of the outline
_POLE = (0.56, 0.62)  # left and right edge, as shares of the width
_BACKGROUND_COLOURS = ((52, 74, 46), (142, 138, 96), (92, 108, 120))
_OBJECT_COLOURS = ((88, 62, 150), (228, 216, 240), (52, 136, 150))
_POLE_COLOURS = ((70, 62, 58), (122, 112, 100))


@dataclass(frozen=True)
class SyntheticClip:
    """Everything about a clip that does not change from frame to frame.

    Attributes:
        size_hw: of the frames.
        length: number of frames.
        background: texture of the background, wider than a frame; it slides by.
        texture: texture of the object.
        pole: texture of what the object passes behind.
        phases: of the outline's harmonics.
    """

    size_hw: tuple[int, int]
    length: int
    background: FloatArray
    texture: FloatArray
    pole: FloatArray
    phases: FloatArray

    @staticmethod
    def make(size_hw: tuple[int, int], length: int, seed: int) -> "SyntheticClip":
        """A scene of `length` frames of `size_hw`, from a seed."""
        rng = np.random.default_rng(seed)
        height, width = size_hw
        return SyntheticClip(
            size_hw,
            length,
            background=_texture((height, 2 * width), _BACKGROUND_COLOURS, rng, coarsest=6),
            texture=_texture((_TEXTURE_PX, _TEXTURE_PX), _OBJECT_COLOURS, rng, coarsest=8),
            pole=_texture((height, width), _POLE_COLOURS, rng, coarsest=4),
            phases=rng.uniform(0, 2 * np.pi, len(_HARMONICS)).astype(np.float32),
        )

    def render(self, index: int) -> tuple[ImageRgb, BoolArray]:
        """Frame `index` and the object's visible mask, H×W×3 uint8 and H×W bool."""
        height, width = self.size_hw
        time = index / max(1, self.length - 1)
        slide = round(0.35 * width * time)
        image = self.background[:, slide : slide + width].copy()
        distance, inward_x, inward_y = self._object_frame(time)
        cover = np.clip(0.5 - distance, 0, 1)  # one pixel of anti-aliasing
        middle = _TEXTURE_PX / 2
        texture = cv2.remap(
            self.texture, inward_x + middle, inward_y + middle, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        texture *= (1 - 0.35 * np.clip(1 + distance / (0.25 * height), 0, 1))[..., None]  # darker at its rim
        image += cover[..., None] * (texture - image)
        left, right = (round(share * width) for share in _POLE)
        image[:, left:right] = self.pole[:, left:right]
        mask = cover > 0.5
        mask[:, left:right] = False
        light = 1 + 0.22 * np.sin(2 * np.pi * 1.5 * time)
        return np.clip(image * light, 0, 255).astype(np.uint8), mask

    def _object_frame(self, time: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Signed distance to the outline in pixels (negative inside), and coordinates that turn with it."""
        height, width = self.size_hw
        centre_x = width * (0.2 + 0.62 * time)
        centre_y = height * (0.5 + 0.14 * np.sin(2 * np.pi * time))
        turn = 1.6 * np.pi * time
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        dx, dy = columns - np.float32(centre_x), rows - np.float32(centre_y)
        radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx) - np.float32(turn)
        outline = np.ones_like(radius)
        for harmonic, phase in zip(_HARMONICS, self.phases, strict=True):
            swing = 0.2 / np.sqrt(harmonic) * np.sin(2 * np.pi * time * harmonic / 3 + phase)
            outline += np.float32(swing) * np.cos(harmonic * angle + phase)
        size = 0.24 * height * (1 + 0.25 * np.sin(np.pi * time))
        distance = radius - np.float32(size) * outline
        return distance, radius * np.cos(angle), radius * np.sin(angle)


def write_clip(
    root: Path,
    name: str,
    length: int,
    size_hw: tuple[int, int],
    seed: int = 0,
    on_frame: Callable[[int, int], None] | None = None,
) -> None:
    """Render a clip into a folder laid out like DAVIS 2016, with a clicks file beside.

    Args:
        root: folder to fill; an older rendered clip of that name is replaced.
        name: of the clip.
        length: frames.
        size_hw: height and width.
        seed: of the textures and the outline.
        on_frame: called with frames done and frames in all.

    Raises:
        InputError: the folder holds another data set.
    """
    _make_room(root, name)
    scene = SyntheticClip.make(size_hw, length, seed)
    # first, since the clicks file marks the clip as a rendered one
    write_text(_clicks_path(root, name), json.dumps(_clicks(scene), indent=1) + "\n")
    for index in range(length):
        image_rgb, mask = scene.render(index)
        write_image(root / "JPEGImages" / "480p" / name / f"{index:05d}.jpg", image_rgb)
        write_labels(root / "Annotations" / "480p" / name / f"{index:05d}.png", mask.astype(np.uint8))
        if on_frame is not None:
            on_frame(index + 1, length)
    clips = sorted({name, *_listed(root)})
    write_text(_list_path(root), "".join(f"{clip}\n" for clip in clips))


def _clicks(scene: SyntheticClip) -> dict[str, list[list[list[int]]]]:
    """The object's extreme points on three frames that show it whole, in the short form of clicks files."""
    clicks = {}
    for index in sorted({0, scene.length // 4, scene.length - 1}):
        _, mask = scene.render(index)
        if mask.any():  # on a very wide frame the pole may hide all of it
            clicks[f"{index:05d}"] = [extreme_points(mask).tolist()]
    return clicks


def _clicks_path(root: Path, name: str) -> Path:
    return root / f"{name}-clicks.json"


def _list_path(root: Path) -> Path:
    return root / "ImageSets" / "2016" / "val.txt"


def _listed(root: Path) -> list[str]:
    path = _list_path(root)
    return read_text(path).split() if path.exists() else []


def _make_room(root: Path, name: str) -> None:
    """Remove an older clip of this name, if it was rendered; real clips have no clicks file beside them."""
    folders = [root / kind / "480p" / name for kind in ("JPEGImages", "Annotations")]
    clips = [*_listed(root), *([name] if any(map(Path.exists, folders)) else [])]
    if not all(_clicks_path(root, clip).exists() for clip in clips):
        raise InputError(f"{root} holds clips that were not rendered; give another folder")
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)


def _texture(
    size_hw: tuple[int, int],
    colours: tuple[tuple[int, int, int], ...],
    rng: np.random.Generator,
    coarsest: int,
) -> FloatArray:
    """Cloudy noise of several octaves that blends between colours; H×W×3 float32 in 0…255."""
    height, width = size_hw
    image = np.zeros((height, width, 3), dtype=np.float32)
    total = np.zeros((height, width, 1), dtype=np.float32)
    for colour in colours:
        weight = np.zeros((height, width), dtype=np.float32)
        for octave in range(5):
            cells = coarsest * 2**octave
            noise = rng.random((max(2, cells * height // width), cells), dtype=np.float32)
            weight += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / 1.6**octave
        sharp = np.exp(6 * (weight - weight.mean()))[..., None]
        image += sharp * np.array(colour, dtype=np.float32)
        total += sharp
    return image / total
