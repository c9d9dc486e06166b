"""Keyframes: the frames of a clip whose masks are known."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from dextr_vos.clip import Clip, natural_key
from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb
from dextr_vos.masks import Labels, object_ids, read_labels
from dextr_vos.workspace import Workspace

_FRAMES_IN_MEMORY = 6  # keyframes are read by training, checks and propagation in turn


@dataclass(frozen=True)
class Keyframe:
    """One annotated frame.

    Attributes:
        index: its index in the clip.
        name: the frame's name.
        labels: H×W uint8, object ids and 255 for void pixels.
        path: the mask file, which is copied unchanged into the result; None for a mask in memory.
    """

    index: int
    name: str
    labels: Labels
    path: Path | None = None

    def digest_into(self, digest: "hashlib._Hash") -> None:
        """Feed name and mask to a digest: the bytes of the file, or those of the labels."""
        digest.update(f"{self.name};".encode())
        content = self.path.read_bytes() if self.path else np.ascontiguousarray(self.labels).tobytes()
        digest.update(content)


class AnnotatedClip:
    """A clip with the masks of some of its frames.

    Args:
        clip: the frames.
        keyframes: at least one, with at least one object among them.
    """

    def __init__(self, clip: Clip, keyframes: Sequence[Keyframe]) -> None:
        self.clip = clip
        self.keyframes = {keyframe.index: keyframe for keyframe in keyframes}
        self.object_ids = sorted({each for keyframe in keyframes for each in object_ids(keyframe.labels)})
        self._read = lru_cache(_FRAMES_IN_MEMORY)(clip.read)

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the frames, in pixels."""
        return self.clip.size_hw

    def read(self, index: int) -> ImageRgb:
        """A frame, H×W×3 uint8 RGB; frames read lately are still in memory, so do not change it.

        Raises:
            InputError: the frame cannot be read.
        """
        return self._read(index)

    def some_keyframes(self, at_most: int) -> list[Keyframe]:
        """Every n-th keyframe, so that there are at most that many."""
        keyframes = list(self.keyframes.values())
        return keyframes[:: -(-len(keyframes) // at_most)]

    @cached_property
    def mask_digest(self) -> str:
        """A digest that changes with any mask file or frame name."""
        digest = hashlib.sha256()
        for keyframe in self.keyframes.values():
            keyframe.digest_into(digest)
        return digest.hexdigest()

    @cached_property
    def digests(self) -> dict[str, str]:
        """A digest of each keyframe's mask and image, by its name."""
        return {
            keyframe.name: hashlib.sha256(
                np.ascontiguousarray(keyframe.labels).tobytes() + self.read(keyframe.index).tobytes()
            ).hexdigest()
            for keyframe in self.keyframes.values()
        }


def keyframes_from_labels(labels: Mapping[int, Labels], clip: Clip) -> list[Keyframe]:
    """Keyframes from masks in memory.

    Args:
        labels: H×W uint8 by frame index; 0 background, object ids, 255 void. Negative indices count from
            the end.
        clip: the clip they belong to.

    Raises:
        InputError: no mask, an index outside the clip, another shape or type, or no object in any mask.
    """
    if not labels:
        raise InputError("expected at least one keyframe as {frame index: H×W uint8 labels}, got none")
    keyframes = [_checked(index, values, clip) for index, values in sorted(labels.items())]
    if len({keyframe.index for keyframe in keyframes}) < len(keyframes):
        raise InputError(f"expected one mask a frame, got two of one: indices {sorted(labels)}")
    if not any(object_ids(keyframe.labels) for keyframe in keyframes):
        raise InputError(f"all {len(keyframes)} keyframe masks are empty; mark an object in at least one")
    return sorted(keyframes, key=lambda keyframe: keyframe.index)


def read_keyframes(source: Path, clip: Clip) -> list[Keyframe]:
    """Read every keyframe mask of a workspace, or of any folder of PNGs named like their frames.

    Args:
        source: a workspace (its `keyframes/` is read) or a folder of masks, {0, 255} or indexed.
        clip: the clip they belong to.

    Returns:
        Keyframes by frame order, at least one, with at least one object among them.

    Raises:
        InputError: no masks, a mask that fits no frame or has another size, two masks of one frame, or no
            object in any.
    """
    folder = keyframe_folder(source)
    if not folder.is_dir():
        raise InputError(
            f"there are no keyframes {source}; expected a workspace (made by "
            "dextr-vos annotate) or a folder of mask PNGs"
        )
    files = sorted(
        (file for file in folder.iterdir() if file.suffix.lower() == ".png" and file.name[0] != "."),
        key=lambda file: natural_key(file.name),
    )
    if not files:
        raise InputError(
            f"the folder {folder} holds no mask PNGs; expected files named like the frames of {clip.path}, "
            f"such as {clip.names[0]}.png"
        )
    keyframes = [_read_one(file, clip) for file in files]
    if not any(object_ids(keyframe.labels) for keyframe in keyframes):
        raise InputError(f"all {len(keyframes)} masks of {folder} are empty; mark an object in at least one")
    keyframes.sort(key=lambda keyframe: keyframe.index)
    for one, other in pairwise(keyframes):
        if one.index == other.index:
            raise InputError(
                f"{folder} holds two masks of the frame '{one.name}', "
                f"{_file(one)} and {_file(other)}; keep one"
            )
    return keyframes


def keyframe_folder(source: Path) -> Path:
    """Where the masks of a workspace, or of a folder of masks, lie."""
    keyframes = Workspace(source).keyframes
    return keyframes if keyframes.is_dir() else source


def _read_one(file: Path, clip: Clip) -> Keyframe:
    try:
        index = clip.index_of(file.stem)
    except InputError as error:
        raise InputError(f"the mask {file} belongs to no frame: {error}") from None
    return Keyframe(index, file.stem, read_labels(file, clip.size_hw), file)


def _file(keyframe: Keyframe) -> str:
    return keyframe.path.name if keyframe.path else f"frame {keyframe.index}"


def _checked(index: int, labels: Labels, clip: Clip) -> Keyframe:
    count = len(clip)
    if isinstance(index, bool) or not isinstance(index, int | np.integer) or not -count <= index < count:
        raise InputError(
            f"expected keyframe indices from 0 to {count - 1}, or from -{count} to -1, got {index!r}"
        )
    if not isinstance(labels, np.ndarray) or labels.dtype not in (np.uint8, np.bool_):
        kind = labels.dtype if isinstance(labels, np.ndarray) else type(labels).__name__
        raise InputError(f"expected the mask of frame {index} as an H×W uint8 or bool array, got {kind}")
    if labels.shape != clip.size_hw:
        raise InputError(
            f"expected the mask of frame {index} with the frame's shape {clip.size_hw}, got {labels.shape}"
        )
    place = int(index) % count
    return Keyframe(place, clip.names[place], np.ascontiguousarray(labels, dtype=np.uint8))
