"""Small pictures of a cell's best and worst frame: the mask tinted, the true outline in white."""

from pathlib import Path

import cv2
import numpy as np

from dextr_vos.files import atomic_path
from dextr_vos.frames import Clip
from dextr_vos.geometry import fit_longest_side
from dextr_vos.masks import VOID, Labels, object_ids, voc_palette
from dextr_vos.pictures import ImageRgb

LONGEST_PX = 320
_QUALITY = 72
_TINT = np.array([(0, 0, 0), (255, 70, 60), (60, 170, 255), (255, 200, 40), (60, 210, 120)], dtype=np.uint8)


def thumbnail(image_rgb: ImageRgb, labels: Labels, truth: Labels) -> ImageRgb:
    """A small picture of a frame.

    Args:
        image_rgb: H×W×3 uint8.
        labels: H×W uint8, the mask.
        truth: H×W uint8; its outline is drawn.
    """
    height, width = fit_longest_side((image_rgb.shape[0], image_rgb.shape[1]), LONGEST_PX)
    small: ImageRgb = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA)
    colours = voc_palette()
    colours[: len(_TINT)] = _TINT
    mask, true = (
        cv2.resize(each, (width, height), interpolation=cv2.INTER_NEAREST) for each in (labels, truth)
    )
    inside = (mask != 0) & (mask != VOID)
    small[inside] = (0.45 * small[inside] + 0.55 * colours[mask[inside]]).astype(np.uint8)
    for number in object_ids(true):
        outlines, _ = cv2.findContours(
            (true == number).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(small, outlines, -1, (255, 255, 255), 1, cv2.LINE_AA)
    return small


def write_thumbnail(path: Path, clip: Clip, index: int, labels: Labels, truth: Labels) -> None:
    """Write the thumbnail of one frame as JPEG."""
    picture = thumbnail(clip.read(index), labels, truth)
    _, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.tobytes())
