"""A clip: the frames of a folder of images, of a video file, or in memory, read one at a time."""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from operator import index as as_index
from pathlib import Path
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from dextr_vos.errors import InputError, counted
from dextr_vos.files import check_unicode
from dextr_vos.images import (
    ANIMATION_SUFFIXES,
    SUFFIXES,
    ImageRgb,
    check_image,
    frames_among,
    image_files,
    read_header,
    read_image,
    read_levels,
)
from dextr_vos.mask_file import plain_name
from dextr_vos.masks import looks_like_mask
from dextr_vos.not_a_clip import nothing_there, one_image
from dextr_vos.pixel_levels import range_in_use

DEFAULT_FPS = 24.0  # of a clip without a frame rate of its own; DAVIS was filmed at 24


class Clip(ABC):
    """Frames with names, all of one size, in order; see `open_clip`.

    A clip behaves like a sequence: `len(clip)` frames, `clip[i]` reads one as H×W×3 uint8 RGB (negative
    indices count from the end), `clip[a:b]` is a shorter clip, and iteration reads frame by frame. Frames
    are read when they are asked for, so that memory holds one at a time. A clip of a video file
    keeps the file open until `close`, or the end of a `with` block; others have nothing to close.

    Attributes:
        path: the folder or file; a placeholder for frames in memory.
        names: the name of each frame, in order, in composed Unicode (NFC); masks are called `<name>.png`.
        size_hw: height and width of every frame, in pixels.
        fps: frames per second, for playing.
        files: those that hold the frames; none for frames in memory.
    """

    path: Path
    names: tuple[str, ...]
    size_hw: tuple[int, int]
    fps: float
    files: Sequence[Path] = ()

    def __repr__(self) -> str:
        frames, kind = counted(len(self), "frame"), type(self).__name__.lstrip("_")
        return f"<{kind} {self.path}: {frames} of {self.size_hw[1]}×{self.size_hw[0]} pixels>"

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.names)

    @abstractmethod
    def read(self, index: int) -> ImageRgb:
        """Frame `index`, 0 ≤ index < len, as H×W×3 uint8 RGB; a new array, or a view that is read-only.

        Raises:
            InputError: the frame is broken, missing or of another size; the message names the file.
        """

    def close(self) -> None:  # noqa: B027 - few clips hold anything
        """Close the clip's file, if it has one; no frame can be read afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @overload
    def __getitem__(self, index: int) -> ImageRgb: ...
    @overload
    def __getitem__(self, index: slice) -> "Clip": ...
    def __getitem__(self, index: int | slice) -> "ImageRgb | Clip":
        """A frame, or a clip of the frames in a slice.

        Raises:
            IndexError: there is no such frame, or the slice is empty.
            InputError: see `read`.
        """
        if isinstance(index, slice):
            return _PartOfClip(self, range(len(self))[index])
        position = as_index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"frame {position} of {self.path}, which has {len(self)} frames")
        return self.read(position % len(self))

    def __iter__(self) -> Iterator[ImageRgb]:
        """Read all frames in order."""
        for index in range(len(self)):
            yield self.read(index)

    @cached_property
    def identity(self) -> str:
        """A digest of the frames' names, their size, and the pixels of the first one.

        It identifies a clip wherever its files are; two clips of equal length that start with the same frame
        are taken for the same.
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
            return self._positions[plain_name(name)]
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
        return {plain_name(name): index for index, name in enumerate(self.names)}


class FolderClip(Clip):
    """The images of a folder in natural order (`2.jpg` before `10.jpg`).

    Other files are ignored; those that look like images are named in a warning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = image_files(path)
        self.names = tuple(plain_name(file.stem) for file in self.files)
        if looks_like_mask(self.files[0]):
            raise InputError(
                f"{path} holds masks (indexed PNGs with the PASCAL VOC palette), expected frames; "
                "give the folder of the images themselves"
            )
        self.fps = DEFAULT_FPS
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            same = sorted(file.name for file in self.files if plain_name(file.stem) == twice[0])
            raise InputError(
                f"{path} has several images called '{twice[0]}' ({', '.join(same)}), and their masks would "
                "overwrite each other; keep one"
            )
        headers = {file: read_header(file) for file in self.files}
        self.size_hw, _ = Counter(header.size_hw for header in headers.values()).most_common(1)[0]
        for file, header in headers.items():
            self._check_size(file, header.size_hw)
            if len(header.pages) > 1:
                raise InputError(
                    f"{file} holds {len(header.pages)} images, of which a folder shows the first; give that "
                    "file itself as the clip, or save its images one by one"
                )
        deep = [file for file, header in headers.items() if header.deep]
        self._used = range_in_use(path, map(read_levels, deep)) if deep else None

    def read(self, index: int) -> ImageRgb:
        """See `Clip.read`."""
        return self.read_file(self.files[index])

    def read_file(self, file: Path) -> ImageRgb:
        """One of `files`, as H×W×3 uint8 RGB; 16-bit values are made 8 bits for all frames alike.

        Raises:
            InputError: it cannot be read, or has another size by now.
        """
        image_rgb = read_image(file, self._used)
        self._check_size(file, (image_rgb.shape[0], image_rgb.shape[1]))
        return image_rgb

    def _check_size(self, file: Path, size_hw: tuple[int, int]) -> None:
        if size_hw != self.size_hw:
            raise InputError(
                f"{file} is {size_hw[1]}×{size_hw[0]} pixels, the other frames of the clip are "
                f"{self.size_hw[1]}×{self.size_hw[0]}; all frames of a clip must have one size"
            )


class ArrayClip(Clip):
    """Frames in memory, named `00000`, `00001` and so on."""

    def __init__(self, frames: Sequence[npt.ArrayLike] | npt.NDArray[np.uint8]) -> None:
        self.path = Path("<frames in memory>")
        if isinstance(frames, np.ndarray) and frames.ndim != 4:
            raise InputError(
                f"expected frames as an N×H×W×3 array or a sequence of H×W×3 arrays, got shape {frames.shape}"
            )
        if not len(frames):
            raise InputError("expected at least one frame, got none")
        self._frames = [check_image(frame, f"frame {number}") for number, frame in enumerate(frames)]
        self.size_hw = self._frames[0].shape[0], self._frames[0].shape[1]
        for number, frame in enumerate(self._frames):
            if frame.shape[:2] != self.size_hw:
                raise InputError(
                    f"frame {number} is {frame.shape[1]}×{frame.shape[0]} pixels, the first is "
                    f"{self.size_hw[1]}×{self.size_hw[0]}; all frames of a clip must have one size"
                )
        self.names = frame_numbers(len(self._frames))
        self.fps = DEFAULT_FPS

    def read(self, index: int) -> ImageRgb:
        """See `Clip.read`; the frame is read-only, since its memory is that of the caller's frames."""
        frame = self._frames[index][:]
        frame.flags.writeable = False
        return frame


