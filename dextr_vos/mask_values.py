"""What the values of a mask file mean: numbers of objects, two levels, colours of a palette, or transparency.

A value is an object's number wherever that can be meant: in an indexed file, in a grey file of 16 or 32 bits,
and in a grey file of 8 bits whose values are small. Where a file can be understood in two ways it is refused.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dextr_vos.errors import InputError
from dextr_vos.mask_file import StoredMask

Labels = npt.NDArray[np.uint8]

VOID = 255
MAX_OBJECTS = 254
# Above this, the values of a grey mask of 8 bits are taken for grey levels, not for object numbers.
_LARGEST_GREY_INDEX = 64
_WHITE_16_BITS = 65535
_STRETCHED = 257  # from 8 to 16 bits
_MOST_NAMED = 8
_GREY = 0x010101  # times a level: its code as a colour

# The first colours of the masks of YouTube-VOS; the ninth object is white.
_YOUTUBE_VOS = (
    *((0, 0, 0), (236, 95, 103), (249, 145, 87), (250, 200, 99), (153, 199, 148), (98, 179, 178)),
    *((102, 153, 204), (197, 148, 197), (171, 121, 103), (255, 255, 255)),
)


def voc_palette() -> npt.NDArray[np.uint8]:
    """The PASCAL VOC colour map, 256×3 uint8: the bits of the index go to R, G, B in turn, highest first."""
    index = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def colour_codes(colours: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Colours …×3 as one number each."""
    code: npt.NDArray[np.int64] = colours[..., :3].astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return code


_VOC_CODES = colour_codes(voc_palette())
_YOUTUBE_VOS_CODES = colour_codes(np.array(_YOUTUBE_VOS))
_FIRST_OBJECTS = (_VOC_CODES[1], _YOUTUBE_VOS_CODES[1])
# Colours of data sets and the object numbers they mean.
_KNOWN_COLOURS = tuple(
    {int(code): index for index, code in enumerate(codes)} for codes in (_VOC_CODES, _YOUTUBE_VOS_CODES)
)


def labels_of(stored: StoredMask, path: Path) -> Labels:
    """The labels that a mask file means.

    Args:
        stored: its values.
        path: for the message.

    Returns:
        H×W uint8: 0 background, 1 to 254 objects, 255 void.

    Raises:
        InputError: the values cannot be object numbers, or could be meant in several ways.
    """
    if stored.palette is not None:
        return _of_indices(stored.values, stored.palette, path)
    if stored.values.ndim == 3:
        return _of_colours(stored.values, path)
    return _of_grey(stored.values, stored.bits, path)


def _of_grey(grey: npt.NDArray[Any], bits: int, path: Path) -> Labels:
    whites = {1: (1,), 2: (), 4: (15,), 8: (VOID,), 16: (VOID, _WHITE_16_BITS)}.get(bits, (VOID,))
    for level in whites:
        white = grey == level
        if np.count_nonzero(white) == np.count_nonzero(grey):
            binary: Labels = white.view(np.uint8)
            return binary
    found = np.flatnonzero(np.bincount(grey.ravel())) if grey.dtype == np.uint8 else np.unique(grey)
    if (found != np.trunc(found)).any():
        raise InputError(f"the mask {path} holds fractions, expected whole object numbers; round them")
    if bits > 8 or found.min() < 0:
        if found.min() < 0 or found.max() > VOID:
            raise InputError(
                f"the mask {path} holds the values {_listed(found)}, expected object numbers from 0 to "
                f"{MAX_OBJECTS}, and {VOID} for void; give its objects lower numbers"
            )
        return np.asarray(grey, dtype=np.uint8)
    if found[found != VOID].max() <= _LARGEST_GREY_INDEX:
        return np.asarray(grey, dtype=np.uint8)
    if len(found) <= 2:  # the darker one is the background
        return np.asarray(grey == found[-1]).view(np.uint8)
    way = "it looks anti-aliased or like a photograph, save it without smoothing"
    if len(found) <= _MOST_NAMED:
        way = f"give each object its number, and {VOID} to what is unknown as in a trimap"
    raise InputError(
        f"the mask {path} holds the grey levels {_listed(found)}, expected two (background and object), or "
        f"object numbers up to {_LARGEST_GREY_INDEX}; {way}"
    )


