"""Masks laid over frames, as an H.264 video, a contact sheet, or a single preview."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.export.video_file import H264, open_video_writer
from dextr_vos.geometry import IntArray, fit_longest_side
from dextr_vos.images import WRITTEN_SUFFIXES, ImageRgb, write_image
from dextr_vos.masks import Labels, display_colour, object_ids, read_labels
from dextr_vos.workspace import ResultMasks

SHEET_COLUMNS = 4
SHEET_ROWS = 4
_TILE_PX = 420
_GAP_PX = 8
_WHITE = (255, 255, 255)
_PAPER = 24  # grey level between the tiles


def refuse_overwriting(target: Path, clip: Clip, masks: ResultMasks) -> None:
    """Refuse to export onto the frames or the masks.

    Raises:
        InputError: `target` is the video itself, or is in the folder of the frames or of the masks.
    """
    for source in (clip.path.resolve(), *(folder.resolve() for folder in masks.folders)):
        if source == target.resolve() or source in target.resolve().parents:
            raise InputError(f"{target} would be written over or among {source}; give another place")


Rgb = tuple[int, int, int]


def overlay(
    image_rgb: ImageRgb, labels: Labels, opacity: float = 0.45, colours: Mapping[int, Rgb] | None = None
) -> ImageRgb:
    """A frame with its objects tinted and outlined.

    Args:
        image_rgb: H×W×3 uint8.
        labels: H×W uint8; background and void are left as they are.
        opacity: opacity of the tint, in [0, 1].
        colours: colours of objects by id; the others get default colours.
    """
    image = image_rgb.copy()
    thickness = max(1, round(min(labels.shape) / 240))
    for object_id in object_ids(labels):
        inside = labels == object_id
        colour = np.array((colours or {}).get(object_id, display_colour(object_id)), dtype=np.uint8)
        tint = opacity * colour.astype(np.float32)
        image[inside] = ((1 - opacity) * image[inside] + tint).astype(np.uint8)
        outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, colour.tolist(), thickness, cv2.LINE_AA)
    return image


def write_preview(path: Path, clip: Clip, mask: Path, clicks: Mapping[int, IntArray]) -> None:
    """Write a preview of one annotated frame: its objects tinted, each click a ring.

    Args:
        path: file to write, `.jpg`.
        clip: the frames; the mask is called like one.
        mask: the frame's mask.
        clicks: N×2 points by object id.
    """
    image = overlay(clip.read(clip.index_of(mask.stem)), read_labels(mask, clip.size_hw))
    radius = max(3, round(min(clip.size_hw) / 90))
    for points in clicks.values():
        for point in points.tolist():
            cv2.circle(image, point, radius, _WHITE, max(1, radius // 3), cv2.LINE_AA)
    write_image(path, image)


@dataclass(frozen=True)
class OverlayOptions:
    """How masks are laid over frames.

    Attributes:
        opacity: opacity of the tint, in [0, 1].
        colours: colours of objects by id; the others get default colours.
        captions: burn in the name of each frame, and whether it is a keyframe.
        fps: frames per second, of clips without frame times; None for the clip's.
        frames: those to write; None for all.
    """

    opacity: float = 0.45
    colours: Mapping[int, Rgb] | None = None
    captions: bool = False
    fps: float | None = None
    frames: range | None = None


def write_overlay_video(
    path: Path,
    clip: Clip,
    masks: ResultMasks,
    options: OverlayOptions | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> None:
    """Write an MP4 that browsers play: H.264, 4:2:0, index in front.

    Frame times, pixel aspect, colour tags and sound are those of the video that the clip is.

    Args:
        path: file to write, `.mp4`.
        clip: the frames.
        masks: masks of the frames.
        options: how.
        on_frame: called with the number of frames done and of all frames.

    Raises:
        InputError: another suffix, or a mask of another size.
    """
    options = options or OverlayOptions()
    frames = options.frames or range(len(clip))
    with open_video_writer(path, clip, H264, options.fps, frames) as video:
        for done, index in enumerate(frames, 1):
            image = overlay(clip.read(index), masks.read(clip, index), options.opacity, options.colours)
            if options.captions:
                image = _captioned(image, _caption(clip, index, masks))
            video.write(index, image)
            if on_frame is not None:
                on_frame(done, len(frames))


def write_contact_sheet(path: Path, clip: Clip, masks: ResultMasks, opacity: float = 0.45) -> None:
    """Write a contact sheet: frames from the whole clip, evenly spaced, with their names.

    Args:
        path: file to write, `.jpg` or `.png`.
        clip: the frames.
        masks: masks of the frames.
        opacity: opacity of the tint, in [0, 1].

    Raises:
        InputError: another suffix, or a mask of another size.
    """
    if path.suffix.lower() not in WRITTEN_SUFFIXES:
        raise InputError(f"the contact sheet {path} must end in .jpg, .png, .webp, .tif or .bmp")
    count = min(len(clip), SHEET_COLUMNS * SHEET_ROWS)
    columns = min(count, SHEET_COLUMNS)
    rows = -(-count // columns)
    tile_h, tile_w = fit_longest_side(clip.size_hw, _TILE_PX)
    size = (rows * (tile_h + _GAP_PX) + _GAP_PX, columns * (tile_w + _GAP_PX) + _GAP_PX, 3)
    sheet = np.full(size, _PAPER, dtype=np.uint8)
    for place, index in enumerate(_sheet_frames(clip, masks, count)):
        image = overlay(clip.read(index), masks.read(clip, index), opacity)
        tile = cv2.resize(image, (tile_w, tile_h), interpolation=cv2.INTER_AREA)
        top = _GAP_PX + place // columns * (tile_h + _GAP_PX)
        left = _GAP_PX + place % columns * (tile_w + _GAP_PX)
        sheet[top : top + tile_h, left : left + tile_w] = _captioned(tile, _caption(clip, index, masks))
    write_image(path, sheet)


def _sheet_frames(clip: Clip, masks: ResultMasks, count: int) -> list[int]:
    """Evenly spaced frames; each keyframe takes the place of the nearest of them."""
    indices: list[int] = np.linspace(0, len(clip) - 1, count).round().astype(int).tolist()
    keyframes = [clip.index_of(name) for name in masks.keyframes or () if name in clip.names]
    if len(keyframes) < count:
        for keyframe in keyframes:
            if keyframe not in indices:
                others = [i for i in indices if i not in keyframes]
                indices[indices.index(min(others, key=lambda i: abs(i - keyframe)))] = keyframe
    return sorted(indices)


def _caption(clip: Clip, index: int, masks: ResultMasks) -> str:
    name = clip.names[index]
    return f"{name}  keyframe" if name in (masks.keyframes or ()) else name


def _captioned(image: ImageRgb, text: str) -> ImageRgb:
    """The image with white text on a dark background in its upper left corner, clear of a player's bar."""
    scale = max(0.45, image.shape[0] / 800)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    margin = max(4, height // 2)
    plate = image[: height + below + 2 * margin, : width + 2 * margin]
    plate[:] = plate // 3
    origin = (margin, margin + height)
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, 1, cv2.LINE_AA)
    return image
