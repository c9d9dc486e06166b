"""The pictures that are annotated: frames of a clip or separate files, read when asked for, within bounds."""

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

THUMB_HEIGHT = 54
JPEG_QUALITY = 92
_DECODED_BYTES = 160_000_000
_ENCODED_BYTES = 96_000_000
_THUMB_BYTES = 24_000_000
# a video is read on through so many frames rather than sought, and so many before a frame are read with it
_READ_ON = 48
_READ_BEFORE = 8
_ORIENTATION_TAG = 0x0112


class Images(Protocol):
    """What is annotated, picture by picture."""

    @property
    def names(self) -> Sequence[str]:
        """One a picture."""
        ...

    def size_hw(self, index: int) -> tuple[int, int]:
        """Height and width as it is shown."""
        ...

    def read(self, index: int) -> ImageRgb:
        """H×W×3 uint8."""
        ...

    def jpeg(self, index: int) -> bytes:
        """The picture for a browser."""
        ...

    def thumb(self, index: int) -> bytes:
        """A small JPEG."""
        ...

    def mark(self, index: int) -> str:
        """Changes when the picture does."""
        ...


class Store:
    """Images decoded and encoded lately."""

    def __init__(self) -> None:
        self.decoded: BoundedCache[ImageRgb] = BoundedCache(_DECODED_BYTES, lambda image: image.nbytes)
        self.encoded: BoundedCache[bytes] = BoundedCache(_ENCODED_BYTES, len)
        self.thumbs: BoundedCache[bytes] = BoundedCache(_THUMB_BYTES, len)


class ImageFiles:
    """Separate picture files, of any size and mode.

    Args:
        files: their paths.
        names: what they are called; the file's name where nothing is given.
    """

    def __init__(self, files: Sequence[Path], names: Sequence[str] | None = None) -> None:
        self.files = list(files)
        self._names = [file.name for file in files] if names is None else list(names)
        self._store = Store()
        self._sizes: dict[str, tuple[int, int]] = {}

    def add(self, files: Sequence[Path]) -> None:
        """More pictures, after those there are."""
        self.files += files
        self._names += [file.name for file in files]

    @property
    def names(self) -> Sequence[str]:
        """One a picture."""
        return self._names

    def size_hw(self, index: int) -> tuple[int, int]:
        """Height and width as the picture is shown."""
        mark = self.mark(index)
        if mark not in self._sizes:
            self._sizes[mark] = image_size(self.files[index])
        return self._sizes[mark]

    def read(self, index: int) -> ImageRgb:
        """The picture, H×W×3 uint8."""
        mark = self.mark(index)
        image = self._store.decoded.get(mark)
        return self._store.decoded.put(mark, read_image(self.files[index])) if image is None else image

    def jpeg(self, index: int) -> bytes:
        """The file itself where a browser shows it as we see it, else a JPEG of it."""
        mark = self.mark(index)
        content = self._store.encoded.get(mark)
        if content is None:
            content = plain_jpeg(self.files[index]) or encoded(self.read(index))
            self._store.encoded.put(mark, content)
        return content

    def thumb(self, index: int) -> bytes:
        """A JPEG of THUMB_HEIGHT rows."""
        mark = self.mark(index)
        content = self._store.thumbs.get(mark)
        if content is None:
            content = self._store.thumbs.put(mark, small_jpeg(self.files[index]))
        return content

    def mark(self, index: int) -> str:
        """Name, time and size of the file."""
        file = self.files[index]
        try:
            told = file.stat()
        except FileNotFoundError:
            raise InputError(f"there is no picture {file}") from None
        return f"{file.name}-{told.st_mtime_ns:x}-{told.st_size:x}"


