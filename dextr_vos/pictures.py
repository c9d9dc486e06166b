"""Picture files: any mode and bit depth in, RGB uint8 out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path

ImageRgb = npt.NDArray[np.uint8]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
_ORIENTATION_TAG = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})
_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})


def read_picture(path: Path) -> ImageRgb:
    """Read a picture as it is meant to be seen.

    Grey becomes three equal channels, alpha is dropped, 16-bit values keep their upper byte, and EXIF
    orientation is applied.

    Args:
        path: JPEG, PNG, WebP, TIFF or BMP file.

    Returns:
        H×W×3 uint8, RGB.

    Raises:
        InputError: the file is missing, broken, cut off, or of a kind with no fixed range (float TIFF).
    """
    with _opened(path) as picture:
        picture.load()
        return _as_rgb(ImageOps.exif_transpose(picture), path)


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture after EXIF rotation, from its header alone.

    Raises:
        InputError: the file is missing or is no picture.
    """
    with _opened(path) as picture:
        width, height = picture.size
        # a TIFF's size is turned already; a PNG's getexif() would decode the whole picture
        asked = picture.format != "TIFF" and (picture.format != "PNG" or "exif" in picture.info)
        orientation = picture.getexif().get(_ORIENTATION_TAG) if asked else None
    return (width, height) if orientation in _SIDEWAYS else (height, width)


def write_picture(path: Path, image_rgb: ImageRgb) -> None:
    """Write an RGB picture atomically; the suffix says the format.

    Args:
        path: file to write, `.jpg` or `.png`.
        image_rgb: H×W×3 uint8.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(image_rgb).save(temporary, quality=92)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An open picture; whatever Pillow stumbles over becomes one sentence."""
    try:
        with Image.open(path) as picture:
            yield picture
    except FileNotFoundError:
        raise InputError(f"there is no picture {path}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise InputError(
            f"cannot read the picture {path}: {_told(fault)}; replace or remove the file"
        ) from None


def _as_rgb(picture: Image.Image, path: Path) -> ImageRgb:
    if picture.mode in _SIXTEEN_BIT_MODES or picture.mode == "I":
        levels = np.asarray(picture).astype(np.int64)
        if levels.min() < 0 or levels.max() > 0xFFFF:
            raise InputError(
                f"the picture {path} has values from {levels.min()} to {levels.max()}, "
                "expected 8 or 16 bits; save it with 8 bits a channel"
            )
        # a 32-bit file may well hold 8-bit levels
        eight_bits = picture.mode == "I" and levels.max() <= 0xFF
        return np.repeat((levels if eight_bits else levels >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode == "F":
        raise InputError(
            f"the picture {path} holds floating-point values, expected 8 or 16 bits; "
            "save it with 8 bits a channel"
        )
    return np.array(picture.convert("RGB"), dtype=np.uint8)


def _told(fault: Exception) -> str:
    if isinstance(fault, UnidentifiedImageError):
        return "it is not a picture, or its first bytes are broken"
    return str(fault).rstrip(".") or type(fault).__name__
