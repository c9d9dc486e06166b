"""The folder of a run, whose files `run_files` lists: what in it is kept, and what is replaced when."""

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

from pydantic import ValidationError

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError, WeightsError
from dextr_vos.files import atomic_path, sweep_temporaries, sync
from dextr_vos.folder_lock import FolderLock
from dextr_vos.mask_file import find_mask_file
from dextr_vos.masks import Labels, looks_like_mask, read_labels, write_labels
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.propagation.keyframes import AnnotatedClip, keyframe_folder
from dextr_vos.propagation.origins import MaskOrigin, recorded_origins
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.shots import Shots
from dextr_vos.run_files import (
    Confidence,
    RunPaths,
    RunRecord,
    read_confidence,
    read_record,
    write_confidence,
    write_record,
)
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)


class UnfinishedMasks:
    """The masks of a run in progress, with their confidence.

    Args:
        paths: of the pending run; its masks, and the confidence line by line.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._log = paths.confidence_log
        self.confidence: Confidence = {}
        self.origins: dict[str, MaskOrigin | None] = {}
        if self._log.exists():
            text = self._log.read_text(encoding="utf-8")
            if text and not text.endswith("\n"):
                with self._log.open("a", encoding="utf-8") as log:
                    log.write("\n")
            for line in text.splitlines():
                try:
                    name, scores, *origin = json.loads(line)
                    known = {int(key): float(score) for key, score in scores.items()}
                    made_from = MaskOrigin(*origin) if origin else None
                    self.confidence[name], self.origins[name] = known, made_from
                except (ValueError, ArithmeticError, TypeError, AttributeError, RecursionError):
                    continue  # damaged, or the process was killed within the line

    def __contains__(self, name: str) -> bool:
        return name in self.confidence and self._paths.mask(name).exists()

    def has(self, name: str, origin: MaskOrigin | None) -> bool:
        """Whether a mask of this origin is in."""
        return name in self and self.origins[name] == origin

    def write(
        self, name: str, labels: Labels, scores: dict[int, float], origin: MaskOrigin | None = None
    ) -> None:
        """Put a mask and its confidences in."""
        write_labels(self._paths.mask(name), labels)
        self._note(name, scores, origin)

    def copy(self, name: str, mask: Path, scores: dict[int, float], origin: MaskOrigin | None = None) -> None:
        """Put a mask file in as it is, if it has the form of our own, or else its labels."""
        if mask.suffix.lower() == ".png" and looks_like_mask(mask):
            with atomic_path(self._paths.mask(name)) as temporary:
                shutil.copyfile(mask, temporary)
        else:
            write_labels(self._paths.mask(name), read_labels(mask))
        self._note(name, scores, origin)

    def remove(self, name: str) -> None:
        """Take a mask out, if it is there."""
        self._paths.mask(name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what was under way beside the masks, and what killed writers left."""
        self._log.unlink(missing_ok=True)
        shutil.rmtree(self._paths.passes, ignore_errors=True)
        sweep_temporaries(self._paths.masks)

    def _note(self, name: str, scores: dict[int, float], origin: MaskOrigin | None) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps([name, scores, *(origin or ())]) + "\n")
        self.confidence[name], self.origins[name] = scores, origin


@dataclass(frozen=True)
class MadeMask:
    """A mask of a finished run.

    Attributes:
        path: its file.
        confidence: by object id.
        origin: what it was made from; None for a keyframe's.
    """

    path: Path
    confidence: dict[int, float]
    origin: MaskOrigin | None


