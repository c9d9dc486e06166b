"""A job runs one cell, from the masks of its keyframes to its scores. A job that was killed resumes."""

import logging
import math
import shutil
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dextr_vos.benchmark.grid import Cell, key_of
from dextr_vos.benchmark.keyframe_masks import KeyframeMaker, frames_with_truth
from dextr_vos.benchmark.machine import this_machine
from dextr_vos.benchmark.result import (
    CellFolder,
    CellResult,
    ComputeSeconds,
    ObjectSeries,
    Stopwatch,
    write_thumbnail,
)
from dextr_vos.benchmark.settings import BenchmarkSettings, model_of
from dextr_vos.clip import Clip, open_clip
from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import DextrVosError, InputError, Interrupted
from dextr_vos.evaluation.davis import DavisScores, ScoringRules, evaluate_davis
from dextr_vos.evaluation.interactive import mask_iou
from dextr_vos.evaluation.metrics import Values
from dextr_vos.evaluation.official import largest_difference, official_scores
from dextr_vos.evaluation.scores import ObjectScores
from dextr_vos.files import write_text
from dextr_vos.folder_lock import FolderLock
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.masks import VOID, Labels, object_ids, read_labels
from dextr_vos.pipeline import PropagationOptions, train_propagation
from dextr_vos.propagation.settings import Callbacks
from dextr_vos.propagation.suggest import suggest
from dextr_vos.run_files import RunPaths, RunRecord, frame_confidence, read_confidence
from dextr_vos.runtime import bf16_is_faster, one_job, pick_device, true_float32
from dextr_vos.workers.code import check_code, code_digest
from dextr_vos.workers.jobs import JobOutcome, failure, refusal

log = logging.getLogger(__name__)

_FINETUNE_SHARE = 0.6  # of a cell's time, roughly
_SCORE_FROM = 0.97


@dataclass(frozen=True)
class CellJob:
    """A cell with all that a worker needs to run it, anywhere.

    Attributes:
        cell: what to run.
        key: see `key_of`.
        settings: of the benchmark, with `davis_root`.
        out: the benchmark's folder.
        code: `code_digest` of the process that planned the job.
    """

    cell: Cell
    key: str
    settings: BenchmarkSettings
    out: Path
    code: str

    @property
    def folder(self) -> CellFolder:
        """Where it is run."""
        return CellFolder(self.out, self.key)

    def __str__(self) -> str:
        return str(self.cell)

    def attempt(self, device: str, stop_asked: StopAsked) -> JobOutcome:
        """See `workers.jobs.Job`."""
        return try_job(self, device, stop_asked)


def check_worker(job: CellJob) -> None:
    """Refuse to run a job whose result would not be what its key says.

    Raises:
        InputError: this process runs other code, or finds other frames, masks, clicks or weights.
    """
    check_code(job.code)
    assert job.settings.davis_root is not None
    if key_of(job.cell, job.settings, Davis(job.settings.davis_root)) != job.key:
        raise InputError(
            f"it finds other frames, masks, clicks or weights for {job.cell} than the benchmark did when it "
            f"was started; look at {job.settings.davis_root}, and start it again"
        )


def run_job(job: CellJob, device: str = "auto", stop_asked: StopAsked = never) -> CellResult:
    """Run a cell, or read its result where it is finished.

    Args:
        job: what to run.
        device: where networks compute, see `pick_device`.
        stop_asked: asked between steps and frames.

    Returns:
        The result; it is in the cell's folder, too.

    Raises:
        DextrVosError: the cell cannot be run as it is.
        Interrupted: a stop was asked for; the same call resumes.
    """
    folder = job.folder
    lock = FolderLock(folder.path)
    lock.wait(stop_asked)  # a worker that its scheduler takes for dead may still be running it
    with lock, one_job(job.settings.threads):
        result = folder.read()
        if result is None:
            exact = job.settings.precision == "float32"
            with true_float32() if exact else nullcontext():
                result = _CellRun(job, pick_device(device), stop_asked).run()
            folder.write(result)
        folder.failure.unlink(missing_ok=True)
        folder.state.unlink(missing_ok=True)
        if not job.settings.keep_runs and folder.work.exists():
            shutil.rmtree(folder.work)
    return result


