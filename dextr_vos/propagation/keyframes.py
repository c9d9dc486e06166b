"""Keyframes: the frames of a clip whose masks are known, and the spans of frames between them."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.files import file_digest, files_state
from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.mask_file import MASK_SUFFIXES, mask_files
from dextr_vos.masks import VOID, Labels, check_labels, object_ids, read_labels
from dextr_vos.workspace import Workspace

if TYPE_CHECKING:
    from dextr_vos.propagation.shots import Shots, StreamedShots

# Below this there is nothing to learn, and OpenCV's mirrored borders never end on a single row.
SHORTEST_SIDE = 16
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

    Attributes:
        on_read: called with frames done and in all while every frame is read; what it raises ends that.
    """

    def __init__(self, clip: Clip, keyframes: Sequence[Keyframe]) -> None:
        self.clip = clip
        self.keyframes = {keyframe.index: keyframe for keyframe in keyframes}
        self.object_ids = sorted({each for keyframe in keyframes for each in object_ids(keyframe.labels)})
        self._read = lru_cache(_FRAMES_IN_MEMORY)(self._read_new)
        self.on_read: Callable[[int, int], None] = lambda done, total: None

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the frames, in pixels."""
        return self.clip.size_hw

    @cached_property
    def shots(self) -> "Shots | StreamedShots":
        """Where the shots of the clip begin; may be set where it is known, or where frames are streamed."""
        from dextr_vos.propagation.shots import find_shots

        return find_shots(self.read, len(self), self.on_read)

    @cached_property
    def files_state(self) -> str:
        """Names, sizes and times of the clip's files, see `dextr_vos.files.files_state`."""
        return files_state(self.clip.files)

    @cached_property
    def frames_digest(self) -> str:
        """A digest of all frames: of their files, or of their pixels; may be set where it is known.

        Raises:
            InputError: a file is missing.
        """
        files = self.clip.files
        digests = []
        for each in map(file_digest, files) if files else map(_pixels_digest, self.clip):
            digests.append(each)
            self.on_read(len(digests), len(files) or len(self))
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()

    def read(self, index: int) -> ImageRgb:
        """A frame, H×W×3 uint8 RGB, read-only: frames read lately are still in memory.

        Raises:
            InputError: the frame cannot be read.
        """
        return self._read(index)

    def _read_new(self, index: int) -> ImageRgb:
        frame = self.clip.read(index)
        frame.flags.writeable = False
        return frame

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


def keyframes_from_labels(labels: Mapping[int, npt.ArrayLike], clip: Clip) -> list[Keyframe]:
    """Keyframes from masks in memory, which are copied.

    Args:
        labels: H×W integers or bool by frame index; 0 background, object ids, 255 void. Negative indices
            count from the end.
        clip: the clip they belong to.

    Raises:
        InputError: no mask, an index outside the clip, another shape or type, or no object in any mask.
    """
    if not isinstance(labels, Mapping):
        raise InputError(f"expected keyframes as {{frame index: H×W labels}}, got {type(labels).__name__}")
    if not labels:
        raise InputError("expected at least one keyframe as {frame index: H×W labels}, got none")
    keyframes = [_checked(index, values, clip) for index, values in labels.items()]
    if len({keyframe.index for keyframe in keyframes}) < len(keyframes):
        raise InputError(f"expected one mask per frame, got two of one: indices {sorted(labels)}")
    if not any(object_ids(keyframe.labels) for keyframe in keyframes):
        raise InputError(_without_objects(keyframes))
    return sorted(keyframes, key=lambda keyframe: keyframe.index)


def read_keyframes(source: Path, clip: Clip) -> list[Keyframe]:
    """Read every keyframe mask of a workspace, or of any folder of masks named like their frames.

    Args:
        source: a workspace (its `keyframes/` is read) or a folder of masks; see `read_labels`.
        clip: the clip they belong to.

    Returns:
        Keyframes by frame order, at least one, with at least one object among them.

    Raises:
        InputError: no masks, a mask that fits no frame or has another size, two masks of one frame, or no
            object in any.
    """
    folder = keyframe_folder(source)
    if source.is_file() and source.suffix.lower() in MASK_SUFFIXES:
        raise InputError(f"the keyframe mask {source} is a file; give its folder {source.parent}")
    if not folder.is_dir():
        raise InputError(
            f"there are no keyframes {source}; expected a workspace (made by "
            "dextr-vos annotate) or a folder of mask PNGs"
        )
    files = list(mask_files(folder).values())
    if not files:
        raise InputError(
            f"the folder {folder} holds no mask PNGs, nor masks of another lossless format; expected files "
            f"named like the frames of {clip.path}, such as {clip.names[0]}.png"
        )
    keyframes = [_read_one(file, clip) for file in files]
    if not any(object_ids(keyframe.labels) for keyframe in keyframes):
        raise InputError(f"every mask of {folder} is empty; mark an object in at least one")
    return sorted(keyframes, key=lambda keyframe: keyframe.index)


