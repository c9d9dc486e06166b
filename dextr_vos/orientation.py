"""EXIF orientation: how an image is turned to be shown, known before its pixels are decoded."""

import io
from typing import IO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

ORIENTATION_TAG = 0x0112
# orientations in which rows of the file are shown as columns
SIDEWAYS = frozenset({5, 6, 7, 8})
# steps through rows and columns, once those on their side are transposed
_STEPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
# where Pillow keeps what it has read of a PNG
_KEYS_OF_PNG = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp"})
_SIGNATURE_BYTES = 8
_CHUNK_BYTES = 12  # of length, name and checksum

_Value = TypeVar("_Value", bound=np.generic)


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation of an open image whose pixels are not decoded yet, 1 to 8.

    It is 1 for a TIFF, which Pillow turns itself.
    """
    if image.format == "TIFF":
        return 1
    # a PNG's getexif() would decode the whole image
    known = image.format != "PNG" or _KEYS_OF_PNG & image.info.keys()
    exif = image.getexif() if known else _exif_behind_pixels(image)
    found = exif.get(ORIENTATION_TAG, 1)
    return found if found in range(1, 9) else 1


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of an open image as it is shown, see `orientation_of`."""
    width, height = image.size
    return (width, height) if orientation_of(image) in SIDEWAYS else (height, width)


def turned(values: npt.NDArray[_Value], orientation: int) -> npt.NDArray[_Value]:
    """Values of an image as they are shown.

    Args:
        values: H×W or H×W×C, as they stand in the file.
        orientation: of `orientation_of`.
    """
    if orientation == 1:
        return values
    if orientation in SIDEWAYS:
        values = values.swapaxes(0, 1)
    rows, columns = _STEPS[orientation]
    return np.ascontiguousarray(values[::rows, ::columns])


def _exif_behind_pixels(image: Image.Image) -> Image.Exif:
    """The EXIF of a PNG that has it after its pixels, where Pillow reads it once these are decoded."""
    exif, file = Image.Exif(), getattr(image, "fp", None)
    if file is None:
        return exif
    place = file.tell()
    at, looked = _SIGNATURE_BYTES, False
    while (chunk := _chunk_at(file, at)) is not None:
        name, size = chunk
        if name == b"eXIf":
            exif.load(b"Exif\0\0" + file.read(size))
            break
        if name == b"IDAT" and not looked:
            if _ends_with_pixels(file, at, size):
                break
            looked = True
        at += size + _CHUNK_BYTES
    file.seek(place)
    return exif


def _ends_with_pixels(file: IO[bytes], at: int, size: int) -> bool:
    """Whether nothing but the end follows the pixels of a PNG, as far as its last chunk with pixels shows.

    Programs write pixels in chunks of one size, of which the last may be shorter; to read the headers of all
    would be to read most of the file.

    Args:
        file: the PNG.
        at: where its first chunk with pixels begins.
        size: of that, without name and checksum.
    """
    end = file.seek(0, io.SEEK_END) - _CHUNK_BYTES
    if end < at:
        return False
    last = at + (end - at) // (size + _CHUNK_BYTES) * (size + _CHUNK_BYTES)
    found = _chunk_at(file, last)
    if found == (b"IEND", 0):
        return last == end
    return found == (b"IDAT", end - last - _CHUNK_BYTES)


def _chunk_at(file: IO[bytes], at: int) -> tuple[bytes, int] | None:
    """Name and size of the chunk of a PNG that begins at a place; the file is then at its content."""
    file.seek(at)
    head = file.read(8)
    return (head[4:], int.from_bytes(head[:4], "big")) if len(head) == 8 else None
