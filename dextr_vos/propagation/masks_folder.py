"""Masks and confidences on their way into a run: whole or not there, and taken up again after a stop."""

import json
import shutil
from pathlib import Path

from dextr_vos.files import atomic_path
from dextr_vos.masks import Labels, write_labels
from dextr_vos.propagation.confidence import Confidence


class UnfinishedMasks:
    """The folder of masks that are not all there yet.

    Args:
        folder: `<frame>.png` in it, and the confidences line by line.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / ".confidence.jsonl"
        self.confidence: Confidence = {}
        if self._log.exists():
            text = self._log.read_text(encoding="utf-8")
            if text and not text.endswith("\n"):
                with self._log.open("a", encoding="utf-8") as log:
                    log.write("\n")
            for line in text.splitlines():
                try:
                    name, scores = json.loads(line)
                except ValueError:
                    continue  # the process was killed within the line
                self.confidence[name] = {int(number): score for number, score in scores.items()}

    def __contains__(self, name: str) -> bool:
        return name in self.confidence and (self.folder / f"{name}.png").exists()

    def write(self, name: str, labels: Labels, scores: dict[int, float]) -> None:
        """Put a mask and its confidences in."""
        write_labels(self.folder / f"{name}.png", labels)
        self._note(name, scores)

    def copy(self, name: str, mask: Path, scores: dict[int, float]) -> None:
        """Put a mask file in as it is."""
        with atomic_path(self.folder / f"{name}.png") as temporary:
            shutil.copyfile(mask, temporary)
        self._note(name, scores)

    def sweep(self) -> None:
        """Remove everything but the masks: what was under way, and what killed writers left."""
        for leftover in self.folder.glob(".*"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()

    def _note(self, name: str, scores: dict[int, float]) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps([name, scores]) + "\n")
        self.confidence[name] = scores
