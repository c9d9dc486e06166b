"""Mask files: which files of a folder are masks, and their values as they stand in the file.

What the values mean is decided in `mask_values.py`. Sizes are checked from a file's header, before its pixels
are decoded.
"""

import io
import struct
import unicodedata
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dextr_vos.errors import InputError
from dextr_vos.files import natural_key
from dextr_vos.images import check_size, within_limit
from dextr_vos.orientation import orientation_of, shown_size, turned

# Lossless formats; .webp may be lossy, and its values are then refused.
MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".webp", ".npy"})
_FORMATS = "PNG, TIFF, BMP, lossless WebP or NPY"

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FIELDS = struct.Struct(">IIBBBBB")
_GREY, _INDEXED = 0, 3
# chunks that may say how a PNG is turned, and what they hold then
_WITH_ORIENTATION = (
    *((b"eXIf", b""), (b"iTXt", b"XML:com.adobe.xmp")),
    *((name, b"Raw profile type exif") for name in (b"tEXt", b"zTXt", b"iTXt")),
)


@dataclass(frozen=True, eq=False)
class StoredMask:
    """A mask as its file has it.

    Attributes:
        values: H×W integers or floats; H×W×3 RGB or H×W×4 RGBA, uint8 or uint16, in a colour image.
        bits: of a value: 1, 2, 4 or 8 in uint8, 16 or 32 otherwise.
        palette: N×4 uint8 RGBA, the colours that indices mean; None where values are no indices.
    """

    values: npt.NDArray[Any]
    bits: int
    palette: npt.NDArray[np.uint8] | None = None


def read_stored(path: Path, size_hw: tuple[int, int] | None = None) -> StoredMask:
    """Read a mask's values.

    Args:
        path: PNG, TIFF, BMP, WebP or NPY file.
        size_hw: height and width that the mask must have, if given.

    Raises:
        InputError: the file is missing, damaged, of another size or no mask file.
    """
    try:
        if path.suffix.lower() == ".npy":
            return _read_array(path, size_hw)
        content = path.read_bytes()
        stored = _read_png(content, path, size_hw) if content.startswith(_SIGNATURE) else None
        return stored or _read_image(content, path, size_hw)
    except FileNotFoundError:
        raise InputError(f"there is no mask {path}") from None
    except InputError:
        raise
    except Exception as error:  # readers raise many kinds on damaged files
        no_image = "it is no image, or its first bytes are broken"
        reason = no_image if isinstance(error, UnidentifiedImageError) else str(error).rstrip(".")
        reason = reason or type(error).__name__
        raise InputError(f"cannot read the mask {path}: {reason}; save it again as a PNG") from None


def mask_files(folder: Path) -> dict[str, Path]:
    """The mask files of a folder by frame name (see `plain_name`), in natural order.

    Raises:
        InputError: two files are of one frame, like `00000.png` and `00000.tif`.
    """
    found: dict[str, Path] = {}
    files = (file for file in folder.iterdir() if _is_mask(file)) if folder.is_dir() else ()
    for file in sorted(files, key=lambda each: natural_key(each.name)):
        name = plain_name(file.stem)
        if name in found:
            raise InputError(
                f"{folder} holds two masks of the frame '{name}', {found[name].name} and {file.name}; "
                "keep one"
            )
        found[name] = file
    return found


def find_mask_file(folder: Path, name: str) -> Path | None:
    """The mask file of a frame in a folder, None where there is none.

    Args:
        folder: with `<name>.png`, or with another suffix, in upper or lower case.
        name: of the frame, in any Unicode form.

    Raises:
        InputError: see `mask_files`; not where `<name>.png` is there.
    """
    file = folder / f"{name}.png"
    if file.is_file():
        return file
    try:
        changed_ns = folder.stat().st_mtime_ns
    except OSError:
        return None
    return _listed(folder, changed_ns).get(plain_name(name))


