"""Masks as the page shows them: annotated, else being made by a run, else of the finished run."""

from collections.abc import Collection, Container, Mapping, Sequence
from pathlib import Path

import numpy as np

from dextr_vos.annotation.annotations import Annotations
from dextr_vos.errors import InputError
from dextr_vos.files import digest_or_empty
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import Labels, read_labels
from dextr_vos.propagation.origins import outdated_frames
from dextr_vos.propagation.suggest import suggest
from dextr_vos.run_files import (
    POOR_IOU,
    Confidence,
    RunPaths,
    frame_confidence,
    keyframe_names,
    read_confidence,
    read_record,
    shot_names,
)
from dextr_vos.web.edits import colour_of
from dextr_vos.web.images import BoundedCache, Images, thumb_size_hw
from dextr_vos.web.layers import grey_png, tinted_png
from dextr_vos.workspace import Workspace

_PNG_BYTES = 32_000_000


class FinishedRun:
    """What a finished run left behind, read again when it changes.

    Args:
        run: its files; they need not exist.
        names: of all frames of the clip.
    """

    def __init__(self, run: RunPaths, names: Sequence[str]) -> None:
        self._run, self._names = run, names
        self._stamp: tuple[int, ...] | None = None
        self._scores: Confidence = {}
        self._by_object: dict[str, list[float | None]] = {}
        self._keyframe_digests: dict[str, str] = {}
        self._cuts: list[int] = []
        self._flashes: list[int] = []
        self._outdated = False
        self._poor: list[int] = []
        self._suggestion: tuple[object, int | None] = (None, None)

    def mask(self, name: str) -> Path:
        """Path of a frame's mask; it need not exist."""
        return self._run.mask(name)

    @property
    def stamp(self) -> tuple[int, ...] | None:
        """Differs when the run does; None where there is no finished run."""
        self._refresh()
        return self._stamp

    @property
    def exists(self) -> bool:
        """Whether there is a finished run; it may have made the masks of some frames only."""
        self._refresh()
        return bool(self._scores)

    def is_complete(self, annotated: Container[str]) -> bool:
        """Whether every frame has a mask, of the run or because it is annotated."""
        return self.exists and all(name in self._scores or name in annotated for name in self._names)

    def is_stale(self, keyframes: Mapping[str, str]) -> bool:
        """Whether another run would change masks.

        Args:
            keyframes: digests of their mask files by name; they may differ from those of the run, whose masks
                may also be of earlier keyframes or settings.
        """
        return self.exists and (self._outdated or self._keyframe_digests != dict(keyframes))

    def confidence(self, listed: Collection[int] | None = None) -> list[float | None] | None:
        """For each frame, the confidence of its least certain object; None where there is no run.

        Args:
            listed: ids of the objects that count, as those of the run that were deleted do not; None: all.
        """
        self._refresh()
        if not self._scores:
            return None

        def least(scores: Mapping[int, float]) -> float:
            return frame_confidence({k: v for k, v in scores.items() if listed is None or k in listed})

        return [least(self._scores[name]) if name in self._scores else None for name in self._names]

    def object_confidence(self) -> dict[str, list[float | None]] | None:
        """For each object, by id, its confidence in each frame; None where there is no run, or no mask."""
        self._refresh()
        return self._by_object if self._scores else None

    @property
    def cuts(self) -> list[int]:
        """Indices of the first frames of new shots."""
        self._refresh()
        return self._cuts

    @property
    def flashes(self) -> list[int]:
        """Indices of frames that interrupt a shot, in which nothing is tracked."""
        self._refresh()
        return self._flashes

    @property
    def poor(self) -> list[int]:
        """Ids of objects whose keyframes' masks the network does not reproduce."""
        self._refresh()
        return self._poor

    def suggested(self, keyframes: Collection[int]) -> int | None:
        """Index of the frame whose annotation would help most in addition to these keyframes, or None."""
        scores = self.confidence()
        if scores is None or not keyframes or len(keyframes) >= len(scores):
            return None
        key = (self._stamp, tuple(sorted(keyframes)))
        if self._suggestion[0] != key:
            doubts = [0.0 if score is None else 1 - score for score in scores]
            best = suggest(doubts, keyframes, cuts=self._cuts, flashes=self._flashes)
            self._suggestion = (key, best[0] if best else None)
        return self._suggestion[1]

    def _refresh(self) -> None:
        record, confidence = self._run.record, self._run.confidence
        try:
            files = [record.stat(), confidence.stat()]
        except OSError:
            self._stamp, self._scores, self._keyframe_digests = None, {}, {}
            self._cuts, self._flashes, self._outdated, self._poor = [], [], False, []
            return
        stamp = tuple(value for file in files for value in (file.st_mtime_ns, file.st_size))
        if stamp == self._stamp:
            return
        try:
            self._scores = read_confidence(confidence)
            self._keyframe_digests = {n: digest_or_empty(self.mask(n)) for n in keyframe_names(record)}
            cuts, flashes = set(shot_names(record, "cuts")), set(shot_names(record, "flashes"))
            self._cuts = [index for index, name in enumerate(self._names) if name in cuts]
            self._flashes = [index for index, name in enumerate(self._names) if name in flashes]
        except InputError:
            self._scores, self._keyframe_digests, self._cuts, self._flashes = {}, {}, [], []
        try:
            run = read_record(record)
            self._outdated = bool(outdated_frames(run, self._names, self._scores))
            self._poor = [each for each, iou in run.training.keyframe_iou.items() if iou < POOR_IOU]
        except InputError:
            self._outdated, self._poor = False, []  # written by something else, which does not say
        self._by_object = {
            str(each): [self._scores.get(name, {}).get(each) for name in self._names]
            for each in sorted({each for of_frame in self._scores.values() for each in of_frame})
        }
        self._stamp = stamp


