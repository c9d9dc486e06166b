"""Masks and confidences on their way into a run: whole or not there, and taken up again after a stop."""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError, WeightsError
from dextr_vos.files import atomic_path
from dextr_vos.folder_lock import FolderLock
from dextr_vos.masks import Labels, write_labels
from dextr_vos.propagation.bidirectional import Span, spans_between
from dextr_vos.propagation.keyframes import keyframe_folder
from dextr_vos.propagation.trained_network import NETWORK, network_record
from dextr_vos.run_files import (
    Confidence,
    RunClip,
    RunRecord,
    read_confidence,
    read_record,
    write_confidence,
    write_record,
)


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


log = logging.getLogger(__name__)

_NEXT = ".next-"


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run."""

    path: Path

    @property
    def record(self) -> Path:
        """What made the run."""
        return self.path / "run.json"

    @property
    def network(self) -> Path:
        """The fine-tuned network."""
        return self.path / NETWORK

    @property
    def checkpoint(self) -> Path:
        """An unfinished training."""
        return self.path / "training.pt"

    @property
    def masks(self) -> Path:
        """The finished masks."""
        return self.path / "masks"

    @property
    def confidence(self) -> Path:
        """How far the masks can be trusted."""
        return self.path / "confidence.json"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Make the folder and keep it to this process while the block runs.

        Raises:
            InputError: it is a file, or another process works in it.
            OSError: it cannot be written; told now, not after a long training.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--out {self.path} is a file; expected a folder")
        self.path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.path):
            pass
        with FolderLock(self.path):
            yield

    def check(self, clip: Clip, keyframe_folder: Path) -> None:
        """Refuse a folder in which something would be lost.

        Raises:
            InputError: it holds a run on another clip, masks of other origin, or the keyframes themselves.
        """
        folder = keyframe_folder.resolve()
        if self.masks.resolve() in (folder, *folder.parents):
            raise InputError(
                f"the keyframes {folder} are in {self.masks}, which this run would replace; "
                "copy them to another folder"
            )
        if self.record.exists():
            made_on, here = read_record(self.record).clip, RunClip.of(clip)
            if made_on.identity != here.identity:
                raise InputError(
                    f"{self.path} holds a run on {made_on}, not on {here}; give another --out folder"
                )
        elif self.masks.exists() and not self.network.exists():
            raise InputError(
                f"{self.masks} is there and was not made by train-propagation, which would replace it; "
                "give another --out folder"
            )

    def finished(self) -> RunRecord | None:
        """The record of the run that is here; None where there is none, or its network is not whole."""
        if not self.record.exists():
            return None
        record = read_record(self.record)
        try:
            if network_record(self.network).fingerprint == record.fingerprint:
                return record
        except WeightsError:
            log.warning("%s is damaged; training starts anew", self.network)
        return None

    def is_segmented(self, clip: Clip) -> bool:
        """Whether every mask is there, and how far it can be trusted."""
        return self.confidence.exists() and all((self.masks / f"{name}.png").exists() for name in clip.names)

    def attempt(self, fingerprint: str, continued_from: str | None) -> "PendingRun":
        """Where a run is made until it is whole."""
        mark = hashlib.sha256(f"{fingerprint} {continued_from}".encode()).hexdigest()[:16]
        return PendingRun(self.path / f"{_NEXT}{mark}")

    def kept_masks(
        self, earlier: RunRecord, now: RunRecord, clip: Clip
    ) -> dict[int, tuple[Path, dict[int, float]]]:
        """Masks that a correction does not touch: those of spans whose keyframes are what they were.

        Args:
            earlier: the record of the run whose masks are here.
            now: of the one that replaces it.
            clip: of both.

        Returns:
            The mask file and the confidences, by frame index.
        """
        try:
            scores = read_confidence(self.confidence)
        except InputError:
            return {}
        spans_then, spans_now = (
            spans_between([clip.index_of(name) for name in record.keyframes], len(clip))
            for record in (earlier, now)
        )

        def digests(span: Span, record: RunRecord) -> list[str | None]:
            ends = (span.before, span.after)
            return [None if end is None else record.keyframe_digests.get(clip.names[end]) for end in ends]

        kept = {}
        for span in spans_now:
            if span in spans_then and digests(span, earlier) == digests(span, now):
                for index in range(span.first, span.last + 1):
                    name = clip.names[index]
                    mask = self.masks / f"{name}.png"
                    if mask.exists() and name in scores:
                        kept[index] = (mask, scores[name])
        return kept

    def finish(self, attempt: "PendingRun", record: RunRecord, names: Sequence[str]) -> None:
        """Put a whole run in the place of the one that is here; killed at any point, `recover` goes on."""
        scores = attempt.masks.confidence
        write_confidence(attempt.folder / self.confidence.name, {name: scores[name] for name in names})
        write_record(attempt.folder / self.record.name, record)
        attempt.ready.touch()
        self._take(attempt)

    def recover(self) -> None:
        """Finish what was killed while it was put in place."""
        for folder in self.path.glob(f"{_NEXT}*"):
            if PendingRun(folder).ready.exists():
                self._take(PendingRun(folder))

    def sweep(self) -> None:
        """Remove what unfinished runs and killed writers left."""
        self.checkpoint.unlink(missing_ok=True)
        for path in (self.checkpoint, self.network, self.record, self.confidence):
            for leftover in self.path.glob(f".{path.stem}.*{path.suffix}"):
                leftover.unlink()
        for leftover in self.path.glob(f"{_NEXT}*"):
            shutil.rmtree(leftover)

    def _take(self, attempt: "PendingRun") -> None:
        """Each part that is still there takes the place of the older one.

        The network comes first: masks beside none would pass for somebody else's. The record comes last.
        """
        attempt.masks.sweep()
        for path in (self.network, self.confidence, self.masks, self.record):
            new = attempt.folder / path.name
            if new.exists():
                if path.is_dir():
                    shutil.rmtree(path)
                new.replace(path)
        self.sweep()


class PendingRun:
    """A run on its way: its network once it is trained, its masks as far as they are made.

    Args:
        folder: in the folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = folder / NETWORK
        self.ready = folder / "ready"

    @cached_property
    def masks(self) -> UnfinishedMasks:
        """Its masks."""
        return UnfinishedMasks(self.folder / "masks")

    def clear(self) -> None:
        """Remove all of it."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def is_trained(self) -> bool:
        """Whether its network is there and whole."""
        try:
            return self.network.exists() and bool(network_record(self.network))
        except WeightsError:
            return False


def lock_frames(run: Path, names: Sequence[str], keyframes: Path) -> list[Path]:
    """Copy masks of a run to its keyframes, all or none.

    Args:
        run: its folder.
        names: of the frames.
        keyframes: the workspace or folder of masks that the run was taught with.

    Returns:
        The new keyframes.

    Raises:
        InputError: a frame has no mask, or is a keyframe already; there is no such folder.
    """
    if not keyframes.is_dir():
        raise InputError(
            f"there is no workspace or folder of masks {keyframes}; give the one that {run} was taught with"
        )
    masks, folder = RunFolder(run).masks, keyframe_folder(keyframes)
    pairs = [(masks / f"{name}.png", folder / f"{name}.png") for name in dict.fromkeys(names)]
    for source, target in pairs:
        if not source.is_file():
            raise InputError(
                f"there is no mask {source}; give names of frames, like 00040, of a finished run"
            )
        if target.exists():
            raise InputError(f"{target} is a keyframe already, and stays as it is")
    for source, target in pairs:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    return [target for _, target in pairs]
