"""Clips that are hard in one known way, made of the clips of a DAVIS folder.

python scripts/make_hard_clips.py DAVIS_ROOT OUT --clips a,b,c

OUT/look-alike, OUT/entering and OUT/hidden are DAVIS folders with a clip of the same name for each:

look-alike  the object itself, mirrored and at another time, passes behind it from one side to the other
entering    seen through a window half as wide as the frame, and every frame shows more of the object
hidden      a bar hides half of the object in the first frame and moves away

Object 1 is meant, which must be in the first frame. The last two kinds have the first forty frames.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dextr_vos.datasets.copy_paste import Layer, blend, centred
from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import InputError
from dextr_vos.geometry import BoolArray
from dextr_vos.images import ImageRgb, read_image
from dextr_vos.masks import write_labels

Frames = Sequence[tuple[ImageRgb, BoolArray]]
FRAMES_OF_OTHERS = 40


def main() -> None:
    """Make the clips."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("davis_root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", required=True, help="of DAVIS_ROOT, separated by commas")
    given = parser.parse_args()
    davis = Davis(given.davis_root)
    for clip in given.clips.split(","):
        paths = davis.annotation_paths(davis.require(clip))
        names = [path.stem for path in paths]
        frames = [
            (read_image(image), davis.read_annotation(path) == 1)
            for image, path in zip(davis.frame_paths(clip), paths, strict=True)
        ]
        if len(frames) < 2 or not frames[0][1].any():
            raise SystemExit(f"expected at least two frames of {clip}, and object 1 in the first")
        write(given.out / "look-alike", clip, names, look_alike(frames))
        write(given.out / "entering", clip, names, entering(frames[:FRAMES_OF_OTHERS]))
        write(given.out / "hidden", clip, names, hidden(frames[:FRAMES_OF_OTHERS]))


def write(root: Path, clip: str, names: Sequence[str], frames: Frames) -> None:
    """Write frames as JPEG and masks as PNG."""
    folder = root / "JPEGImages" / "480p" / clip
    folder.mkdir(parents=True, exist_ok=True)
    for name, (image, mask) in zip(names[: len(frames)], frames, strict=True):
        bgr = np.ascontiguousarray(image[..., ::-1])
        coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        (folder / f"{name}.jpg").write_bytes(coded.tobytes())
        write_labels(root / "Annotations" / "480p" / clip / f"{name}.png", mask.astype(np.uint8))


def box(mask: BoolArray) -> tuple[int, int, int, int]:
    """Left, top, width and height."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return left, top, width, height


def look_alike(frames: Frames) -> Frames:
    """The object passes behind itself."""
    count, rng, made = len(frames), np.random.default_rng(0), []
    for index, (image, mask) in enumerate(frames):
        other = (count // 2 + index) % (2 * count - 2)
        other = min(other, 2 * count - 2 - other)
        other_image, other_mask = frames[other]
        if not (mask.any() and other_mask.any()):
            made.append((image, mask))
            continue
        left, top, width, height = box(mask)
        _, _, other_width, other_height = box(other_mask)
        scale = 0.95 * min(1.0, (width * height / (other_width * other_height)) ** 0.5)
        away = (1 - 2 * index / (count - 1)) * 1.5 * width
        centre_xy = left + width / 2 + away, top + height / 2 - 0.05 * height
        twin = centred(other_image, other_mask, centre_xy, max(scale, 0.4), mirrored=True)
        if twin.mask.any():
            behind = blend(image, twin, rng)
            image = blend(behind, Layer(image, mask, np.zeros_like(mask)), rng)
        made.append((image, mask))
    return made


def entering(frames: Frames) -> Frames:
    """Each frame shows a little more of the object, from the border of a window on."""
    width = frames[0][1].shape[1]
    first_left, _, first_width, _ = box(frames[0][1])
    window, from_right = int(0.55 * width), first_left + first_width / 2 > width / 2
    left, box_width, made = first_left, first_width, []
    for index, (image, mask) in enumerate(frames):
        if mask.any():
            left, _, box_width, _ = box(mask)
        share = min(1.6, 0.35 + 0.035 * index)
        edge = left + share * box_width - window if from_right else left + (1 - share) * box_width
        begin = int(np.clip(edge, 0, width - window))
        made.append((image[:, begin : begin + window], mask[:, begin : begin + window]))
    return made


def hidden(frames: Frames) -> Frames:
    """A bar moves from the middle of the object to the right."""
    height, width = frames[0][1].shape
    noise = np.random.default_rng(0).integers(60, 120, (height, width, 3)).astype(np.uint8)
    bar = cv2.GaussianBlur(noise, (0, 0), 2)
    left, _, box_width, _ = box(frames[0][1])
    first_width, made = box_width, []
    for index, (image, mask) in enumerate(frames):
        if mask.any():
            left, _, box_width, _ = box(mask)
        begin = int(left + box_width * 0.5 + index * max(4, 0.04 * first_width))
        columns = slice(max(0, begin), max(0, int(begin + box_width * 0.8) + 1))
        image, mask = image.copy(), mask.copy()
        image[:, columns], mask[:, columns] = bar[:, columns], False
        made.append((image, mask))
    return made


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from None
