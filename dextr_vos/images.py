"""Image files: any mode and bit depth in, RGB uint8 out."""

import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError, features

from dextr_vos.errors import InputError, counted
from dextr_vos.files import atomic_path, check_unicode, natural_key
from dextr_vos.orientation import orientation_of, shown_size, turned
from dextr_vos.pixel_levels import LevelRange, Levels, is_deep, level_range, load_levels, to_8_bits

log = logging.getLogger(__name__)

ImageRgb = npt.NDArray[np.uint8]

WRITTEN_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
_HEIF_SUFFIXES = frozenset({".heic", ".heif"} if find_spec("pillow_heif") else ())
_AVIF_SUFFIXES = frozenset({".avif"} if "avif" in features.modules and features.check("avif") else ())
# of frames only where there are none of the others, beside which they hold depth, mattes or masks
_SECOND_SUFFIXES = frozenset({".jp2", ".pgm", ".pnm", ".tga"})
_FIRST_SUFFIXES = WRITTEN_SUFFIXES | {".jfif", ".jpe", ".ppm"} | _HEIF_SUFFIXES | _AVIF_SUFFIXES
# the files that are read as frames
SUFFIXES = _FIRST_SUFFIXES | _SECOND_SUFFIXES
# animations that FFmpeg reads
ANIMATION_SUFFIXES = frozenset({".apng", ".gif"})
# images that are no frames
_UNREAD_SUFFIXES = ANIMATION_SUFFIXES | (
    {".arw", ".avif", ".cr2", ".cr3", ".dng", ".dpx", ".exr", ".hdr", ".heic", ".heif"}
    | {".j2k", ".jxl", ".nef", ".orf", ".pbm", ".psd", ".raf", ".rw2"}
)
_IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cJXL")
_HEIF_SIGNATURES = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif")
# A frame of 8192×8192 takes 200 MB decoded. A file of half a megabyte may claim far more.
MAX_PIXELS = 8192 * 8192
_SUBFILE_TAG = 0x00FE
_STACK_FORMATS = frozenset(
    {"TIFF", "WEBP", "PNG", "AVIF"}
)  # a JPEG may hold several views, of which one is shown
# what Pillow may take a file for, the likely ones first; it also has decoders that start other programs
_FORMATS = (
    *("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000"),
    *(("AVIF",) if _AVIF_SUFFIXES else ()),
    "TGA",  # has no signature
)


def read_image(path: Path, used: LevelRange | None = None) -> ImageRgb:
    """Read an image as it is meant to be displayed.

    Grey becomes three equal channels, alpha is dropped, EXIF orientation is applied, and 16-bit values become
    8 bits, see `pixel_levels`.

    Args:
        path: a file with one of the `SUFFIXES`.
        used: the range of 16-bit values that is stretched to 8 bits; that of this image by default.

    Returns:
        H×W×3 uint8, RGB.

    Raises:
        InputError: the file is missing, broken, cut off, too large (`MAX_PIXELS`), or of a kind with no fixed
            range (float TIFF).
    """
    with open_image(path) as image:
        return decode_rgb(image, path, used)


def read_levels(path: Path) -> Levels | None:
    """The values of an image with more than 8 bits a channel, see `load_levels`; None for others.

    Raises:
        InputError: see `read_image`.
    """
    with open_image(path) as image:
        return load_levels(image, path) if is_deep(image) else None


def decode_rgb(image: Image.Image, path: Path, used: LevelRange | None = None) -> ImageRgb:
    """Decode an image that `open_image` opened, at the page it stands at; see `read_image`."""
    orientation = orientation_of(image)
    levels = load_levels(image, path)
    if levels is not None:
        rgb = to_8_bits(levels, level_range([levels]) if used is None else used)
        return rgb if rgb.ndim == 3 else np.repeat(rgb[..., None], 3, axis=2)
    if image.mode == "F":
        raise InputError(
            f"the image {path} holds floating-point values, expected 8 or 16 bits; "
            "save it with 8 bits a channel"
        )
    # convert would copy an image that needs nothing
    rgb = np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)
    return turned(rgb, orientation)


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


class ImageHeader(NamedTuple):
    """What the header of an image file says.

    Attributes:
        size_hw: height and width after EXIF rotation.
        pages: numbers of the images in the file, without smaller copies: several in a multi-page TIFF, an
            animated WebP, PNG or AVIF.
        deep: whether there are more than 8 bits a channel.
    """

    size_hw: tuple[int, int]
    pages: tuple[int, ...]
    deep: bool