class ClipImages:
    """The frames of a clip. A video is decoded by one thread at a time, forward as far as possible."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self._files = ImageFiles(clip.files, clip.names) if isinstance(clip, FolderClip) else None
        self._store = Store()
        self._reading = threading.Lock()
        self._next = 0

    @property
    def names(self) -> Sequence[str]:
        """One a frame."""
        return self.clip.names

    def size_hw(self, index: int) -> tuple[int, int]:
        """Height and width, the same for all."""
        return self.clip.size_hw

    def read(self, index: int) -> ImageRgb:
        """The frame, H×W×3 uint8."""
        if self._files is not None:
            return self._files.read(index)
        image = self._store.decoded.get(index)
        if image is None:
            with self._reading:
                image = self._store.decoded.get(index)
                return self._read_video(index) if image is None else image
        return image

    def jpeg(self, index: int) -> bytes:
        """The frame for a browser."""
        if self._files is not None:
            return self._files.jpeg(index)
        content = self._store.encoded.get(index)
        return self._store.encoded.put(index, encoded(self.read(index))) if content is None else content

    def thumb(self, index: int) -> bytes:
        """A JPEG of THUMB_HEIGHT rows."""
        if self._files is not None:
            return self._files.thumb(index)
        content = self._store.thumbs.get(index)
        return content if content is not None else self._thumb_of(index, self.read(index))

    def mark(self, index: int) -> str:
        """The clip and the frame's number, or the file of it."""
        if self._files is not None:
            return self._files.mark(index)
        return f"{self.clip.identity[:20]}-{index}"

    def _read_video(self, index: int) -> ImageRgb:
        begin = self._next if self._next <= index < self._next + _READ_ON else max(0, index - _READ_BEFORE)
        for each in range(begin, index + 1):
            image = self.clip.read(each)
            self._store.decoded.put(each, image)
            if self._store.thumbs.get(each) is None:
                self._thumb_of(each, image)  # while it is at hand: seeking it again would take far longer
        self._next = index + 1
        return image

    def _thumb_of(self, index: int, image: ImageRgb) -> bytes:
        return self._store.thumbs.put(index, encoded(_shrunk(Image.fromarray(image)), quality=80))


def plain_jpeg(file: Path) -> bytes | None:
    """The bytes of a JPEG that needs no turning and has colours that browsers know; else None."""
    if file.suffix.lower() not in (".jpg", ".jpeg"):
        return None
    try:
        with Image.open(file) as picture:
            plain = (
                picture.format == "JPEG"
                and picture.mode in ("L", "RGB")
                and picture.getexif().get(_ORIENTATION_TAG, 1) == 1
            )
        return file.read_bytes() if plain else None
    except (OSError, SyntaxError, ValueError):
        return None


def encoded(picture: ImageRgb | Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    """A picture as the bytes of a JPEG."""
    buffer = io.BytesIO()
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def small_jpeg(file: Path) -> bytes:
    """A thumbnail of a picture file; a JPEG is decoded at an eighth of its size where that is enough."""
    if plain_jpeg(file) is not None:
        with Image.open(file) as picture:
            picture.draft("RGB", (1, 2 * THUMB_HEIGHT))
            return encoded(_shrunk(ImageOps.exif_transpose(picture).convert("RGB")), quality=80)
    return encoded(_shrunk(Image.fromarray(read_image(file))), quality=80)


def _shrunk(picture: Image.Image) -> Image.Image:
    width = max(1, round(picture.width * THUMB_HEIGHT / picture.height))
    return picture.resize((width, THUMB_HEIGHT), Image.Resampling.BILINEAR, reducing_gap=2.0)


T = TypeVar("T")


class BoundedCache(Generic[T]):
    """Values by key; those not asked for longest go first.

    Args:
        most_bytes: what all values together may take.
        size: bytes of a value.
    """

    def __init__(self, most_bytes: int, size: Callable[[T], int]) -> None:
        self._most, self._size = most_bytes, size
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
        """Keep a value; the newest always stays."""
        with self._lock:
            old = self._values.pop(key, None)
            self._bytes += self._size(value) - (0 if old is None else self._size(old))
            self._values[key] = value
            while self._bytes > self._most and len(self._values) > 1:
                _, gone = self._values.popitem(last=False)
                self._bytes -= self._size(gone)
        return value
