"""A benchmark as a whole: plan the grid, run the cells that are not finished, write the table."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from dextr_vos.benchmark.annotation_time import AnnotationTime, save_annotation_time
from dextr_vos.benchmark.cell import CellJob, clip_of
from dextr_vos.benchmark.grid import Cell, clicks_file, grid, key_of
from dextr_vos.benchmark.keyframe_masks import even_frames, frames_with_truth
from dextr_vos.benchmark.result import CellFolder, CellResult
from dextr_vos.benchmark.settings import BenchmarkSettings
from dextr_vos.benchmark.table import write_table
from dextr_vos.clip import Clip
from dextr_vos.config import as_yaml
from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import ConfigError, InputError
from dextr_vos.evaluation.davis import MIN_TRUTHS
from dextr_vos.evaluation.official import official_functions
from dextr_vos.files import read_text, write_text
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.propagation.recipes import config_named
from dextr_vos.workers import local
from dextr_vos.workers.cluster import DaskWorkers
from dextr_vos.workers.code import code_digest
from dextr_vos.workers.jobs import OnChange, Workers, run_jobs

_RECORD_INTERVAL_S = 30.0


class GridCell(BaseModel):
    """A cell in `grid.json`.

    Attributes:
        key: see `key_of`.
        cell: what it is.
        error: why it failed, empty where it did not.
    """

    model_config = ConfigDict(frozen=True)
    key: str
    cell: Cell
    error: str = Field(default="", validation_alias=AliasChoices("error", "fault"))


class Grid(BaseModel):
    """`grid.json`: the cells that a benchmark consists of; the folder may hold others of earlier settings.

    Attributes:
        cells: in their order.
        hours: of all runs together.
        workers: description of the workers.
    """

    model_config = ConfigDict(frozen=True)
    cells: tuple[GridCell, ...]
    hours: float = 0.0
    workers: str = ""


def plan(settings: BenchmarkSettings, out: Path) -> list[CellJob]:
    """One job a cell; everything that can be checked beforehand is checked.

    Raises:
        InputError: a clip, a file or a recipe's key is missing, or a clip has too few frames.
        ConfigError: the settings name no data set.
    """
    if settings.davis_root is None:
        raise ConfigError("the benchmark needs a data set; give --davis-root or davis_root in the settings")
    # jobs may run elsewhere
    root = settings.davis_root.resolve()
    absolute, davis = _absolute(settings, root), Davis(root)
    if settings.clips:
        clips = [davis.require(clip) for clip in settings.clips]
    else:
        clips = davis.clips(settings.split, settings.year)
    if settings.official:
        official_functions()
    for clip in clips:
        _check_clip(davis, clip_of(davis, clip), clip, absolute)
    cells = grid(absolute, clips)
    out, code = out.resolve(), code_digest()
    return [CellJob(cell, key_of(cell, absolute, davis), absolute, out, code) for cell in cells]


def _absolute(settings: BenchmarkSettings, root: Path) -> BenchmarkSettings:
    """Settings with absolute paths, which mean the same in any process."""
    named = {name: getattr(settings.clicks, name) for name in ("weights", "files")}
    clicks = {name: path.resolve() for name, path in named.items() if path is not None}
    parent = {
        model: path if path == "none" else str(Path(path).resolve())
        for model, path in settings.parent.items()
    }
    changes = {"davis_root": root, "clicks": settings.clicks.model_copy(update=clicks), "parent": parent}
    return settings.model_copy(update=changes)


def local_workers(settings: BenchmarkSettings) -> tuple[Workers, str]:
    """Workers of this machine, as many as fit, and their description."""
    job_gb = max(config_named(model).job_gb for model in settings.models)
    return local.local_workers(settings.device, settings.workers, settings.threads, job_gb)


def cluster_workers(settings: BenchmarkSettings, scheduler: str, out: Path, gpu: bool) -> tuple[Workers, str]:
    """Workers of a Dask cluster, and their description."""
    return DaskWorkers(scheduler, out.resolve(), gpu, settings.device), f"Dask cluster {scheduler}"


def run_benchmark(
    settings: BenchmarkSettings,
    out: Path,
    jobs: Sequence[CellJob],
    workers: Workers,
    words: str = "",
    times: AnnotationTime | None = None,
    on_change: OnChange | None = None,
    stop_asked: StopAsked = never,
) -> Grid:
    """Run what is not finished, and write settings, grid and table.

    Args:
        settings: of the benchmark.
        out: its folder.
        jobs: see `plan`.
        workers: where to run; stopped at the end, whatever happens.
        words: description of the workers.
        times: seconds of annotation; those of the settings when not given.
        on_change: see `run_jobs`.
        stop_asked: asked about once a second.

    Returns:
        The grid, with the reasons of what failed.

    Raises:
        InputError: a worker cannot give the results that the jobs ask for.
        Interrupted: a stop was asked for; the table holds what is finished.
    """
    times = times or AnnotationTime(click_s=settings.click_s, draw_s=settings.draw_s)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "settings.yaml", as_yaml(settings))
    save_annotation_time(out / "times.json", times)
    # cells that are the same have one key, and are run once
    todo = {job.key: job for job in jobs if job.folder.read() is None}
    record = _Record(out, jobs, words if todo else "")

    def note(running: Sequence[CellJob], finished: int, failed: int) -> None:
        record.write_if_due()
        if on_change is not None:
            on_change(running, finished, failed)

    failed: dict[str, str] = {}
    record.write(failed)
    try:
        run_jobs(list(todo.values()), workers, "cells", note, stop_asked, failed)
    finally:
        workers.stop()
        done = record.write(failed)
        write_table(out, results_of(out, done), times)
    return done


class _Record:
    """Writes `grid.json` from time to time, so that the hours of a run that is killed are kept."""

    def __init__(self, out: Path, jobs: Sequence[CellJob], words: str) -> None:
        self._out, self._jobs = out, jobs
        self._started = self._written = time.monotonic()
        try:
            before = read_grid(out)
        except InputError:
            before = Grid(cells=())
        self._hours, self._words = before.hours, words or before.workers

    def write(self, failed: Mapping[str, str]) -> Grid:
        self._written = time.monotonic()
        done = Grid(
            cells=tuple(
                GridCell(key=job.key, cell=job.cell, error=failed.get(job.key, "")) for job in self._jobs
            ),
            hours=self._hours + (self._written - self._started) / 3600,
            workers=self._words,
        )
        write_text(self._out / "grid.json", done.model_dump_json(indent=1) + "\n")
        return done

    def write_if_due(self) -> None:
        if time.monotonic() - self._written > _RECORD_INTERVAL_S:
            self.write({})


def read_grid(out: Path) -> Grid:
    """The grid of a benchmark's folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    try:
        return Grid.model_validate_json(read_text(out / "grid.json"))
    except FileNotFoundError:
        raise InputError(f"{out} holds no benchmark; give the --out folder of dextr-vos benchmark") from None
    except (InputError, ValidationError):
        raise InputError(f"{out / 'grid.json'} is damaged; run dextr-vos benchmark again") from None


