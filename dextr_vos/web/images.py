"""The images that are annotated: frames of a clip or separate files, read on demand into bounded caches."""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from PIL import Image, ImageOps

from dextr_vos.clip import Clip, FolderClip
from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb, image_size, read_image

THUMB_HEIGHT = 108  # twice the height of the film strip, for dense screens and for the timeline's preview
JPEG_QUALITY = 92
_THUMB_QUALITY = 80
_DECODED_BYTES = 160_000_000
_JPEG_BYTES = 96_000_000
_THUMB_BYTES = 24_000_000
_ENTRY_BYTES = 1000  # of a cache, without the value: the key, and what Python keeps for both
# Seeking in a video is slow: up to so many frames are decoded in passing instead, and a seek starts a little
# earlier, since the frames before the requested one are likely to be requested next.
_MAX_FRAMES_IN_PASSING = 48
_FRAMES_BEFORE = 8
_ORIENTATION_TAG = 0x0112


class Images(Protocol):
    """What is annotated, image by image."""

    @property
    def names(self) -> Sequence[str]:
        """One name per image."""
        ...

    def index_of(self, name: str) -> int | None:
        """Index of an image, or None where there is no such image."""
        ...

    def size_hw(self, index: int) -> tuple[int, int]:
        """Height and width, in pixels, as the image is displayed."""
        ...

    def read(self, index: int) -> ImageRgb:
        """The image, H×W×3 uint8 RGB."""
        ...

    def jpeg(self, index: int) -> bytes:
        """The image as the bytes of a JPEG, for a browser."""
        ...

    def thumb(self, index: int) -> bytes:
        """A JPEG of THUMB_HEIGHT rows."""
        ...

    def tag(self, index: int) -> str:
        """An entity tag: it differs when the image does."""
        ...

    def clear(self) -> None:
        """Forget what was decoded and encoded; it is made again when it is asked for."""
        ...


class _Caches:
    """Images that were decoded and encoded recently."""

    def __init__(self) -> None:
        self.decoded: BoundedCache[ImageRgb] = BoundedCache(_DECODED_BYTES, lambda image: image.nbytes)
        self.jpegs: BoundedCache[bytes] = BoundedCache(_JPEG_BYTES, len)
        self.thumbs: BoundedCache[bytes] = BoundedCache(_THUMB_BYTES, len)

    def clear(self) -> None:
        for each in (self.decoded, self.jpegs, self.thumbs):
            each.clear()


class ImageFiles:
    """Separate image files, of any size and mode.

    Args:
        files: paths of the images.
        names: one per file; None takes the names of the files.
        read: reads a file as H×W×3 uint8 RGB.
    """

    def __init__(
        self,
        files: Sequence[Path],
        names: Sequence[str] | None = None,
        read: Callable[[Path], ImageRgb] = read_image,
    ) -> None:
        self._read = read
        self.files: list[Path] = []
        self._names: list[str] = []
        self._indices: dict[str, int] = {}
        self._caches = _Caches()
        self._sizes: dict[str, tuple[int, int]] = {}
        self.add(files, names)

    def add(self, files: Sequence[Path], names: Sequence[str] | None = None) -> None:
        """Append more images."""
        self.files += files
        self._names += [file.name for file in files] if names is None else names
        self._indices = {name: index for index, name in enumerate(self._names)}

    @property
    def names(self) -> Sequence[str]:
        """One name per image."""
        return self._names

    def index_of(self, name: str) -> int | None:
        """Index of an image, or None where there is no such image."""
        return self._indices.get(name)

    def size_hw(self, index: int) -> tuple[int, int]:
        """Height and width, in pixels, as the image is displayed."""
        tag = self.tag(index)
        if tag not in self._sizes:
            self._sizes[tag] = image_size(self.files[index])
        return self._sizes[tag]

    def read(self, index: int) -> ImageRgb:
        """The image, H×W×3 uint8 RGB."""
        return self._caches.decoded.get_or_make(self.tag(index), lambda: self._read(self.files[index]))

    def jpeg(self, index: int) -> bytes:
        """The file itself where every browser displays it correctly, else a JPEG made from it."""
        return self._caches.jpegs.get_or_make(
            self.tag(index), lambda: _plain_jpeg(self.files[index]) or _encode(self.read(index))
        )

    def thumb(self, index: int) -> bytes:
        """A JPEG of THUMB_HEIGHT rows."""
        return self._caches.thumbs.get_or_make(
            self.tag(index), lambda: _thumb_of_file(self.files[index], self._read)
        )

    def tag(self, index: int) -> str:
        """Name, modification time and size of the file."""
        file = self.files[index]
        try:
            status = file.stat()
        except FileNotFoundError:
            raise InputError(f"the image {file} no longer exists; put it back or reload the page") from None
        return f"{file.name}-{status.st_mtime_ns:x}-{status.st_size:x}"

    def clear(self) -> None:
        """See `Images`."""
        self._caches.clear()


