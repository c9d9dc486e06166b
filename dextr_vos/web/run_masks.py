"""Propagated masks: those being made, else those of the finished run."""

from collections.abc import Sequence
from pathlib import Path

from dextr_vos.errors import InputError
from dextr_vos.masks import Labels, read_labels
from dextr_vos.web.finished_run import FinishedRun


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