class _CellRun:
    """The steps of one cell."""

    def __init__(self, job: CellJob, device: torch.device, stop_asked: StopAsked) -> None:
        assert job.settings.davis_root is not None
        self._job, self._device, self._stop_asked = job, device, stop_asked
        self._davis = Davis(job.settings.davis_root)
        frames = self._davis.frame_paths(job.cell.clip)
        self._clip = open_clip(frames[0].parent)
        self._results = job.folder.work / "results"
        self._run = RunPaths(self._results / job.cell.clip)
        self._maker = KeyframeMaker(
            job.cell,
            job.settings.clicks,
            self._davis,
            self._clip,
            job.folder.work / "workspace",
            str(device),
            job.settings.precision == "auto",
        )
        self._watch = Stopwatch(job.folder.state)

    def run(self) -> CellResult:
        record = self._propagate()
        scores = self._score()
        official = None
        if self._job.settings.official:
            theirs = official_scores(self._davis, self._results, scores.objects, scores.year)
            official = largest_difference(scores.objects, theirs)
        self._watch.tick("score", 1.0)
        return self._result(record, list(scores.objects), official)

    def _propagate(self) -> RunRecord:
        """Annotate and propagate: once, or after each suggested frame."""
        first = self._maker.first()
        missing = sorted(set(first) - set(self._maker.done()))
        if missing:
            self._maker.make(missing)
            self._watch.tick("annotate", 0.0)
        rounds = self._job.cell.keyframes if self._job.cell.choose == "suggest" else 1
        while True:
            done = len(self._maker.done()) - len(first)
            record = self._train(_SCORE_FROM * done / rounds, _SCORE_FROM * (done + 1) / rounds)
            if done + 1 >= rounds:
                return record
            suggested = self._suggested(record)
            if not suggested:
                return record
            self._maker.make(suggested)
            self._watch.tick("annotate", _SCORE_FROM * (done + 1) / rounds)

    def _train(self, start: float, end: float) -> RunRecord:
        settings, cell = self._job.settings, self._job.cell
        model = model_of(cell.model, settings)
        middle = start + _FINETUNE_SHARE * (end - start)
        options = PropagationOptions(
            model=model,
            parent=settings.parent.get(cell.model),
            device=str(self._device),
            seed=cell.seed,
        )
        callbacks = Callbacks(
            on_step=self._watch.callback("finetune", start, middle),
            on_frame=self._watch.callback("segment", middle, end),
            stop_asked=self._stop_asked,
        )
        record = train_propagation(self._clip, self._maker.folder, self._run.path, options, callbacks)
        self._watch.tick("segment", end)
        return record

    def _suggested(self, record: RunRecord) -> list[int]:
        """The frame that is suggested to be annotated next, of those with a true mask, while there is one."""
        scores = read_confidence(self._run.confidence)
        doubts = [1 - frame_confidence(scores[name]) for name in self._clip.names]
        known, cuts, flashes = (
            [self._clip.index_of(name) for name in names]
            for names in (record.keyframes, record.cuts or (), record.flashes or ())
        )
        with_truth = frames_with_truth(self._davis, self._job.cell.clip, self._clip)
        without = set(range(len(doubts))) - set(with_truth)
        return suggest(doubts, known, cuts=cuts, flashes=without.union(flashes))

    def _score(self) -> DavisScores:
        settings = self._job.settings
        rules = ScoringRules(settings.year)
        return evaluate_davis(
            self._davis, self._results, [self._job.cell.clip], rules, workers=settings.threads
        )

    def _result(self, record: RunRecord, scores: list[ObjectScores], official: float | None) -> CellResult:
        job, settings = self._job, self._job.settings
        scored = _frames_in(scores, self._clip)
        truths = {name: self._truth(name) for name in record.keyframes}
        best, worst = _extremes(record, scores, scored)
        self._write_thumbnails(best, worst)
        bf16 = settings.precision == "auto" and bf16_is_faster(self._device)
        precision = "bfloat16" if bf16 and model_of(job.cell.model, settings).bf16 else "float32"
        seconds = self._watch.seconds
        if job.cell.supervision == "gt":
            seconds = seconds | {"annotate": 0.0}  # copying is no annotation
        confidence = read_confidence(self._run.confidence)
        return CellResult(
            key=job.key,
            cell=job.cell,
            frames=self._clip.names,
            scored=scored,
            keyframes=record.keyframes,
            annotated=sum(
                len(object_ids(self._mask(name) if truth is None else truth))
                for name, truth in truths.items()
            ),
            objects=tuple(
                ObjectSeries(
                    object=one.object_id,
                    j=_values_at(scored, one, one.j),
                    f=_values_at(scored, one, one.f),
                    confidence=tuple(confidence[name].get(one.object_id, 1.0) for name in scored),
                )
                for one in scores
            ),
            keyframe_iou={
                name: self._ious(name, truth) for name, truth in truths.items() if truth is not None
            },
            seconds=ComputeSeconds(**{name: round(value, 3) for name, value in seconds.items()}),
            steps=record.training.steps,
            best=best,
            worst=worst,
            official_difference=official,
            machine=this_machine(self._device, settings.threads, precision, code_digest()),
        )

    def _write_thumbnails(self, best: str, worst: str) -> None:
        for name, path in ((best, self._job.folder.best), (worst, self._job.folder.worst)):
            truth = self._truth(name)
            assert truth is not None, "scored frames have one"
            write_thumbnail(path, self._clip, self._clip.index_of(name), self._mask(name), truth)

    def _ious(self, name: str, truth: Labels) -> dict[int, float]:
        """The IoU of each object's mask in a frame with the true one."""
        mask, void = self._mask(name), truth == VOID
        return {
            object_id: mask_iou(mask == object_id, truth == object_id, void)
            for object_id in object_ids(truth)
        }

    def _truth(self, name: str) -> Labels | None:
        file = self._davis.find_annotation(self._job.cell.clip, name)
        return None if file is None else self._davis.read_annotation(file)

    def _mask(self, name: str) -> Labels:
        return read_labels(self._run.mask(name), self._clip.size_hw)


