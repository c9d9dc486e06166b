"""Propagation of every clip of a project: what is to be done, and the job of one clip.

A job is what `dextr-vos propagate WORKSPACE` does, in whatever process: it resumes what an earlier one has
left, finds nothing to do where nothing has changed, and replaces masks only once all new ones are there.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dextr_vos.clip import open_clip
from dextr_vos.errors import DextrVosError, InputError, Interrupted, refused_by_disk
from dextr_vos.folder_lock import FolderLock
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.pipeline import (
    DEFAULT_OPTIONS,
    PropagationOptions,
    is_up_to_date,
    train_propagation,
)
from dextr_vos.project.clips import workspaces_in
from dextr_vos.propagation.settings import Callbacks
from dextr_vos.run_files import POOR_IOU, RunRecord, read_confidence
from dextr_vos.workers.code import check_code, code_digest
from dextr_vos.workers.jobs import JobOutcome, OnChange, Workers, failure, refusal, run_jobs
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

ClipState = Literal["to do", "finished", "no keyframes", "in use", "failed"]


@dataclass(frozen=True)
class ClipJob:
    """A clip with all that a worker needs to propagate it, anywhere.

    Attributes:
        name: of the clip.
        clip: the clip.
        workspace: its folder.
        options: how to propagate; where to compute is up to the worker.
        threads: of PyTorch.
        code: `code_digest` of the process that planned the job.
    """

    name: str
    clip: Path
    workspace: Path
    options: PropagationOptions
    threads: int
    code: str

    @property
    def key(self) -> str:
        """See `workers.jobs.Job`."""
        return self.name

    def __str__(self) -> str:
        return self.name

    def attempt(self, device: str, stop_asked: StopAsked = never) -> JobOutcome:
        """See `workers.jobs.Job`."""
        try:
            check_code(self.code)
        except InputError as error:
            return refusal(self.key, error)
        try:
            return JobOutcome(self.key, note=self._propagate(device, stop_asked))
        except Interrupted:
            return JobOutcome(self.key, stopped=True)
        except DextrVosError as error:
            return failure(self.key, error)
        except OSError as error:
            if not error.filename:
                log.exception("%s", self.name)
            return failure(self.key, error)
        except Exception as error:  # whatever it is, the other clips are propagated
            log.exception("%s", self.name)
            return failure(self.key, error)

    def _propagate(self, device: str, stop_asked: StopAsked) -> str:
        from dextr_vos.runtime import one_job

        def on_phase(phase: str, done: int, total: int) -> None:
            if stop_asked():
                raise Interrupted("stopped before the first step")

        started = time.monotonic()
        workspace, callbacks = Workspace(self.workspace), Callbacks(stop_asked=stop_asked, on_phase=on_phase)
        options = replace(self.options, device=device)
        with one_job(self.threads), open_clip(self.clip) as clip:
            if workspace.run.path.is_dir():  # a worker that its scheduler takes for dead may still be at it
                lock = FolderLock(workspace.run.path)
                lock.wait(stop_asked)
                lock.release()
            record = train_propagation(clip, workspace.path, workspace.run.path, options, callbacks)
        return _note(workspace, record, time.monotonic() - started)


def _note(workspace: Workspace, record: RunRecord, seconds: float) -> str:
    """What has been made, and what a person should look at."""
    parts = [f"{len(read_confidence(workspace.run.confidence))} masks in {seconds:.0f} s"]
    poor = [each for each, iou in record.training.keyframe_iou.items() if iou < POOR_IOU]
    if poor:
        low = f"object {poor[0]} (IoU under {POOR_IOU})"
        parts.append(f"the network does not reproduce the keyframes' masks of {low}")
    return "; ".join([*parts, *filter(None, [workspace.drafts_left_out()])])


@dataclass(frozen=True)
class PlannedClip:
    """What is to be done with a clip of a project.

    Attributes:
        name: of the clip.
        state: "to do"; "finished" where nothing has changed since it was propagated; "no keyframes" where
            nobody has annotated it; "in use" where a page edits it; "failed" where it cannot be propagated
            as it is.
        message: one sentence on that; may be empty.
        job: what to run, of a clip that is to be done.
    """

    name: str
    state: ClipState
    message: str = ""
    job: ClipJob | None = None


def plan_project(
    folder: Path, out: Path | None = None, options: PropagationOptions = DEFAULT_OPTIONS, threads: int = 1
) -> list[PlannedClip]:
    """What is to be done with each clip of a project; masks and PyTorch are left alone.

    Args:
        folder: of the clips, or of their workspaces.
        out: folder of the workspaces; by default `work/NAME`, as of `dextr-vos annotate`.
        options: how to propagate every clip.
        threads: of PyTorch, for each clip; the order of sums, and so their rounding, depends on it.

    Raises:
        InputError: there are no clips, or none has keyframes, or the options cannot be used.
        ConfigError: an unknown setting.
    """
    model = options.chosen_model()
    parent = model.parent(options.parent)
    if parent is not None and not parent.is_file():
        raise InputError(f"there is no checkpoint {parent} to start from; give another parent")
    given = options.parent not in (None, "none")
    resolved = replace(options, parent=parent.resolve() if given and parent is not None else options.parent)
    clips = workspaces_in(folder, out)
    planned = [_planned(name, *of_clip, resolved, threads) for name, of_clip in clips.items()]
    if all(each.state == "no keyframes" for each in planned):
        where = next(workspace for _, workspace in clips.values()).path.parent
        raise InputError(
            f"no clip of {folder} has a keyframe in {where}; make some with "
            f"dextr-vos annotate {folder}, or give the folder of the workspaces as --out"
        )
    return planned


def _planned(
    name: str, clip: Path | None, workspace: Workspace, options: PropagationOptions, threads: int
) -> PlannedClip:
    try:
        if not workspace.keyframe_files():
            return PlannedClip(name, "no keyframes", workspace.drafts_left_out())
        lock = FolderLock(workspace.path)
        if not lock.try_acquire():
            return PlannedClip(name, "in use", f"{lock.message}; close its page, or wait")
        lock.release()
        with workspace.open_clip() if clip is None else open_clip(clip) as opened:
            job = ClipJob(
                name, opened.path.resolve(), workspace.path.resolve(), options, threads, code_digest()
            )
            done = is_up_to_date(opened, workspace.path, workspace.run.path, options)
        return PlannedClip(name, "finished" if done else "to do", workspace.drafts_left_out(), job)
    except DextrVosError as error:
        return PlannedClip(name, "failed", str(error))
    except OSError as error:
        return PlannedClip(name, "failed", refused_by_disk(error))


def run_project(
    planned: Sequence[PlannedClip],
    workers: Workers,
    on_change: OnChange | None = None,
    on_note: Callable[[ClipJob, str], None] | None = None,
    stop_asked: StopAsked = never,
) -> dict[str, str]:
    """Propagate the clips that are to be done; one that fails is tried once more after the others.

    Args:
        planned: see `plan_project`.
        workers: where to run; stopped at the end, whatever happens.
        on_change: see `run_jobs`.
        on_note: called with each clip that is finished, and one line on it.
        stop_asked: asked about once a second.

    Returns:
        Why clips failed, by name, those that could not be planned among them.

    Raises:
        InputError: a worker cannot run any job.
        Interrupted: a stop was asked for; the same call resumes.
    """
    failed = {each.name: each.message for each in planned if each.state == "failed"}
    jobs = [each.job for each in planned if each.state == "to do" and each.job is not None]
    try:
        return failed | run_jobs(jobs, workers, "clips", on_change, stop_asked, on_note=on_note)
    finally:
        workers.stop()