def plain_name(name: str) -> str:
    """A name in the composed Unicode form (NFC); macOS may decompose the names of files."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


@lru_cache(maxsize=16)
def _listed(folder: Path, changed_ns: int) -> dict[str, Path]:
    return mask_files(folder)


def _is_mask(file: Path) -> bool:
    return file.suffix.lower() in MASK_SUFFIXES and not file.name.startswith(".")


def _check_size(path: Path, found_hw: tuple[int, ...], size_hw: tuple[int, int] | None) -> None:
    if size_hw is not None and found_hw != size_hw:
        raise InputError(
            f"the mask {path} is {found_hw[1]}×{found_hw[0]} pixels, "
            f"its frame is {size_hw[1]}×{size_hw[0]}; masks must have the size of their frames"
        )
    check_size((found_hw[0], found_hw[1]), f"the mask {path}")


def _read_array(path: Path, size_hw: tuple[int, int] | None) -> StoredMask:
    values = np.load(path, mmap_mode="r", allow_pickle=False)  # of a header and, when asked, pixels
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "buif":
        what = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else "an archive"
        raise InputError(f"the mask {path} is {what}, expected H×W whole numbers or bool; save it again")
    _check_size(path, values.shape, size_hw)
    bits = (
        1 if values.dtype == bool else 32 if values.dtype.kind == "f" else min(32, 8 * values.dtype.itemsize)
    )
    values = values.astype(np.float32) if values.dtype == np.float16 else np.array(values)
    if bits == 8 and values.min(initial=0) >= 0:
        values = values.astype(np.uint8)
    return StoredMask(values.view(np.uint8) if bits == 1 else values, bits)


def _read_png(content: bytes, path: Path, size_hw: tuple[int, int] | None) -> StoredMask | None:
    """The usual PNGs by OpenCV, which is several times faster; None where Pillow must look at the file.

    Those are without transparent entries, interlacing and orientation, of 8 bits grey or indexed, or of 16
    bits, half of which Pillow would drop in colour images.
    """
    chunks = _chunks(content)
    if chunks is None or len(chunks.get(b"IHDR", b"")) != _FIELDS.size:
        return None
    width, height, bits, kind, compression, filters, interlaced = _FIELDS.unpack(chunks[b"IHDR"])
    if any(word in chunks[name] for name, word in _WITH_ORIENTATION if name in chunks):
        return None
    _check_size(path, (height, width), size_hw)
    if b"tRNS" in chunks or compression or filters or interlaced:
        return None
    if bits == 16:
        return _stored_16_bits(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))
    if bits != 8 or kind not in (_GREY, _INDEXED):
        return None
    colours = chunks.get(b"PLTE", b"")
    if kind == _INDEXED and (not colours or len(colours) % 3):
        return None
    header = _FIELDS.pack(width, height, bits, _GREY, 0, 0, 0)
    plain = _SIGNATURE + b"".join(
        _chunk(name, data)
        for name, data in ((b"IHDR", header), (b"IDAT", chunks.get(b"IDAT", b"")), (b"IEND", b""))
    )
    values = cv2.imdecode(np.frombuffer(plain, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    if values is None or values.shape != (height, width):
        return None
    return StoredMask(values, 8, _with_alpha(colours) if kind == _INDEXED else None)


def _stored_16_bits(values: npt.NDArray[Any] | None) -> StoredMask | None:
    if values is None or values.dtype != np.uint16:
        return None
    if values.ndim == 3:  # OpenCV has BGR and BGRA
        values = values[..., [2, 1, 0, 3][: values.shape[2]]]
    return StoredMask(values, 16)


def _chunks(content: bytes) -> dict[bytes, bytes] | None:
    """The chunks by name, those of one name joined; None when they are not whole to the last one."""
    found: dict[bytes, bytes] = {}
    place = len(_SIGNATURE)
    while place + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, place)
        name, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + size]
        end = content[place + 8 + size : place + 12 + size]
        if len(end) < 4 or zlib.crc32(data, zlib.crc32(name)) != int.from_bytes(end, "big"):
            return None
        if name == b"IEND":
            return found
        found[name] = found[name] + data if name in found else data
        place += 12 + size
    return None


def _chunk(name: bytes, content: bytes) -> bytes:
    size, check = len(content), zlib.crc32(content, zlib.crc32(name))
    return size.to_bytes(4, "big") + name + content + check.to_bytes(4, "big")


def _read_image(content: bytes, path: Path, size_hw: tuple[int, int] | None) -> StoredMask:
    with within_limit(io.BytesIO(content), f"the mask {path}") as image:
        if image.format in ("JPEG", "GIF", "MPO"):
            raise InputError(f"the mask {path} is a {image.format}, expected {_FORMATS}; save it as a PNG")
        if getattr(image, "n_frames", 1) > 1:
            raise InputError(
                f"the mask {path} holds {image.n_frames} images, expected one; save each as a file"  # type: ignore[attr-defined]
            )
        _check_size(path, shown_size(image), size_hw)
        depth, orientation = _depth(image, content), orientation_of(image)
        image.load()
        stored = _stored(image, depth)
        return replace(stored, values=turned(stored.values, orientation))


def _depth(image: Image.Image, content: bytes) -> int:
    """Bits of a value of a grey image; Pillow stretches 2 and 4 bits to 8."""
    if image.format == "PNG":
        return content[24]
    if image.format == "TIFF":
        return int(np.max(image.tag_v2.get(258, 8)))  # type: ignore[attr-defined]
    return 8


def _stored(image: Image.Image, depth: int) -> StoredMask:
    mode = image.mode
    if mode == "P":
        palette = _with_alpha(bytes(image.getpalette("RGB") or ()))
        alpha = image.info.get("transparency")
        if isinstance(alpha, int):
            palette[alpha : alpha + 1, 3] = 0
        elif alpha is not None:
            palette[: len(alpha), 3] = np.frombuffer(alpha, np.uint8)[: len(palette)]
        return StoredMask(np.array(image, dtype=np.uint8), 8, palette)
    if mode == "1":
        return StoredMask(np.array(image, dtype=np.uint8), 1)
    if mode == "L" and "transparency" not in image.info:
        step = {2: 85, 4: 17}.get(depth)
        values = np.array(image)
        return StoredMask(values // step, depth) if step else StoredMask(values, 8)
    if mode in ("I", "F") or mode.startswith("I;16"):
        return StoredMask(np.array(image), 16 if mode.startswith("I;16") else 32)
    has_alpha = mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info
    return StoredMask(np.array(image.convert("RGBA" if has_alpha else "RGB")), 8)


def _with_alpha(colours: bytes) -> npt.NDArray[np.uint8]:
    """N×4 uint8, opaque, of the bytes of a palette."""
    palette = np.full((len(colours) // 3, 4), 255, dtype=np.uint8)
    palette[:, :3] = np.frombuffer(colours, dtype=np.uint8).reshape(-1, 3)
    return palette