def _frames_in(scores: Sequence[ObjectScores], clip: Clip) -> tuple[str, ...]:
    """Names of the frames in which an object is scored, in the order of the clip."""
    return tuple(sorted({str(frame) for one in scores for frame in one.frames}, key=clip.index_of))


def _values_at(frames: Sequence[str], one: ObjectScores, values: Values) -> tuple[float, ...]:
    """A score in each frame; NaN in those before an object appears."""
    known = dict(zip(one.frames, values.tolist(), strict=True))
    return tuple(known.get(name, math.nan) for name in frames)


def _extremes(record: RunRecord, scores: Sequence[ObjectScores], frames: Sequence[str]) -> tuple[str, str]:
    """Names of the best and the worst scored frame, keyframes left out where others remain."""
    values = np.nanmean([_values_at(frames, one, (one.j + one.f) / 2) for one in scores], axis=0)
    places = [place for place, name in enumerate(frames) if name not in record.keyframes]
    ranked = sorted(places or range(len(frames)), key=lambda place: values[place])
    return frames[ranked[-1]], frames[ranked[0]]


def clip_of(davis: Davis, name: str) -> Clip:
    """The frames of a clip of DAVIS."""
    return open_clip(davis.frame_paths(name)[0].parent)


def try_job(job: CellJob, device: str, stop_asked: StopAsked) -> JobOutcome:
    """Run a job once, wherever it is; errors are returned, so that the other jobs are run.

    After an error, what was made so far is removed, since it may be the cause; the traceback is kept in the
    cell's `failure.txt`. A process that cannot give the result that the key stands for changes nothing.
    """
    try:
        check_worker(job)
    except DextrVosError as error:
        return refusal(job.key, error)
    except Exception as error:
        write_text(job.folder.failure, traceback.format_exc())
        return failure(job.key, error)
    try:
        run_job(job, device, stop_asked)
    except Interrupted:
        return JobOutcome(job.key, stopped=True)
    except Exception as error:  # whatever it is, the other cells are run
        write_text(job.folder.failure, traceback.format_exc())
        shutil.rmtree(job.folder.work, ignore_errors=True)
        return failure(job.key, error)
    return JobOutcome(job.key)
