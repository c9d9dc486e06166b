"""Masks as run lengths, in the three ways in which programs store them: COCO, CVAT and Label Studio."""

import warnings
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.geometry import BoolArray

_Counts = npt.NDArray[np.int64]

# Label Studio packs runs of bytes with the `rle-pack` format of thi.ng/umbrella (Schmidt): a run's length
# minus one has one of four numbers of bits
_WORD_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)
_CHANNELS = 4  # of the image that is packed, all of them the mask

# COCO packs lengths in characters from "0" on, each of five bits and one that says whether more follow
_FIRST_CODE, _DIGIT_BITS, _MORE, _NEGATIVE = 48, 5, 0x20, 0x10
_LONGEST_BITS = 30


def coco_mask(mask: BoolArray) -> dict[str, Any]:
    """A mask as COCO has it: compressed run lengths, area, box (x, y, width, height).

    Args:
        mask: H×W bool.
    """
    from pycocotools import mask as runs

    with warnings.catch_warnings():
        # pycocotools 2.0.11 does not yet speak numpy 2's way of handing arrays over
        warnings.simplefilter("ignore", DeprecationWarning)
        packed = runs.encode(np.asfortranarray(mask.astype(np.uint8)))
        area, box = int(runs.area(packed)), [float(value) for value in runs.toBbox(packed)]
    segmentation = {
        "size": [int(side) for side in packed["size"]],
        "counts": packed["counts"].decode("ascii"),
    }
    return {"segmentation": segmentation, "area": area, "bbox": box, "iscrowd": 0}


def mask_of_coco(segmentation: dict[str, Any], size_hw: tuple[int, int]) -> BoolArray:
    """Mask of COCO's run lengths, compressed or a list.

    Args:
        segmentation: `size` and `counts`.
        size_hw: of the image.

    Raises:
        ValueError, TypeError, KeyError: it is none, or of another size.
    """
    if [int(side) for side in segmentation["size"]] != list(size_hw):
        raise ValueError(f"run lengths of {segmentation['size']} pixels in an image of {list(size_hw)}")
    counts = segmentation["counts"]
    lengths = counts if isinstance(counts, list) else _unpacked(counts)
    return _from_counts(np.asarray(lengths, dtype=np.int64), size_hw[::-1]).T


def _unpacked(counts: str) -> list[int]:
    """COCO's compressed run lengths: digits of five bits; the fourth and later ones are differences."""
    lengths: list[int] = []
    value = shift = 0
    for code in counts.encode("ascii"):
        digit = code - _FIRST_CODE
        if not 0 <= digit < 2 * _MORE or shift > _LONGEST_BITS:
            raise ValueError("compressed run lengths are damaged")
        value |= (digit & (_MORE - 1)) << shift
        shift += _DIGIT_BITS
        if digit & _MORE:
            continue
        if digit & _NEGATIVE:
            value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths are cut off")
    return lengths


def cvat_mask(mask: BoolArray) -> dict[str, str]:
    """The attributes of CVAT's `<mask>`: runs inside the mask's box row by row, background first.

    Args:
        mask: H×W bool, not empty.
    """
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    counts = _counts(mask[y : y + height, x : x + width].ravel())
    rle = ", ".join(str(count) for count in counts.tolist())
    return {"rle": rle, "left": str(x), "top": str(y), "width": str(width), "height": str(height)}


def mask_of_cvat(attributes: dict[str, str], size_hw: tuple[int, int]) -> BoolArray:
    """Mask of the attributes of a `<mask>`.

    Raises:
        ValueError, KeyError: they are incomplete or contradict one another.
    """
    x, y, width, height = (int(attributes[key]) for key in ("left", "top", "width", "height"))
    if x < 0 or y < 0 or x + width > size_hw[1] or y + height > size_hw[0]:
        raise ValueError(f"a mask of {width}×{height} pixels at {x}, {y} is not inside the image")
    counts = np.array([int(count) for count in attributes["rle"].split(",")])
    mask = np.zeros(size_hw, dtype=bool)
    mask[y : y + height, x : x + width] = _from_counts(counts, (height, width))
    return mask


def label_studio_rle(mask: BoolArray) -> list[int]:
    """Bytes of Label Studio's brush: runs of the mask as an image of four channels, 0 or 255.

    Args:
        mask: H×W bool.
    """
    bits = [f"{mask.size * _CHANNELS:032b}", f"{_WORD_BITS - 1:05b}"]
    bits += [f"{size - 1:04b}" for size in _LENGTH_BITS]
    for number, count in enumerate(_counts(mask.ravel()).tolist()):
        left, value = count * _CHANNELS, f"{255 * (number % 2):08b}"
        while left:
            length = min(left, 1 << _LENGTH_BITS[-1])
            place = next(at for at, size in enumerate(_LENGTH_BITS) if length <= 1 << size)
            bits.append(f"1{place:02b}{length - 1:0{_LENGTH_BITS[place]}b}{value}")
            left -= length
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def mask_of_label_studio(rle: list[int], size_hw: tuple[int, int]) -> BoolArray:
    """Mask of the bytes of a brush; its last channel counts, which is the opacity.

    Raises:
        ValueError: they are cut off, or of another size.
    """
    text = f"{int.from_bytes(bytes(rle), 'big'):0{8 * len(rle)}b}"
    at = 0

    def read(size: int) -> int:
        nonlocal at
        at += size
        return int(text[at - size : at], 2)  # nothing left is a ValueError

    total = read(32)
    if total != size_hw[0] * size_hw[1] * _CHANNELS:
        raise ValueError(f"a brush of {total} values, expected those of {size_hw[1]}×{size_hw[0]} pixels")
    word = read(5) + 1
    sizes = [read(4) + 1 for _ in _LENGTH_BITS]
    values, done = np.zeros(total, dtype=np.uint8), 0
    while done < total:
        is_run = read(1)
        length = read(sizes[read(2)]) + 1
        if is_run:
            values[done : done + length] = read(word)
        else:
            literal = [read(word) for _ in range(length)]
            values[done : done + length] = literal[: total - done]
        done += length
    return values.reshape(*size_hw, _CHANNELS)[..., -1] > 127


def _counts(flat: BoolArray) -> _Counts:
    """Lengths of runs, the first of background, which may be 0."""
    changes = np.flatnonzero(np.diff(flat.view(np.int8), prepend=0, append=1 - int(flat[-1])))
    return np.diff(changes, prepend=0)


def _from_counts(counts: _Counts, shape: tuple[int, int]) -> BoolArray:
    total = shape[0] * shape[1]
    if counts.min(initial=0) < 0 or counts.max(initial=0) > total or counts.sum() != total:
        raise ValueError(f"run lengths of {counts.sum()} pixels, expected {total}")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(shape)