def read_header(path: Path) -> ImageHeader:
    """Read the header of an image file; no pixels are decoded.

    Raises:
        InputError: the file is missing, is no image, or is too large (`MAX_PIXELS`).
    """
    with open_image(path) as image:
        deep = is_deep(image)
        return ImageHeader(shown_size(image), tuple(_pages(image)), deep)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image after EXIF rotation, from its header alone.

    Raises:
        InputError: see `read_header`.
    """
    return read_header(path).size_hw


def _pages(image: Image.Image) -> Iterator[int]:
    count = getattr(image, "n_frames", 1) if image.format in _STACK_FORMATS else 1
    if image.format != "TIFF" or count == 1:
        # an animated PNG may have an image in front that programs without animation show
        yield from range(1 if count > 1 and image.info.get("default_image") else 0, count)
        return
    size = image.size
    for page in range(count):
        image.seek(page)
        smaller_copy = getattr(image, "tag_v2", {}).get(_SUBFILE_TAG, 0) & 1
        if not smaller_copy and image.size == size:
            yield page


def frames_among(names: Iterable[str]) -> list[str]:
    """Which names of a folder's files are those of its frames."""
    suffixes = {name: Path(name).suffix.lower() for name in names if not name.startswith(".")}
    first = [name for name, suffix in suffixes.items() if suffix in _FIRST_SUFFIXES]
    return first or [name for name, suffix in suffixes.items() if suffix in _SECOND_SUFFIXES]


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder in natural order.

    Raises:
        InputError: there are none.
    """
    # a broken link is a missing frame, which reading it reports
    entries = [
        entry
        for entry in folder.iterdir()
        if (entry.is_file() or entry.is_symlink()) and not entry.name.startswith(".")
    ]
    frames = set(frames_among(entry.name for entry in entries))
    files = [entry for entry in entries if entry.name in frames]
    if not files:
        folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        found = f"{counted(len(entries), 'file')} of other kinds" if entries else "nothing"
        if images := [entry.name for entry in entries if looks_like_image(entry)]:
            found = f"images of kinds that are not read, like {min(images)}"
        elif folders:
            some = f"{', '.join(folders[:5])}{' …' if len(folders) > 5 else ''}"
            which = f"folders {some}; give one of them" if len(folders) > 1 else f"folder {some}; give that"
            raise InputError(f"{folder} holds no images, only the {which}")
        raise InputError(
            f"no images in the folder {folder}: found {found}, expected JPEG, PNG, WebP or TIFF files; "
            "give the folder that holds the frames themselves"
        )
    for file in files:
        check_unicode(file)
    others = set(entries) - set(files)
    if beside := sorted(entry.name for entry in others if entry.suffix.lower() in _SECOND_SUFFIXES):
        warn_once(
            f"left out of {folder}: {', '.join(beside[:5])}{' …' if len(beside) > 5 else ''} "
            f"({len(beside)} in all); such images are frames only where there are none of other kinds"
        )
    left_out = sorted(entry.name for entry in others if looks_like_image(entry))
    if left_out:
        warn_once(
            f"left out of {folder}: {', '.join(left_out[:5])}{' …' if len(left_out) > 5 else ''} "
            f"({len(left_out)} in all); such images are not read, save them as PNG or JPEG"
        )
    return sorted(files, key=lambda file: natural_key(file.name))


@cache
def warn_once(message: str) -> None:
    """Log a warning, the same one only once in a process."""
    log.warning(message)


def looks_like_image(path: Path) -> bool:
    """Whether a file that is not read as a frame has the name or the first bytes of an image."""
    if path.suffix.lower() in _UNREAD_SUFFIXES:
        return True
    try:
        with path.open("rb") as opened:
            start = opened.read(12)
    except OSError:
        return False
    return start.startswith(_IMAGE_SIGNATURES) or start[4:] in _HEIF_SIGNATURES


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
def open_image(path: Path) -> Iterator[Image.Image]:
    """An open image, not larger than `MAX_PIXELS`.

    Raises:
        InputError: the file is missing, is no image, or is too large; or the block fails to decode it.
    """
    formats = _FORMATS
    if path.suffix.lower() in _HEIF_SUFFIXES:
        import_module("pillow_heif").register_heif_opener()
        formats = ("HEIF", *_FORMATS)
    with image_errors(path), within_limit(path, f"the image {path}", formats) as image:
        check_size((image.height, image.width), f"the image {path}")
        yield image


@contextmanager
def image_errors(path: Path) -> Iterator[None]:
    """Every error of Pillow becomes one sentence, an `InputError`."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"there is no image {path}") from None
    except InputError:
        raise
    except Exception as error:  # of many kinds on damaged files
        raise InputError(f"cannot read the image {path}: {_reason(error)}; replace the file") from None


def within_limit(source: Path | BinaryIO, name: str, formats: tuple[str, ...] = _FORMATS) -> Image.Image:
    """Open an image with Pillow, which has a limit of pixels of its own, and warns below it.

    Args:
        source: a file, or its content.
        name: what to call it in the message.
        formats: what it may be, by Pillow's names.

    Raises:
        UnidentifiedImageError: it is of none of the formats.
        InputError: it has more pixels; smaller ones may still have more than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(source, formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = re.search(r"[0-9]+", str(error))
        count = f"{int(pixels[0]) / 1e6:.0f} million" if pixels else "too many"
        raise InputError(
            f"{name} has {count} pixels; expected at most {MAX_PIXELS / 1e6:.0f} million, as "
            "8192×8192 has; make it smaller"
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image, or its first bytes are broken"
    return str(error).rstrip(".") or type(error).__name__
