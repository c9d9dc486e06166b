"""A clip: the frames of a folder of pictures or of a video file, read one at a time."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from dextr_vos import images as pictures
from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb, image_size, read_image
from dextr_vos.masks import looks_like_mask

DEFAULT_FPS = 24.0  # of a folder, which has no rate of its own; DAVIS was filmed at 24


class Clip(ABC):
    """Frames with names, all of one size, read when asked for; memory holds one frame at a time.

    Attributes:
        path: the folder or file.
        names: one name a frame, in order; masks are called `<name>.png`.
        size_hw: height and width of every frame.
        fps: frames a second, for playing.
    """

    path: Path
    names: tuple[str, ...]
    size_hw: tuple[int, int]
    fps: float

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.names)

    @abstractmethod
    def read(self, index: int) -> ImageRgb:
        """Frame number `index` (0 ≤ index < len) as H×W×3 uint8 RGB.

        Raises:
            InputError: the frame is broken, missing or of another size; the sentence names the file.
        """

    def __iter__(self) -> Iterator[ImageRgb]:
        """Read all frames in order."""
        for index in range(len(self)):
            yield self.read(index)

    @cached_property
    def identity(self) -> str:
        """A digest of the frames' names, their size, and the pixels of the first one.

        It tells clips apart wherever they lie; two clips that begin with the same frame and are of one
        length pass for the same.
        """
        digest = hashlib.sha256(repr((self.names, self.size_hw)).encode())
        digest.update(self.read(0).tobytes())
        return digest.hexdigest()

    def index_of(self, name: str) -> int:
        """Index of the frame called `name`.

        Raises:
            InputError: there is no such frame.
        """
        try:
            return self._positions[name]
        except KeyError:
            stem = Path(name).stem
            close = next(
                (one for one in self.names if one == stem or one.lstrip("0") == stem.lstrip("0")), ""
            )
            hint = f"did you mean '{close}'? Its" if close else "its"
            raise InputError(
                f"{self.path} has no frame '{name}'; {hint} {len(self)} frames are called "
                f"'{self.names[0]}' to '{self.names[-1]}'"
            ) from None

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}


class FolderClip(Clip):
    """The pictures of a folder in natural order (`2.jpg` before `10.jpg`); other files are passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = image_files(path)
        self.names = tuple(file.stem for file in self.files)
        if looks_like_mask(self.files[0]):
            raise InputError(
                f"{path} holds masks (indexed PNGs with the PASCAL VOC palette), expected frames; "
                "give the folder of the pictures themselves"
            )
        self.fps = DEFAULT_FPS
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            same = sorted(file.name for file in self.files if file.stem == twice[0])
            raise InputError(
                f"{path} has several pictures called '{twice[0]}' ({', '.join(same)}), and their masks would "
                "overwrite each other; keep one"
            )
        sizes = [image_size(file) for file in self.files]
        self.size_hw, _ = Counter(sizes).most_common(1)[0]
        for file, size in zip(self.files, sizes, strict=True):
            self._check_size(file, size)

    def read(self, index: int) -> ImageRgb:
        """See `Clip.read`."""
        image_rgb = read_image(self.files[index])
        self._check_size(self.files[index], (image_rgb.shape[0], image_rgb.shape[1]))
        return image_rgb

    def _check_size(self, file: Path, size_hw: tuple[int, int]) -> None:
        if size_hw != self.size_hw:
            raise InputError(
                f"{file} is {size_hw[1]}×{size_hw[0]} pixels, the other frames of the clip are "
                f"{self.size_hw[1]}×{self.size_hw[0]}; all frames of a clip must have one size"
            )


def open_clip(path: Path | str) -> Clip:
    """Open a folder of pictures or a video file as a clip.

    Args:
        path: a folder, or any file that FFmpeg reads.

    Returns:
        The clip; frames are read later, one at a time.

    Raises:
        InputError: nothing is there, the folder has no pictures or pictures of several sizes, or the file
            is no video or is cut off.
    """
    path = Path(path)
    if path.is_dir():
        return FolderClip(path)
    if not path.exists():
        raise InputError(f"there is no clip {path}; expected a folder of pictures or a video file")
    if path.suffix.lower() in pictures.SUFFIXES:
        raise InputError(f"{path} is a single picture; a clip is a folder of pictures or a video file")
    from dextr_vos.video import VideoClip

    return VideoClip(path)


def image_files(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order.

    Raises:
        InputError: there are none.
    """
    # a link that leads nowhere is a missing frame, which reading it will say
    entries = [
        entry
        for entry in folder.iterdir()
        if (entry.is_file() or entry.is_symlink()) and not entry.name.startswith(".")
    ]
    files = [entry for entry in entries if entry.suffix.lower() in pictures.SUFFIXES]
    if not files:
        folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        found = f"{len(entries)} files of other kinds" if entries else "nothing"
        if folders:
            found += f" and the folders {', '.join(folders[:5])}{' …' if len(folders) > 5 else ''}"
        raise InputError(
            f"no pictures in the folder {folder}: found {found}, expected JPEG, PNG, WebP or TIFF files; "
            "give the folder that holds the frames themselves"
        )
    return sorted(files, key=lambda file: natural_key(file.name))


def natural_key(name: str) -> tuple[list[tuple[int, int | str]], str]:
    """Sorting key under which numbers inside names count as numbers: `f2` before `f10`."""
    parts = re.split(r"([0-9]+)", name)
    numbered: list[tuple[int, int | str]] = [
        (0, int(part)) if i % 2 else (1, part.casefold()) for i, part in enumerate(parts) if part
    ]
    return numbered, name  # by name alone where 1.png and 01.png are equal


def parse_frames(text: str, names: Sequence[str], source: Path) -> list[int]:
    """Frame indices from a list like `0,24,last` or `00000,00024`.

    Args:
        text: comma-separated; an item is a frame's name, else its index (negative from the end), `first`,
            `middle` or `last`.
        names: of all frames, in order.
        source: the clip or folder the frames belong to, for the message.

    Returns:
        Ascending indices without repeats.

    Raises:
        InputError: an item names no frame.
    """
    positions = {"first": 0, "middle": len(names) // 2, "last": len(names) - 1}
    positions |= {name: index for index, name in enumerate(names)}
    indices = set()
    for item in (item.strip() for item in text.split(",")):
        if item in positions:
            indices.add(positions[item])
        elif re.fullmatch(r"-?\d+", item) and -len(names) <= int(item) < len(names):
            indices.add(int(item) % len(names))
        else:
            raise InputError(
                f"'{item}' is no frame of {source}: expected an index from 0 to {len(names) - 1}, "
                f"a name ('{names[0]}' to '{names[-1]}'), first, middle or last"
            )
    return sorted(indices)