def every_cell(out: Path) -> Grid:
    """A grid of all cells that are finished in a folder, those of earlier settings too.

    Of several results of one cell, by other recipes or weights, say, the newest is taken.

    Raises:
        InputError: the folder holds no benchmark.
    """
    before = read_grid(out)
    folders = [CellFolder(out, path.name) for path in (out / "cells").glob("[!.]*")]
    finished = [folder for folder in folders if folder.result.exists()]
    finished.sort(key=lambda folder: (folder.result.stat().st_mtime_ns, folder.key))
    found = [folder.read() for folder in finished]
    cells = {one.cell: one.key for one in found if one is not None}
    ways = {(cell.supervision, cell.model, cell.seed, cell.choose) for cell in cells}
    for cell, key in list(cells.items()):
        for *same, choose in ways:
            # one keyframe is the first frame, evenly spaced or suggested
            if cell.keyframes == 1 and same == [cell.supervision, cell.model, cell.seed]:
                cells.setdefault(cell.model_copy(update={"choose": choose}), key)
    ordered = sorted(cells, key=lambda cell: (cell.seed, cell.model, cell.clip, cell.keyframes, cell.choose))
    return Grid(
        cells=tuple(GridCell(key=cells[cell], cell=cell) for cell in ordered),
        hours=before.hours,
        workers=before.workers,
    )


def results_of(out: Path, cells: Grid) -> list[CellResult]:
    """Results of the cells that are finished, in the order of the grid, each under its own cell."""
    results = []
    for entry in cells.cells:
        result = CellFolder(out, entry.key).read()
        if result is not None:
            results.append(result.model_copy(update={"cell": entry.cell}))
    return results


def _check_clip(davis: Davis, clip: Clip, name: str, settings: BenchmarkSettings) -> None:
    truths = frames_with_truth(davis, name, clip)
    if len(truths) < MIN_TRUTHS:
        raise InputError(
            f"clip {name}: {len(truths)} of {len(clip)} frames have a true mask, expected at least "
            f"{MIN_TRUTHS}, because the first and the last are not scored; leave the clip out"
        )
    even_frames(len(truths), max(settings.keyframes))
    if "clicks" in settings.supervision:
        assert settings.clicks.files is not None
        clicks_file(settings.clicks.files, name)
