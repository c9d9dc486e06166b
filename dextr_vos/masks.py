"""Masks: indexed PNG files, the palette, and soft masks made into labels.

`labels` is H×W uint8: 0 background, 1…254 objects, 255 void (never an object). Files written by DAVIS 2016
({0, 255}), by DAVIS 2017 (indexed) and by this package are told apart when they are read.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path
from dextr_vos.geometry import FloatArray
from dextr_vos.images import read_8_bits

Labels = npt.NDArray[np.uint8]

VOID = 255
MAX_OBJECTS = 254
# Above this, the values of a grey mask are taken for grey levels (anti-aliasing), not for object numbers.
_LARGEST_GREY_INDEX = 64


def voc_palette() -> npt.NDArray[np.uint8]:
    """The PASCAL VOC colour map, 256×3 uint8: bits of the index dealt to R, G, B from the top bit down."""
    index = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def write_labels(path: Path, labels: Labels) -> None:
    """Write labels as an indexed PNG with the VOC palette, atomically.

    Args:
        path: file to write, `.png`.
        labels: H×W uint8.
    """
    picture = Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8))
    picture.putpalette(voc_palette().tobytes())
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def read_labels(path: Path, size_hw: tuple[int, int] | None = None) -> Labels:
    """Read a mask file as labels.

    A grey {0, 255} mask (DAVIS 2016) becomes {0, 1}; indexed files keep their numbers, with 255 as void.

    Args:
        path: PNG with a palette, or grey, or a true-colour picture of a grey or VOC-coloured mask.
        size_hw: when given, the size the mask must have.

    Returns:
        H×W uint8 labels.

    Raises:
        InputError: the file is missing, broken, of another size, or its values cannot be object numbers.
    """
    try:
        values = read_8_bits(path)
        if values is not None:
            indices, palette = values
            labels = (
                _labels_of_grey(indices, path) if palette is None else _labels_of_indices(indices, palette)
            )
        else:
            with Image.open(path) as picture:
                picture.load()
                labels = _labels_of(picture, path)
    except FileNotFoundError:
        raise InputError(f"there is no mask {path}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise InputError(f"cannot read the mask {path}: {fault}; save it again as a PNG") from None
    if size_hw is not None and labels.shape != size_hw:
        raise InputError(
            f"the mask {path} is {labels.shape[1]}×{labels.shape[0]} pixels, "
            f"its frame is {size_hw[1]}×{size_hw[0]}; masks must have the size of their frames"
        )
    return labels


def _labels_of(picture: Image.Image, path: Path) -> Labels:
    if picture.mode == "P":
        palette = np.array((picture.getpalette() or [])[:768], dtype=np.uint8).reshape(-1, 3)
        return _labels_of_indices(np.array(picture, dtype=np.uint8), palette)
    if picture.mode == "1":
        return np.array(picture, dtype=np.uint8)
    if picture.mode in ("RGB", "RGBA", "LA", "PA"):
        return _labels_of_colours(np.array(picture.convert("RGB")), path)
    return _labels_of_grey(np.array(picture), path)


def _labels_of_indices(indices: Labels, palette: npt.NDArray[np.uint8]) -> Labels:
    """Indices are object numbers, unless all colours in use are black and white, whatever their indices."""
    if not (palette[1:] == 0).all(axis=1).any() and not (palette == 255).all(axis=1).any():
        return indices  # the usual case: there is no white, and no black but the background
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    colours = palette[used[used < len(palette)]]
    if (
        len(colours) == len(used)
        and set(np.unique(colours)) <= {0, 255}
        and (np.ptp(colours, axis=1) == 0).all()
    ):
        white = np.zeros(256, dtype=np.uint8)
        white[used] = colours[:, 0] // 255
        return np.asarray(white[indices], dtype=np.uint8)
    return indices


def _labels_of_grey(grey: npt.NDArray[np.generic], path: Path) -> Labels:
    white = grey == (VOID if grey.dtype == np.uint8 else grey.max())  # 16-bit white is 65535
    if np.count_nonzero(white) == np.count_nonzero(grey):
        binary: Labels = white.view(np.uint8)
        return binary
    values = np.unique(grey)
    numbers = values[values != VOID]
    if numbers.max() > _LARGEST_GREY_INDEX or numbers.min() < 0:
        raise InputError(
            f"the mask {path} holds {len(values)} different grey levels up to {int(values.max())}, expected "
            "{0, 255} or small object numbers; it looks anti-aliased or like a photograph, "
            "save it without smoothing"
        )
    labels: Labels = grey.astype(np.uint8)
    return labels


def _labels_of_colours(rgb: npt.NDArray[np.uint8], path: Path) -> Labels:
    if (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all():
        return _labels_of_grey(rgb[..., 0], path)
    code = rgb.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    palette_code = voc_palette().astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    order = np.argsort(palette_code)
    place = np.clip(np.searchsorted(palette_code[order], code), 0, 255)
    index: npt.NDArray[np.int64] = order[place]
    if not (palette_code[index] == code).all():
        raise InputError(
            f"the mask {path} is a colour picture whose colours are not the PASCAL VOC palette; "
            "save it as an indexed PNG, or as grey with 0 and 255"
        )
    labels: Labels = index.astype(np.uint8)
    return labels


def labels_from_probs(probs: Iterable[FloatArray], threshold: float = 0.5) -> Labels:
    """Labels from one soft mask an object, by arg-max, so that objects never overlap.

    Args:
        probs: K arrays H×W in [0, 1], object 1 first, K ≥ 1; taken one at a time.
        threshold: a pixel is background where no object's probability is above this.

    Returns:
        H×W uint8 labels in 0…K; where two objects are equally probable, the first.
    """
    best: FloatArray | None = None
    labels: Labels = np.zeros(0, dtype=np.uint8)
    for number, prob in enumerate(probs, start=1):
        if best is None:
            best = np.full(prob.shape, threshold, dtype=prob.dtype)
            labels = np.zeros(prob.shape, dtype=np.uint8)
        stronger = prob > best
        best[stronger] = prob[stronger]
        labels[stronger] = number
    return labels


def object_ids(labels: Labels) -> list[int]:
    """Numbers of the objects that occur, ascending, without background and void."""
    return [int(value) for value in np.unique(labels) if value not in (0, VOID)]


def looks_like_mask(path: Path) -> bool:
    """Whether a file is an indexed PNG with the PASCAL VOC palette, as masks are and photographs never."""
    try:
        with Image.open(path) as picture:
            return (
                picture.mode == "P"
                and (picture.getpalette() or [])[:15] == voc_palette()[:5].ravel().tolist()
            )
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
