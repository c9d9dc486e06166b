"""`dextr-vos benchmark`: how good a teacher are click-made masks, per second of annotation."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from dextr_vos.cli.options import (
    click_times_option,
    config_option,
    davis_root_option,
    out_option,
    settings_argument,
)

if TYPE_CHECKING:
    from dextr_vos.benchmark.cell import CellJob
    from dextr_vos.benchmark.click_settings import ClickEvaluationSettings
    from dextr_vos.benchmark.settings import BenchmarkSettings


@click.command(short_help="Clicks against drawn masks, per second of annotation.")
@config_option("Settings of the benchmark, see configs/benchmark/.")
@davis_root_option("Folder of DAVIS, in place of what FILE says.")
@out_option("Folder of the benchmark; what is finished there is not run again.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on a Dask cluster, like tcp://127.0.0.1:8786.")
@click.option("--gpu", is_flag=True, help="With --scheduler: jobs ask for the resource GPU=1.")
@click_times_option()
@settings_argument()
def command(
    config: Path,
    davis_root: Path | None,
    out: Path,
    scheduler: str | None,
    gpu: bool,
    click_times: tuple[Path, ...],
    settings: tuple[str, ...],
) -> None:
    """Propagate masks of every supervision on every clip, score them, and draw DIR/report.html.

    KEY=VALUE replaces what FILE says: 'clips=[dog]' 'supervision=[gt,dextr]' 'keyframes=[1,3]'.

    After Ctrl-C, or when it was killed, the same command resumes. A cell that fails is tried once more, then
    reported, and the others continue.
    """
    from dextr_vos.benchmark.click_settings import ClickEvaluationSettings
    from dextr_vos.benchmark.settings import BenchmarkSettings
    from dextr_vos.config import load_settings, top_level_value
    from dextr_vos.errors import ConfigError

    if gpu and scheduler is None:
        raise ConfigError("--gpu goes with --scheduler ADDRESS; the GPUs of this machine are used anyway")
    if top_level_value(config, "kind") == "clicks":
        if scheduler is not None or click_times:
            raise ConfigError("a benchmark of clicks takes no --scheduler and no --click-times")
        wanted = load_settings(ClickEvaluationSettings, config, settings)
        _clicks(wanted if davis_root is None else wanted.with_davis_root(davis_root), config.parent, out)
        return
    base = {} if davis_root is None else {"davis_root": str(davis_root)}
    given = [f"davis_root={json.dumps(str(davis_root))}"] if davis_root is not None else []
    loaded = load_settings(BenchmarkSettings, config, [*given, *settings], base)
    _propagation(loaded, out, scheduler, gpu, click_times)


def _propagation(
    settings: "BenchmarkSettings",
    out: Path,
    scheduler: str | None,
    gpu: bool,
    click_times: tuple[Path, ...],
) -> None:
    """A benchmark of propagated masks."""
    from dextr_vos.benchmark import run
    from dextr_vos.benchmark.annotation_time import AnnotationTime, measured_annotation_time
    from dextr_vos.benchmark.report.page import write_report
    from dextr_vos.errors import counted
    from dextr_vos.interrupt import interruptible

    times = AnnotationTime(click_s=settings.click_s, draw_s=settings.draw_s)
    if click_times:
        times = measured_annotation_time(click_times, settings.draw_s)
    jobs = run.plan(settings, out)
    if scheduler is None:
        workers, words = run.local_workers(settings)
    else:
        workers, words = run.cluster_workers(settings, scheduler, out, gpu)
    finished = sum(job.folder.read() is not None for job in jobs)
    click.echo(f"{counted(len(jobs), 'cell')}, {finished} of them finished; {words}")
    try:
        with interruptible() as stop_asked, _progress(jobs) as report:
            done = run.run_benchmark(settings, out, jobs, workers, words, times, report, stop_asked)
    finally:
        if (out / "table.csv").exists():
            write_report(out)
    failed = [entry for entry in done.cells if entry.error]
    for entry in failed:
        click.echo(f"failed twice: {entry.cell}: {entry.error}", err=True)
    click.echo(f"wrote {out / 'table.csv'} and {out / 'report.html'}")
    if failed:
        click.echo(
            f"{len(failed)} of {counted(len(jobs), 'cell')} failed; the same command tries them again",
            err=True,
        )
        raise SystemExit(1)


def _clicks(settings: "ClickEvaluationSettings", beside: Path, out: Path) -> None:
    """A benchmark of masks from clicks alone."""
    from dextr_vos.benchmark.click_run import plan_clicks, run_clicks
    from dextr_vos.benchmark.report.clicks import write_clicks_report
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.interrupt import interruptible

    cells = plan_clicks(settings, beside)
    try:
        with interruptible() as stop_asked, progress_bars() as bar:
            failed = run_clicks(settings, cells, out, bar, stop_asked)
    finally:
        if (out / "clicks.json").exists():
            write_clicks_report(out)
    for cell in cells:
        if cell.key in failed:
            click.echo(f"failed: {cell}: {failed[cell.key]}", err=True)
    click.echo(f"wrote {out / 'table.csv'} and {out / 'report.html'}")
    if failed:
        raise SystemExit(1)


@contextmanager
def _progress(jobs: "Sequence[CellJob]") -> Iterator[Callable[["Sequence[CellJob]", int, int], None]]:
    """A progress bar of cells; a cell that runs counts by the share of it that is done."""
    from dextr_vos.benchmark.result import share_done
    from dextr_vos.cli.progress import progress_of_jobs

    before = len({job.key for job in jobs if job.folder.read() is not None})
    total = len({job.key for job in jobs})
    with progress_of_jobs(total, before, "cell") as (show, _):

        def report(running: "Sequence[CellJob]", finished: int, failed: int) -> None:
            part = sum(share_done(job.folder.state) for job in running)
            show(before + finished, failed, part, [str(job.cell) for job in running])

        yield report