class ClipImages:
    """The frames of a clip. A video is decoded by one thread at a time, in frame order where possible."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self._files = (
            ImageFiles(clip.files, clip.names, clip.read_file) if isinstance(clip, FolderClip) else None
        )
        self._indices = {name: index for index, name in enumerate(clip.names)}
        self._caches = _Caches()
        self._decoding = threading.Lock()
        self._next = 0

    @property
    def names(self) -> Sequence[str]:
        """One name per frame."""
        return self.clip.names

    def index_of(self, name: str) -> int | None:
        """Index of a frame, or None where there is no such frame."""
        return self._indices.get(name)

    def size_hw(self, index: int) -> tuple[int, int]:
        """Height and width, in pixels, the same for all frames."""
        return self.clip.size_hw

    def read(self, index: int) -> ImageRgb:
        """The frame, H×W×3 uint8 RGB."""
        if self._files is not None:
            return self._files.read(index)
        image = self._caches.decoded.get(index)
        if image is None:
            with self._decoding:
                image = self._caches.decoded.get(index)  # another thread may have decoded it meanwhile
                return self._decode_up_to(index) if image is None else image
        return image

    def jpeg(self, index: int) -> bytes:
        """The frame as the bytes of a JPEG, for a browser."""
        if self._files is not None:
            return self._files.jpeg(index)
        return self._caches.jpegs.get_or_make(index, lambda: _encode(self.read(index)))

    def thumb(self, index: int) -> bytes:
        """A JPEG of THUMB_HEIGHT rows."""
        if self._files is not None:
            return self._files.thumb(index)
        return self._caches.thumbs.get_or_make(index, lambda: _thumb(Image.fromarray(self.read(index))))

    def tag(self, index: int) -> str:
        """The clip's identity and the frame's index, or what `ImageFiles.tag` says of the frame's file."""
        if self._files is not None:
            return self._files.tag(index)
        return f"{self.clip.identity[:20]}-{index}"

    def clear(self) -> None:
        """See `Images`."""
        self._caches.clear()
        if self._files is not None:
            self._files.clear()

    def _decode_up_to(self, index: int) -> ImageRgb:
        in_passing = self._next <= index < self._next + _MAX_FRAMES_IN_PASSING
        first = self._next if in_passing else max(0, index - _FRAMES_BEFORE)
        for each in range(first, index + 1):
            image = self._caches.decoded.put(each, self.clip.read(each))
            if self._caches.thumbs.get(each) is None:  # decoding the frame again would take far longer
                self._caches.thumbs.put(each, _thumb(Image.fromarray(image)))
        self._next = index + 1
        return image


def _plain_jpeg(file: Path) -> bytes | None:
    """The bytes of a JPEG that needs no rotation and has colours that every browser knows; else None."""
    if file.suffix.lower() not in (".jpg", ".jpeg", ".jpe", ".jfif"):
        return None
    try:
        with Image.open(file, formats=("JPEG",)) as image:
            plain = (
                image.format == "JPEG"
                and image.mode in ("L", "RGB")
                and image.getexif().get(_ORIENTATION_TAG, 1) == 1
            )
        return file.read_bytes() if plain else None
    except (OSError, SyntaxError, ValueError):
        return None


def _encode(image: ImageRgb | Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    buffer = io.BytesIO()
    pillow_image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    pillow_image.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def _thumb_of_file(file: Path, read: Callable[[Path], ImageRgb]) -> bytes:
    """A thumbnail of an image file; a JPEG is decoded at an eighth of its size where that is enough."""
    if _plain_jpeg(file) is not None:
        with Image.open(file, formats=("JPEG",)) as image:
            image.draft("RGB", (1, 2 * THUMB_HEIGHT))
            return _thumb(ImageOps.exif_transpose(image).convert("RGB"))
    return _thumb(Image.fromarray(read(file)))


def thumb_size_hw(size_hw: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the thumbnail of an image, in pixels."""
    return THUMB_HEIGHT, max(1, round(size_hw[1] * THUMB_HEIGHT / size_hw[0]))


def _thumb(image: Image.Image) -> bytes:
    height, width = thumb_size_hw((image.height, image.width))
    small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return _encode(small, _THUMB_QUALITY)


T = TypeVar("T")


class BoundedCache(Generic[T]):
    """Values by key, safe for threads.

    Args:
        max_bytes: limit on the bytes of all entries together; the newest value stays even if it is larger.
        size_of: bytes of a value; its entry takes `_ENTRY_BYTES` more, which counts where there are many.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[T], int]) -> None:
        self._max_bytes, self._size_of = max_bytes, size_of
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T | None:
        """The value of a key, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Hashable, value: T) -> T:
        """Store a value under a key and return it."""
        with self._lock:
            replaced = self._values.pop(key, None)
            self._bytes += self._bytes_of(value) - (0 if replaced is None else self._bytes_of(replaced))
            self._values[key] = value
            while self._bytes > self._max_bytes and len(self._values) > 1:
                _, evicted = self._values.popitem(last=False)
                self._bytes -= self._bytes_of(evicted)
        return value

    def drop(self, key: Hashable) -> None:
        """Drop a value, if it is there."""
        with self._lock:
            value = self._values.pop(key, None)
            if value is not None:
                self._bytes -= self._bytes_of(value)

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._values.clear()
            self._bytes = 0

    def get_or_make(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key; made and stored where it is missing. Two threads may make the same value."""
        value = self.get(key)
        return self.put(key, make()) if value is None else value

    def _bytes_of(self, value: T) -> int:
        return _ENTRY_BYTES + self._size_of(value)