def keyframe_folder(source: Path) -> Path:
    """Where the masks of a workspace, or of a folder of masks, lie."""
    keyframes = Workspace(source).keyframes
    return keyframes if keyframes.is_dir() else source


def _read_one(file: Path, clip: Clip) -> Keyframe:
    try:
        index = clip.index_of(file.stem)
    except InputError as error:
        raise InputError(f"the mask {file} belongs to no frame: {error}") from None
    return Keyframe(index, clip.names[index], read_labels(file, clip.size_hw), file)


def _pixels_digest(image_rgb: ImageRgb) -> str:
    return hashlib.sha256(np.ascontiguousarray(image_rgb).tobytes()).hexdigest()


def _without_objects(keyframes: Sequence[Keyframe]) -> str:
    if any((keyframe.labels == VOID).any() for keyframe in keyframes):
        return (
            "the keyframe masks hold no object but 255, which is void; read mask files with read_labels, or "
            "give mask > 0"
        )
    return "the keyframe masks are all empty; mark an object in at least one"


def _checked(index: int, labels: npt.ArrayLike, clip: Clip) -> Keyframe:
    count = len(clip)
    if isinstance(index, bool) or not isinstance(index, int | np.integer) or not -count <= index < count:
        raise InputError(
            f"expected keyframe indices from 0 to {count - 1}, or from -{count} to -1, got {index!r}"
        )
    checked = check_labels(labels, f"the mask of frame {index}")
    if checked.shape != clip.size_hw:
        raise InputError(
            f"expected the mask of frame {index} with the frame's shape {clip.size_hw}, got {checked.shape}"
        )
    place = int(index) % count
    return Keyframe(place, clip.names[place], np.array(checked, order="C"))


OnFrameDone = Callable[[], None]
Direction = Literal["both", "forward", "backward"]


@dataclass(frozen=True)
class Span:
    """Consecutive frames without a keyframe among them, at least one.

    Attributes:
        first: index of the first frame.
        last: index of the last frame.
        before: index of the keyframe just before, None at the beginning of a shot.
        after: index of the keyframe just after, None at the end; a shot without keyframes has neither.
    """

    first: int
    last: int
    before: int | None
    after: int | None

    def share_after(self, index: int) -> float:
        """Weight of the keyframe after at a frame, from 0 to 1, by the distance in time."""
        if self.before is None:
            return 1.0
        if self.after is None:
            return 0.0
        return (index - self.before) / (self.after - self.before)


def spans_between(
    keyframes: Iterable[int], count: int, direction: Direction = "both", cuts: Iterable[int] = ()
) -> list[Span]:
    """The spans of a clip, in order; every frame is a keyframe or in one of them.

    Args:
        keyframes: their indices.
        count: frames of the clip.
        direction: with "forward", spans have no keyframe after them, and frames before the first keyframe of
            a shot are in no span; "backward" likewise.
        cuts: indices of the first frames of new shots, in which spans have keyframes of their own.
    """
    fixed, spans = sorted(keyframes), []
    for start, stop in pairwise([0, *sorted(cuts), count]):
        edges: list[int | None] = [None, *(index for index in fixed if start <= index < stop), None]
        for before, after in pairwise(edges):
            first = start if before is None else before + 1
            last = stop - 1 if after is None else after - 1
            if (direction == "forward" and before is None) or (direction == "backward" and after is None):
                continue
            if direction == "forward":
                after = None
            elif direction == "backward":
                before = None
            if first <= last:
                spans.append(Span(first, last, before, after))
    return spans


@dataclass(frozen=True)
class SpanPart:
    """The part of a span that is wanted.

    Attributes:
        span: which.
        begin: index of the first frame wanted.
        end: index of the last frame wanted.
    """

    span: Span
    begin: int
    end: int


def wanted_parts(spans: Iterable[Span], wanted: Collection[int]) -> list[SpanPart]:
    """The parts of spans from the first to the last frame wanted in each; spans without one are left out."""
    parts = []
    for span in spans:
        found = [index for index in range(span.first, span.last + 1) if index in wanted]
        if found:
            parts.append(SpanPart(span, found[0], found[-1]))
    return parts


@dataclass(frozen=True)
class FramePrediction:
    """Soft masks of a frame.

    Attributes:
        index: of the frame in the clip.
        image_rgb: H×W×3 uint8, at full size.
        probs: K×h×w float32 in [0, 1], at the size at which masks are propagated.
        agreement: K float32 in [0, 1]: soft IoU of the two passes with their mean, 1 where there is only one,
            times the share of each mask that the object's motion explains, see `explained_share`.
        iou_estimate: K float32 in [0, 1], the network's estimate of each mask's IoU; None where it has none.
    """

    index: int
    image_rgb: ImageRgb
    probs: FloatArray
    agreement: FloatArray
    iou_estimate: FloatArray | None = None