class RunFolder:
    """The folder of a run: what is in it is only ever replaced by a complete run.

    Args:
        path: the folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.paths = RunPaths(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep it to this process while the block runs.

        Raises:
            InputError: it is a file, another process works in it, or a file in it is a symbolic link.
            OSError: it cannot be written, which fails here and not after a long training.
        """
        with FolderLock(self.paths.path):
            self.paths.check_links()
            with tempfile.TemporaryFile(dir=self.paths.path):
                pass
            yield

    def finished(self) -> RunRecord | None:
        """The record of the run that is here; None where there is none, or its network is incomplete."""
        if not self.paths.record.exists():
            return None
        record = read_record(self.paths.record)
        try:
            if network_record(self.paths.network).fingerprint == record.fingerprint:
                return record
        except WeightsError:
            log.warning("%s is damaged; training starts again", self.paths.network)
        return None

    def reuse_known_frames(self, annotated: AnnotatedClip) -> None:
        """Set what the run that is here knows of the frames of a clip, as far as they are the same still.

        Contents of files are compared only where their names, sizes or times differ.
        """
        state = annotated.files_state  # before frames are read: a file that changes later differs from it
        record = read_record(self.paths.record) if self.paths.record.exists() else None
        if record is None:
            return
        if state and state == record.files_state:
            annotated.frames_digest = record.frames_digest
        if record.cuts is not None and record.frames_digest == annotated.frames_digest:
            cuts, flashes = (map(annotated.clip.index_of, each) for each in (record.cuts, record.flashes))
            annotated.shots = Shots(tuple(cuts), frozenset(flashes))

    def updated(self, finished: RunRecord, plan: Plan) -> RunRecord:
        """The record of a finished run; objects may have other names, and the clip be an equal copy."""
        changes = {"objects": plan.objects, "files_state": plan.annotated.files_state}
        return finished.model_copy(update=changes)

    def is_segmented(self, finished: RunRecord, plan: Plan) -> bool:
        """Whether every mask that a plan wants is there with its confidence, and up to date."""
        made, clip = self.made_masks(finished, plan.annotated.clip), plan.annotated.clip
        return (
            self.paths.confidence.exists()
            and all(index in made and made[index].origin == each for index, each in plan.origins.items())
            and all(self.paths.mask(clip.names[index]).exists() for index in plan.annotated.keyframes)
        )

    def is_finished(self, finished: RunRecord, plan: Plan) -> bool:
        """Whether network and masks of a finished run are those that a plan asks for."""
        return plan.is_trained_by(finished) and self.is_segmented(finished, plan)

    def pending(self, fingerprint: str, continued_from: str | None) -> "PendingRun":
        """Where a run is made until it is complete."""
        mark = hashlib.sha256(f"{fingerprint} {continued_from}".encode()).hexdigest()[:16]
        return PendingRun(self.paths.pending(mark))

    def made_masks(self, record: RunRecord, clip: Clip) -> dict[int, "MadeMask"]:
        """The masks that are here, by frame index; those of keyframes only where they are none any more.

        Args:
            record: of the run that is here.
            clip: of the run.
        """
        try:
            scores = read_confidence(self.paths.confidence)
        except InputError:
            return {}
        origins = recorded_origins(record, clip.names)
        return {
            index: MadeMask(self.paths.mask(name), scores[name], origins.get(index))
            for index, name in enumerate(clip.names)
            if name in scores and self.paths.mask(name).exists()
        }

    def finish(
        self, pending: "PendingRun", record: RunRecord, names: Sequence[str], keep_pending: bool = False
    ) -> None:
        """Replace the run that is here by another one; killed at any point, `recover` finishes it.

        Args:
            pending: what is put in place.
            record: of it.
            names: of the clip's frames.
            keep_pending: keep other runs in progress.
        """
        scores = pending.masks.confidence
        made = {name: scores[name] for name in names if name in pending.masks}
        write_confidence(pending.paths.confidence, made)
        write_record(pending.paths.record, record)
        for path in (pending.paths.network, *map(pending.paths.mask, made)):
            if path.exists():
                sync(path)
        pending.paths.complete.touch()
        self._take(pending)
        if keep_pending:
            pending.clear()
        else:
            self.sweep()

    def recover(self) -> None:
        """Finish what was killed while it was put in place."""
        for paths in self.paths.all_pending():
            if paths.complete.exists():
                self._take(PendingRun(paths))
                self.sweep()

    def sweep(self) -> None:
        """Remove what unfinished runs and killed writers left."""
        self.paths.checkpoint.unlink(missing_ok=True)
        sweep_temporaries(self.paths.path)
        for pending in self.paths.all_pending():
            shutil.rmtree(pending.path)

    def _take(self, pending: "PendingRun") -> None:
        """Every part of it replaces the older one.

        The network comes first: masks without one would be taken for somebody else's. The record comes last.
        """
        pending.masks.sweep()
        for path in (self.paths.network, self.paths.confidence, self.paths.masks, self.paths.record):
            new = pending.paths.path / path.name
            if new.exists():
                if path.is_dir():
                    _keep_foreign(path, new)
                    shutil.rmtree(path)
                new.replace(path)


