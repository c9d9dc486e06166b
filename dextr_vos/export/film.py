"""Masks for compositing: mattes, frames with an alpha channel, and a green screen.

A run keeps hard labels, no soft masks. An edge here is a ramp of `feather` pixels across the outline of the
labels; it is not what a network saw. Alpha is straight: colours are those of the frames, not multiplied by
it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.export.formats.labelled import LabelledClip, file_stem
from dextr_vos.export.formats.registry import new_folder
from dextr_vos.export.video_file import (
    H264,
    PRORES_4444,
    PRORES_HQ,
    VP9_ALPHA,
    VideoFormat,
    consecutive,
    open_video_writer,
)
from dextr_vos.files import atomic_path
from dextr_vos.geometry import BoolArray, FloatArray
from dextr_vos.images import ImageRgb

OnFrame = Callable[[int, int], None]

_GREEN = (0, 177, 64)  # chroma key green
_WHITE_16_BITS = 65535


@dataclass(frozen=True)
class FilmOptions:
    """How it is written.

    Attributes:
        feather: width of the ramp across an edge, in pixels; up to 1 the edge is hard.
        fps: frames per second, of clips without frame times; None for the clip's.
    """

    feather: float = 2.0
    fps: float | None = None


@dataclass(frozen=True)
class FilmFormat:
    """A format for compositing.

    Attributes:
        title: what it is called.
        suffix: of its file; "" where it is a folder.
        write: fills the file or folder.
    """

    title: str
    suffix: str
    write: Callable[[Path, LabelledClip, FilmOptions, OnFrame], None]


def write_film(
    name: str,
    path: Path,
    clip: LabelledClip,
    options: FilmOptions,
    on_frame: OnFrame | None = None,
    replace: bool = False,
) -> None:
    """Write one of `FILM_FORMATS`; the file or folder is complete or absent.

    Args:
        name: of the format.
        path: file, or a folder that is empty or not there.
        clip: the clip with its masks and the frames to write; for a video, consecutive ones.
        options: how soft edges are, and how fast frames follow one another.
        on_frame: called with the number of frames done and of all frames.
        replace: the folder may hold something, an earlier export, which goes.

    Raises:
        InputError: another suffix, a folder that holds something and is not to be replaced, frames of a video
            that are not consecutive, or a damaged mask.
    """
    wanted, report = FILM_FORMATS[name], on_frame or (lambda done, total: None)
    if wanted.suffix:
        wanted.write(path, clip, options, report)
        return
    with new_folder(path, replace) as folder:
        wanted.write(folder, clip, options, report)


def feathered(mask: BoolArray, feather: float) -> FloatArray:
    """Opacity of a mask: a linear ramp across its outline, one half at the edge between two pixels.

    Args:
        mask: H×W bool.
        feather: width of the ramp in pixels; up to 1 it is the mask itself.

    Returns:
        H×W float32 in [0, 1].
    """
    if feather <= 1 or not mask.any() or mask.all():
        return mask.astype(np.float32)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = np.where(mask, inside - 0.5, 0.5 - outside)  # from the edge, positive inside
    ramp: FloatArray = np.clip(0.5 + distance / feather, 0, 1).astype(np.float32)
    return ramp


def _opacity(clip: LabelledClip, index: int, options: FilmOptions) -> FloatArray:
    """Opacity of all objects that are kept, as one mask: there is no ramp between two of them."""
    labels = clip.masks.read(clip.clip, index)
    return feathered(np.isin(labels, list(clip.objects)), options.feather)


def _with_alpha(image_rgb: ImageRgb, opacity: FloatArray) -> npt.NDArray[np.uint8]:
    alpha = np.round(opacity * 255).astype(np.uint8)
    return np.dstack([image_rgb, alpha])


def _on_green(image_rgb: ImageRgb, opacity: FloatArray) -> npt.NDArray[np.uint8]:
    mixed = image_rgb * opacity[..., None] + np.array(_GREEN) * (1 - opacity[..., None])
    return np.round(mixed).astype(np.uint8)


def _matte(image_rgb: ImageRgb, opacity: FloatArray) -> npt.NDArray[np.uint8]:
    return np.repeat(np.round(opacity * 255).astype(np.uint8)[..., None], 3, axis=2)


def _video(
    how: VideoFormat, compose: Callable[[ImageRgb, FloatArray], npt.NDArray[np.uint8]]
) -> Callable[[Path, LabelledClip, FilmOptions, OnFrame], None]:
    """A writer of videos whose frames are made of an image and the opacity of its objects."""

    def write(path: Path, clip: LabelledClip, options: FilmOptions, on_frame: OnFrame) -> None:
        frames = consecutive(clip.frames)
        with open_video_writer(path, clip.clip, how, options.fps, frames) as video:
            for done, index in enumerate(frames, 1):
                video.write(index, compose(clip.clip.read(index), _opacity(clip, index, options)))
                on_frame(done, len(frames))

    return write


def _write_rgba(folder: Path, clip: LabelledClip, options: FilmOptions, on_frame: OnFrame) -> None:
    """`FRAME.png`, 8 bits, RGB and straight alpha."""
    for done, index in enumerate(clip.frames, 1):
        image = _with_alpha(clip.clip.read(index), _opacity(clip, index, options))
        _write_png(folder / f"{clip.clip.names[index]}.png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))
        on_frame(done, len(clip.frames))


def _write_mattes(folder: Path, clip: LabelledClip, options: FilmOptions, on_frame: OnFrame) -> None:
    """`ID_NAME/FRAME.png`, 16 bits grey, a folder for each object."""
    for done, index in enumerate(clip.frames, 1):
        labels = clip.masks.read(clip.clip, index)
        for each in clip.objects.values():
            opacity = feathered(labels == each.id, options.feather)
            matte = np.round(opacity.astype(np.float64) * _WHITE_16_BITS).astype(np.uint16)
            name = f"{clip.clip.names[index]}.png"
            _write_png(folder / f"{each.id}_{file_stem(each.name)}" / name, matte)
        on_frame(done, len(clip.frames))


def _write_png(path: Path, image: npt.NDArray[Any]) -> None:
    """Write an array as OpenCV has it: BGRA, or grey."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", image)[1].tobytes())


FILM_FORMATS: dict[str, FilmFormat] = {
    "prores-4444": FilmFormat("ProRes 4444 with alpha", ".mov", _video(PRORES_4444, _with_alpha)),
    "webm-alpha": FilmFormat("VP9 with alpha", ".webm", _video(VP9_ALPHA, _with_alpha)),
    "green-screen": FilmFormat("green screen", ".mp4", _video(H264, _on_green)),
    "rgba": FilmFormat("PNG sequence with alpha", "", _write_rgba),
    "feathered-mattes": FilmFormat("16-bit PNG mattes from labels", "", _write_mattes),
    "feathered-matte-video": FilmFormat("ProRes matte from labels", ".mov", _video(PRORES_HQ, _matte)),
}
