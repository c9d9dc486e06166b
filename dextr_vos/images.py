"""Image files: any mode and bit depth in, RGB uint8 out."""

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
# A frame of 8192×8192 takes 200 MB decoded. A file of half a megabyte may claim far more.
MAX_PIXELS = 8192 * 8192
_ORIENTATION_TAG = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})
_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})


def read_image(path: Path) -> ImageRgb:
    """Read an image as it is meant to be displayed.

    Grey becomes three equal channels, alpha is dropped, 16-bit values keep their upper byte, and EXIF
    orientation is applied.

    Args:
        path: JPEG, PNG, WebP, TIFF or BMP file.

    Returns:
        H×W×3 uint8, RGB.

    Raises:
        InputError: the file is missing, broken, cut off, or of a kind with no fixed range (float TIFF).
    """
    with _opened(path) as image:
        image.load()
        return _as_rgb(ImageOps.exif_transpose(image), path)


def check_image(image_rgb: object, name: str) -> ImageRgb:
    """Check an image that a caller passes in memory.

    Args:
        image_rgb: what should be an H×W×3 uint8 array, RGB.
        name: what to call it in the message.

    Returns:
        The same array.

    Raises:
        InputError: it is anything else.
    """
    if not isinstance(image_rgb, np.ndarray):
        raise InputError(f"expected {name} as a NumPy array H×W×3 uint8, got {type(image_rgb).__name__}")
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8 or not image_rgb.size:
        raise InputError(
            f"expected {name} as H×W×3 uint8, RGB with values from 0 to 255, got {image_rgb.dtype} of shape "
            f"{image_rgb.shape}"
        )
    return image_rgb


def check_size(size_hw: tuple[int, int], name: str) -> None:
    """Refuse an image that is too large to be decoded, by the size in its header.

    Args:
        size_hw: height and width, in pixels.
        name: what to call it in the message.

    Raises:
        InputError: it has more than `MAX_PIXELS` pixels.
    """
    height, width = size_hw
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{name} is {width}×{height} pixels, {height * width / 1e6:.0f} million; expected at most "
            f"{MAX_PIXELS / 1e6:.0f} million, as 8192×8192 has; make it smaller"
        )


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image after EXIF rotation, from its header alone.

    Raises:
        InputError: the file is missing or is no image.
    """
    with _opened(path) as image:
        width, height = image.size
        # a TIFF's size is rotated already; a PNG's getexif() would decode the whole image
        asked = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        orientation = image.getexif().get(_ORIENTATION_TAG) if asked else None
    return (width, height) if orientation in _SIDEWAYS else (height, width)


def write_image(path: Path, image_rgb: ImageRgb) -> None:
    """Write an RGB image atomically; the suffix gives the format.

    Args:
        path: file to write, `.jpg` or `.png`.
        image_rgb: H×W×3 uint8.
    """
    import imageio.v3 as iio  # takes a moment to import, and few commands write images

    with atomic_path(path) as temporary:
        iio.imwrite(temporary, image_rgb, plugin="pillow", quality=92)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An open image; every error of Pillow becomes one sentence."""
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise InputError(f"there is no image {path}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"cannot read the image {path}: {_reason(error)}; replace or remove the file"
        ) from None


def _as_rgb(image: Image.Image, path: Path) -> ImageRgb:
    if image.mode in _SIXTEEN_BIT_MODES or image.mode == "I":
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 0xFFFF:
            raise InputError(
                f"the image {path} has values from {levels.min()} to {levels.max()}, "
                "expected 8 or 16 bits; save it with 8 bits a channel"
            )
        # a 32-bit file may well hold 8-bit levels
        eight_bits = image.mode == "I" and levels.max() <= 0xFF
        return np.repeat((levels if eight_bits else levels >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise InputError(
            f"the image {path} holds floating-point values, expected 8 or 16 bits; "
            "save it with 8 bits a channel"
        )
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image, or its first bytes are broken"
    return str(error).rstrip(".") or type(error).__name__