class _PartOfClip(Clip):
    """Some frames of a clip, in any order, with their names."""

    def __init__(self, clip: Clip, indices: range) -> None:
        if not indices:
            raise IndexError(f"no frames in this slice of {clip.path}, which has {len(clip)} frames")
        self._clip, self._indices = clip, indices
        self.path, self.size_hw, self.fps, self.files = clip.path, clip.size_hw, clip.fps, clip.files
        self.names = tuple(clip.names[index] for index in indices)

    def read(self, index: int) -> ImageRgb:
        """See `Clip.read`."""
        return self._clip.read(self._indices[index])

    def close(self) -> None:
        """Close the clip that this is a part of."""
        self._clip.close()


def frame_numbers(count: int) -> tuple[str, ...]:
    """Names of `count` frames that have none: `00000`, `00001`, …, wide enough to sort as text."""
    digits = max(5, len(str(count - 1)))
    return tuple(f"{index:0{digits}d}" for index in range(count))


ClipSource = str | Path | Clip | Sequence[npt.ArrayLike] | npt.NDArray[np.uint8]
"""What `open_clip` takes: a folder, a video file, frames in memory, or an open clip."""


def open_clip(source: ClipSource) -> Clip:
    """Open a clip.

    Args:
        source: a folder of images; a video file, any that FFmpeg reads; a multi-page TIFF, or an animated
            WebP, PNG, GIF or AVIF, or a folder with one of these alone; frames in memory, as an N×H×W×3 uint8
            array or a sequence of H×W×3 uint8 arrays, RGB; or an open clip, which is returned.

    Returns:
        The clip. Frames of files are read later, one at a time.

    Raises:
        InputError: nothing is there, the folder has no images or images of several sizes, the file is no
            video or is cut off, or the frames in memory are not images of one size.

    Examples:
        >>> import numpy as np
        >>> clip = open_clip(np.zeros((6, 48, 64, 3), np.uint8))
        >>> len(clip), clip.size_hw, clip.names[-1], clip[-1].shape
        (6, (48, 64), '00005', (48, 64, 3))
        >>> clip[2:4].names
        ('00002', '00003')
    """
    if isinstance(source, Clip):
        return source
    if not isinstance(source, str | Path):
        if not isinstance(source, Sequence | np.ndarray):
            raise InputError(
                "expected a clip as a folder, a video file, or a sequence of frames, got "
                f"{type(source).__name__}"
            )
        return ArrayClip(source)
    path = Path(source)
    check_unicode(path)
    if not path.exists():
        raise InputError(nothing_there(path))
    path = _only_animation(path) or path
    files = image_files(path) if path.is_dir() else [path]
    if len(files) == 1 and files[0].suffix.lower() in SUFFIXES and len(read_header(files[0]).pages) > 1:
        return _open_stack(files[0])
    if path.is_dir():
        return FolderClip(path)
    if path.suffix.lower() in SUFFIXES:
        raise InputError(one_image(path))
    from dextr_vos.video.video_clip import VideoClip

    return VideoClip(path)


def is_clip_folder(path: Path) -> bool:
    """Whether a folder holds frames that `open_clip` would open; their files are not read.

    Raises:
        OSError: it cannot be listed.
    """
    return bool(frames_among(entry.name for entry in path.iterdir() if entry.is_file())) or (
        _only_animation(path) is not None
    )


def _only_animation(path: Path) -> Path | None:
    """The animated GIF or PNG that is the one visible file of a folder."""
    if not path.is_dir():
        return None
    files = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    alone = len(files) == 1 and files[0].suffix.lower() in ANIMATION_SUFFIXES and files[0].is_file()
    return files[0] if alone else None


def _open_stack(path: Path) -> Clip:
    """A file with several images as a clip."""
    if path.suffix.lower() == ".png":  # FFmpeg decodes these in any order, Pillow only forward
        from dextr_vos.video.video_clip import VideoClip

        return VideoClip(path)
    from dextr_vos.image_stack import StackClip

    return StackClip(path)
