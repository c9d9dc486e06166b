"""Propagation on disk: keyframe masks in; the fine-tuned network and the masks of every frame out.

Where everything is there already, that is found out from files alone, without PyTorch.
"""

import logging
from functools import partial
from pathlib import Path

from dextr_vos.propagation.out_folder import check_run_folder
from dextr_vos.propagation.plan import Plan
from dextr_vos.propagation.run import RunFolder
from dextr_vos.propagation.settings import NO_CALLBACKS, Callbacks
from dextr_vos.run_files import RunRecord, write_record

log = logging.getLogger(__name__)


def propagate_to_run(
    plan: Plan,
    out: Path,
    device: str = "auto",
    callbacks: Callbacks = NO_CALLBACKS,
    keep_stopped: bool = False,
) -> RunRecord:
    """Fine-tune a network and segment every frame; what is there already and still valid is kept.

    Args:
        plan: what to do.
        out: the run's folder.
        device: where to compute, see `pick_device`.
        callbacks: notified of the progress, and asked whether to stop.
        keep_stopped: where a stop is asked for while frames are segmented, masks that are made by then take
            the place of older ones; otherwise the run that is there stays until the new one is complete.

    Raises:
        InputError: something would be lost in the folder, or another process works in it.
        WeightsError: the parent does not fit.
        Interrupted: a stop was asked for; the same call continues from there.
    """
    run = RunFolder(out)
    plan.annotated.on_read = partial(callbacks.on_phase, "reading")
    _check(plan, run)
    network = None
    if not run.paths.path.exists():
        from dextr_vos.propagation.session import start_network

        network = start_network(plan)  # fails before anything is written
    with run.locked():
        run.recover()
        run.reuse_known_frames(plan.annotated)
        finished = run.finished()
        if finished is not None and run.is_finished(finished, plan):
            log.info("all masks are there already")
            run.sweep()
            record = run.updated(finished, plan)
            if record != finished:
                write_record(run.paths.record, record)
            return record
        callbacks.on_phase("loading", 0, 0)
        from dextr_vos.propagation.session import complete_run
        from dextr_vos.runtime import pick_device

        return complete_run(plan, run, finished, network, pick_device(device), callbacks, keep_stopped)


def is_propagated(plan: Plan, out: Path) -> bool:
    """Whether `propagate_to_run` would find everything there, its record up to date; nothing is written.

    Args:
        plan: what to do.
        out: the run's folder.

    Raises:
        InputError: something would be lost in the folder.
    """
    run = RunFolder(out)
    _check(plan, run)
    if any(pending.complete.exists() for pending in run.paths.all_pending()):
        return False  # killed while it was put in place
    run.reuse_known_frames(plan.annotated)
    finished = run.finished()
    return (
        finished is not None and run.is_finished(finished, plan) and run.updated(finished, plan) == finished
    )


def _check(plan: Plan, run: RunFolder) -> None:
    keyframe = next(iter(plan.annotated.keyframes.values()))
    check_run_folder(run.paths, plan.annotated.clip, keyframe.path)
    plan.check_size()