class RunMasks:
    """Masks of frames that nobody annotated.

    Args:
        run: the files of the run; None where nothing is ever propagated.
        names: of all frames of the clip.
    """

    def __init__(self, run: RunPaths | None, names: Sequence[str]) -> None:
        self.finished = None if run is None else FinishedRun(run, names)
        self._in_progress: dict[str, Path] = {}

    def add_in_progress(self, name: str, path: Path) -> None:
        """A run in progress has just made the mask of a frame."""
        self._in_progress[name] = path

    def clear_in_progress(self) -> None:
        """The run in progress has ended: its masks are those of the finished run now, or of no use."""
        self._in_progress = {}

    def find(self, name: str) -> tuple[str, Path] | None:
        """Source ("made" or "run") and path of a frame's mask, or None."""
        made = self._in_progress.get(name)
        if made is not None and made.exists():
            return "made", made
        if self.finished is not None and self.finished.mask(name).exists():
            return "run", self.finished.mask(name)
        return None

    def labels(self, name: str, size_hw: tuple[int, int]) -> Labels | None:
        """The mask of a frame, H×W uint8; None where there is none, or it cannot be read at the moment."""
        found = self.find(name)
        try:
            return None if found is None else read_labels(found[1], size_hw)
        except InputError:
            return None


class FrameMasks:
    """The best mask of each frame, encoded for the page; recently encoded ones are cached.

    Args:
        workspace: holds the masks of annotated frames.
        images: what is annotated.
        run: masks of the other frames.
    """

    def __init__(self, workspace: Workspace, images: Images, run: RunMasks) -> None:
        self._workspace, self._images, self.run = workspace, images, run
        self._cache: BoundedCache[bytes] = BoundedCache(_PNG_BYTES, len)

    def png(self, document: Annotations, index: int) -> tuple[str, bytes] | None:
        """Source and PNG of 8 bits of a frame's labels, or None.

        The source is "keyframe", "correction", "made" by a run in progress, or "run".
        """
        found = self._find(document, index)
        if found is None:
            return None
        source, path = found
        key = _key(path, document)
        content = self._cache.get(key)
        if content is None:
            labels = self._read(document, index, path)
            if labels is None:
                return None
            content = self._cache.put(key, grey_png(labels))
        return source, content

    def object_png(self, document: Annotations, index: int, object_id: int) -> tuple[str, bytes] | None:
        """Source and grey PNG, 0 and 255, of one object in a frame; None where it has no mask there."""
        found = self._find(document, index)
        labels = None if found is None else self._read(document, index, found[1])
        if found is None or labels is None or not (labels == object_id).any():
            return None
        return found[0], grey_png(np.where(labels == object_id, 255, 0).astype(np.uint8))

    def thumb_png(self, document: Annotations, index: int) -> bytes | None:
        """The visible objects of a frame in their colours, to be laid over its thumbnail; None: no mask."""
        found = self._find(document, index)
        if found is None:
            return None
        colours = {entry.id: colour_of(entry) for entry in document.objects if entry.visible}
        key = ("thumb", _key(found[1], document), tuple(colours.items()))
        content = self._cache.get(key)
        if content is None:
            labels = self._read(document, index, found[1])
            if labels is None:
                return None
            content = self._cache.put(key, tinted_png(labels, thumb_size_hw(labels.shape), colours))
        return content

    def labels(self, document: Annotations, index: int) -> Labels | None:
        """The labels of a frame, H×W uint8, or None."""
        found = self._find(document, index)
        return None if found is None else self._read(document, index, found[1])

    def of_object(self, document: Annotations, index: int, object_id: int) -> BoolArray:
        """An object's mask in a frame as it is shown, H×W bool; all False where it has none."""
        labels = self.labels(document, index)
        if labels is None:
            return np.zeros(self._images.size_hw(index), dtype=bool)
        return np.asarray(labels == object_id)

    def remember(self, document: Annotations, path: Path, png: bytes) -> None:
        """Take over a mask that has just been written, so that it need not be read back to be sent.

        Args:
            document: of which it is a keyframe's mask.
            path: of the mask.
            png: what was written: labels of 8 bits.
        """
        self._cache.put(_key(path, document), png)

    def clear(self) -> None:
        """Forget the encoded masks; they are made again when they are asked for."""
        self._cache.clear()

    def replaced_png(self, document: Annotations, index: int) -> bytes | None:
        """PNG of 8 bits of the labels that a frame had before the last run, or None."""
        path = self._workspace.replaced_masks / f"{self._images.names[index]}.png"
        labels = self._read(document, index, path) if path.exists() else None
        return None if labels is None else grey_png(labels)

    def _find(self, document: Annotations, index: int) -> tuple[str, Path] | None:
        name = self._images.names[index]
        if name in document.keyframes:
            path = self._workspace.keyframe(name)
            return ("keyframe", path) if path.exists() else None
        if name in document.corrections:
            path = self._workspace.correction(name)
            return ("correction", path) if path.exists() else None
        return self.run.find(name)

    def _read(self, document: Annotations, index: int, path: Path) -> Labels | None:
        try:
            labels = read_labels(path, self._images.size_hw(index))
        except InputError:
            return None  # it is just being replaced, or damaged; there is nothing to show then
        listed = [entry.id for entry in document.objects]
        labels[~np.isin(labels, listed)] = 0  # an object that was deleted since
        return labels


def _key(path: Path, document: Annotations) -> tuple[object, ...]:
    """What the content of a mask as it is shown depends on."""
    try:
        file = path.stat()
    except OSError:
        return (path, None)
    listed = frozenset(entry.id for entry in document.objects)
    return (path, file.st_mtime_ns, file.st_size, file.st_ino, listed)