def _of_indices(indices: Labels, palette: npt.NDArray[np.uint8], path: Path) -> Labels:
    """Indices are object numbers, unless the palette says clearly that they are not."""
    codes = colour_codes(palette)
    if (palette[:, 3] == 255).all() and np.array_equal(codes, _VOC_CODES[: len(codes)]):
        return indices  # most files
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    if used[-1] >= len(palette):
        return indices
    colours = palette[used].copy()
    if palette[0, 3] == 0:
        colours[used == 0] = (0, 0, 0, 255)  # transparent: the background, whatever its colour
    if (colours[:, 3] < 255).any():
        meaning: npt.NDArray[Any] | None = _of_colours(palette[used][None], path)[0]
    else:
        of_a_data_set = len(codes) > 1 and codes[0] == 0 and codes[1] in _FIRST_OBJECTS
        meaning = _meaning_of_palette(used, colours[:, :3], of_a_data_set, path)
    if meaning is None:
        return indices
    table: Labels = np.zeros(256, dtype=np.uint8)
    table[used] = meaning
    return table[indices]


def _meaning_of_palette(
    used: npt.NDArray[np.int64], colours: npt.NDArray[np.uint8], of_a_data_set: bool, path: Path
) -> npt.NDArray[Any] | None:
    """Object numbers of the indices in use by their colours; None where they are the indices themselves."""
    codes = colour_codes(colours)
    grey = bool((codes == colours[:, 0].astype(np.int64) * _GREY).all())
    if grey and not of_a_data_set and set(colours[:, 0].tolist()) <= {0, VOID}:
        return colours[:, 0] // VOID
    # the palettes of some data sets go on with the grey of each index
    as_they_are = (codes == _VOC_CODES[used]) | (codes == used * _GREY)
    numbers = None if grey or as_they_are.all() else _numbers_of(codes)
    if numbers is not None:
        return numbers
    black = codes == 0
    if not black.any() or (black & (used == 0)).any():
        return None
    if grey and len(used) == 2:
        lighter: Labels = np.where(black, 0, 1).astype(np.uint8)
        return lighter
    raise InputError(
        f"in the mask {path} black, the usual background, has the index {used[black][0]}, and index 0 is "
        "another colour; save it with black first, or as grey with the objects' numbers"
    )


def _numbers_of(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """Object numbers of colours that a data set uses; None where there is another colour among them."""
    distinct, inverse = np.unique(codes, return_inverse=True)
    for numbers in _KNOWN_COLOURS:
        found = [numbers.get(int(code)) for code in distinct]
        if None not in found:
            return np.array(found, dtype=np.int64)[inverse].reshape(codes.shape)
    return None


def _of_colours(image: npt.NDArray[Any], path: Path) -> Labels:
    """H×W×3 RGB or H×W×4 RGBA."""
    rgb, bits = image[..., :3], 8 * image.itemsize
    if image.shape[2] == 4:
        alpha = image[..., 3]
        if (rgb == rgb[0, 0]).all() and (alpha != alpha[0, 0]).any():
            return _of_grey(alpha, bits, path)
        hidden = alpha == 0
        if hidden.any() and not hidden.all():
            return _of_visible(rgb, hidden, path)
    return _of_opaque(rgb, path)


def _of_visible(rgb: npt.NDArray[Any], hidden: npt.NDArray[np.bool_], path: Path) -> Labels:
    """What is transparent is background, whatever its colour; a single object may have any."""
    labels: Labels = np.zeros(hidden.shape, dtype=np.uint8)
    seen = rgb[~hidden][None]
    code = colour_codes(seen[:, :1])
    one_colour = (seen == seen[0, 0]).all()
    labels[~hidden] = (
        1 if one_colour and (code[0, 0] == 0 or _numbers_of(code) is None) else _of_opaque(seen, path)[0]
    )
    return labels


def _of_opaque(rgb: npt.NDArray[Any], path: Path) -> Labels:
    if (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all():
        return _of_grey(np.ascontiguousarray(rgb[..., 0]), 8 * rgb.itemsize, path)
    if rgb.dtype == np.uint16:  # 8 bits that a program has stretched, or no known colours
        rgb = rgb // _STRETCHED if not (rgb % _STRETCHED).any() else rgb
    numbers = _numbers_of(colour_codes(rgb))
    if numbers is None:
        raise InputError(
            f"the mask {path} is a colour image whose colours are not the PASCAL VOC palette; "
            "save it as an indexed PNG, or as grey with 0 and 255"
        )
    return numbers.astype(np.uint8)


def _listed(values: npt.NDArray[Any]) -> str:
    named = [f"{value:g}" for value in values.tolist()]
    if len(named) <= _MOST_NAMED:
        return ", ".join(named[:-1]) + " and " + named[-1] if len(named) > 1 else named[0]
    return f"{', '.join(named[:4])}, … {named[-1]} ({len(named)} in all)"
