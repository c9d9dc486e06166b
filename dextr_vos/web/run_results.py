"""The run in a workspace, looked at from outside: masks, how far they can be trusted, what to correct next.

Nothing here needs PyTorch, so that the page is there at once.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from dextr_vos.errors import InputError
from dextr_vos.masks import Labels, read_labels
from dextr_vos.propagation.suggest import suggest
from dextr_vos.run_files import Confidence, keyframe_names, read_confidence


class FinishedRun:
    """What a finished run left, read anew when it changes.

    Args:
        path: the run's folder; need not be there.
        names: of all frames.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self._names = path, names
        self._read: tuple[int, ...] | None = None
        self._scores: Confidence = {}
        self._digests: dict[str, str] = {}
        self._suggested: tuple[object, int | None] = (None, None)

    def mask(self, name: str) -> Path:
        """Where a frame's mask is when there is one."""
        return self.path / "masks" / f"{name}.png"

    @property
    def done(self) -> bool:
        """Whether there is a finished run."""
        self._refresh()
        return bool(self._scores)

    def is_stale(self, keyframes: Mapping[str, str]) -> bool:
        """Whether the keyframes, given by digests of their files, are others than the run's."""
        self._refresh()
        return self._digests != dict(keyframes)

    def confidence(self) -> list[float | None] | None:
        """Of each frame, that of its least sure object; None where there is no run."""
        self._refresh()
        if not self._scores:
            return None
        return [
            min(self._scores[name].values(), default=1.0) if name in self._scores else None
            for name in self._names
        ]

    def suggested(self, keyframes: Collection[int]) -> int | None:
        """The frame whose annotation would help most, beside these keyframes."""
        scores = self.confidence()
        if scores is None or not keyframes or len(keyframes) >= len(scores):
            return None
        key = (self._read, tuple(sorted(keyframes)))
        if self._suggested[0] != key:
            doubts = [0.0 if score is None else 1 - score for score in scores]
            best = suggest(doubts, keyframes)
            self._suggested = (key, best[0] if best else None)
        return self._suggested[1]

    def _refresh(self) -> None:
        record, scores = self.path / "run.json", self.path / "confidence.json"
        try:
            told = [record.stat(), scores.stat()]
        except OSError:
            self._read, self._scores, self._digests = None, {}, {}
            return
        read = tuple(value for each in told for value in (each.st_mtime_ns, each.st_size))
        if read == self._read:
            return
        try:
            self._scores = read_confidence(scores)
            self._digests = {name: file_digest(self.mask(name)) for name in keyframe_names(record)}
        except InputError:
            self._scores, self._digests = {}, {}
        self._read = read


def file_digest(path: Path) -> str:
    """A digest of a file's bytes; "" where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


class RunMasks:
    """Where the mask of a frame that nobody annotated comes from.

    Args:
        path: the run's folder; None where nothing is ever propagated.
        names: of all frames.
    """

    def __init__(self, path: Path | None, names: Sequence[str]) -> None:
        self.finished = None if path is None else FinishedRun(path, names)
        self._made: dict[str, Path] = {}

    def made(self, name: str, path: Path) -> None:
        """A mask has just been made."""
        self._made[name] = path

    def forget_made(self) -> None:
        """Those being made are of no use any more, or have become the run's."""
        self._made = {}

    def find(self, name: str) -> tuple[str, Path] | None:
        """Source ("made" or "run") and file of a frame's mask."""
        made = self._made.get(name)
        if made is not None and made.exists():
            return "made", made
        if self.finished is not None and self.finished.mask(name).exists():
            return "run", self.finished.mask(name)
        return None

    def labels(self, name: str, size_hw: tuple[int, int]) -> Labels | None:
        """The mask of a frame, H×W; None where there is none, or it cannot be read just now."""
        found = self.find(name)
        try:
            return None if found is None else read_labels(found[1], size_hw)
        except InputError:
            return None
