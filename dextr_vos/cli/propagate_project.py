"""`dextr-vos propagate --project`: every clip of a folder, on this machine or on a Dask cluster."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from dextr_vos.pipeline import PropagationOptions
    from dextr_vos.project.propagate import ClipJob, PlannedClip
    from dextr_vos.workers.jobs import Workers


@dataclass(frozen=True)
class Where:
    """Where clips are propagated.

    Attributes:
        workers: clips at a time on this machine; None for as many as fit.
        threads: of each.
        scheduler: of a Dask cluster; None for this machine.
        gpu: jobs ask the cluster for a GPU.
    """

    workers: int | None
    threads: int
    scheduler: str | None
    gpu: bool


def propagate_project(
    folder: Path, out: Path | None, chosen: "PropagationOptions", where: Where, dry_run: bool
) -> None:
    """Propagate what has changed, and say of each clip how it went; status 1 where one has failed."""
    from dextr_vos.project.propagate import plan_project

    planned = plan_project(folder, out, chosen, where.threads)
    if dry_run:
        if where.scheduler is None and chosen.device not in ("auto", "cpu"):  # refuse what a run would refuse
            _workers(chosen, where, folder)
        _show_plan(planned)
        return
    for each in planned:
        if each.state == "in use":
            click.echo(f"{each.name} is skipped: {each.message}", err=True)
        elif each.state == "finished" and each.message:
            click.echo(f"{each.name}: {each.message}", err=True)
    failed = _run(planned, chosen, where)
    _show_end(planned, failed)
    if failed:
        raise SystemExit(1)


def _run(planned: "Sequence[PlannedClip]", chosen: "PropagationOptions", where: Where) -> dict[str, str]:
    """Propagate the clips that are to be done; why clips have failed, by name."""
    from dextr_vos.cli.progress import progress_of_jobs
    from dextr_vos.errors import counted
    from dextr_vos.interrupt import interruptible
    from dextr_vos.project.propagate import run_project

    todo = [each.job for each in planned if each.state == "to do" and each.job is not None]
    if not todo:
        return {each.name: each.message for each in planned if each.state == "failed"}
    stop_files = todo[0].workspace.parent
    workers, words = _workers(chosen, where, stop_files)
    click.echo(f"to be propagated: {len(todo)} of {counted(len(planned), 'clip')}; {words}", err=True)

    with interruptible() as stop_asked, progress_of_jobs(len(todo), 0, "clip") as (show, say):

        def on_change(running: "Sequence[ClipJob]", finished: int, failed: int) -> None:
            show(finished, failed, 0.0, [str(job) for job in running])

        def on_note(job: "ClipJob", note: str) -> None:
            say(f"{job}: {note}")

        return run_project(planned, workers, on_change, on_note, stop_asked)


def _workers(chosen: "PropagationOptions", where: Where, stop_files: Path) -> "tuple[Workers, str]":
    if where.scheduler is not None:
        from dextr_vos.workers.cluster import DaskWorkers

        workers = DaskWorkers(where.scheduler, stop_files, where.gpu, chosen.device)
        return workers, f"Dask cluster {where.scheduler}"
    from dextr_vos.workers.local import local_workers

    return local_workers(chosen.device, where.workers, where.threads, chosen.chosen_model().job_gb)


def _show_plan(planned: "Sequence[PlannedClip]") -> None:
    width = max(len(each.name) for each in planned)
    for each in planned:
        click.echo(f"{each.name:<{width}}  {each.state}" + (f": {each.message}" if each.message else ""))


def _show_end(planned: "Sequence[PlannedClip]", failed: Mapping[str, str]) -> None:
    """How many clips ended how, and a table of those that failed."""
    from dextr_vos.errors import counted

    ends = Counter("failed" if each.name in failed else _ENDS[each.state] for each in planned)
    click.echo(
        f"of {counted(len(planned), 'clip')}: " + ", ".join(f"{count} {end}" for end, count in ends.items())
    )
    width = max(map(len, failed), default=0)
    for name, why in failed.items():
        click.echo(f"failed: {name:<{width}}  {why}", err=True)
    if failed:
        click.echo("the same command tries these again", err=True)


_ENDS = {
    "to do": "propagated",
    "finished": "unchanged",
    "no keyframes": "without keyframes",
    "in use": "skipped",
}