class PendingRun:
    """A run in progress: its network once it is trained, its masks as far as they are there.

    Args:
        paths: inside the folder of the run.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths

    def passes(self, annotated: AnnotatedClip) -> Path:
        """Folder of soft masks in progress; those of frames that have changed since are in another one."""
        return self.paths.passes / annotated.frames_digest[:16]

    @cached_property
    def masks(self) -> UnfinishedMasks:
        """The masks so far."""
        return UnfinishedMasks(self.paths)

    def clear(self) -> None:
        """Remove all of it."""
        if self.paths.path.exists():
            shutil.rmtree(self.paths.path)

    def is_trained(self) -> bool:
        """Whether its network is there and complete."""
        try:
            return self.paths.network.exists() and bool(network_record(self.paths.network))
        except WeightsError:
            return False


def _keep_foreign(masks: Path, new: Path) -> None:
    """Move what somebody else put among the masks of a run to those that replace them."""
    for entry in list(masks.iterdir()):
        is_mask = entry.suffix == ".png" and entry.is_file()
        if not is_mask and not (new / entry.name).exists():
            entry.replace(new / entry.name)


def network_record(file: Path) -> RunRecord:
    """The record saved with a network.

    Raises:
        WeightsError: there is none, or it is damaged or of another version.
    """
    try:
        return RunRecord.model_validate_json(read_metadata(file)["record"])
    except (KeyError, ValidationError):
        raise WeightsError(
            f"{file} was not saved by this version of dextr-vos propagate (its record is missing, damaged or "
            "of another version); give the --out folder of a finished run"
        ) from None


def lock_frames(run: Path, names: Sequence[str], keyframes: Path) -> list[Path]:
    """Copy masks of a run to its keyframes, all or none.

    Args:
        run: its folder.
        names: of the frames.
        keyframes: the workspace or folder of masks that the run was fine-tuned on.

    Returns:
        The new keyframes.

    Raises:
        InputError: a frame has no mask, is a keyframe already, or was corrected on the page; there is no such
            folder.
    """
    if not keyframes.is_dir():
        raise InputError(
            f"there is no workspace or folder of masks {keyframes}; give the one that {run} was fine-tuned on"
        )
    paths, folder = RunPaths(run), keyframe_folder(keyframes)
    corrected = Workspace(keyframes).corrected_frames()
    pairs = [(paths.mask(name), folder / f"{name}.png") for name in dict.fromkeys(names)]
    for source, target in pairs:
        if not source.is_file():
            raise InputError(
                f"there is no mask {source}; give names of frames, like 00040, of a finished run"
            )
        if (known := find_mask_file(folder, target.stem)) is not None:
            raise InputError(f"{known} is a keyframe already, and stays as it is")
        if target.stem in corrected:
            raise InputError(
                f"frame '{target.stem}' was corrected on the page, and {source} is without the correction; "
                "on the page, K makes a keyframe of it and Shift K discards it"
            )
    for source, target in pairs:
        with atomic_path(target, durable=True) as temporary:
            shutil.copyfile(source, temporary)
    return [target for _, target in pairs]
