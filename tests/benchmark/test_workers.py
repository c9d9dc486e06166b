"""A benchmark on workers: Ctrl-C, the command killed, a worker killed, a lost cluster worker."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tiny_benchmark import RECIPE, run_inline, tiny_settings, write_davis
from tiny_training import ended, scheduler_address, start_command, wait_until

from dextr_vos.benchmark.run import plan, read_grid, run_benchmark
from dextr_vos.benchmark.table import compare, read_table
from dextr_vos.config import as_yaml
from dextr_vos.folder_lock import FolderLock
from dextr_vos.workers.local import LocalWorkers

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = write_davis(tmp_path_factory.mktemp("data") / "davis", {"bear": 3, "cow": 3, "dog": 3})
    recipe = {"lite": {**RECIPE, "max_steps": 1}}
    return tiny_settings(root, supervision=("gt",), keyframes=(1,), workers=1, recipe=recipe)


@pytest.fixture(scope="module")
def whole_run(settings, tmp_path_factory):
    """The folder of a run that was not disturbed, in one process."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run_inline(settings, out)
    return out


@pytest.fixture
def whole(whole_run):
    """Its table."""
    return scores_of(whole_run)


def scores_of(out: Path) -> list:
    times = ("annotate_s", "finetune_s", "segment_s")
    return [{name: value for name, value in row.items() if name not in times} for row in read_table(out)]


def command(settings, out: Path, *more: str) -> BaseProcess:
    config = out.parent / "settings.yaml"
    config.write_text(as_yaml(settings))
    return start_command(["benchmark", "--config", str(config), "--out", str(out), *more], told_by(out))


def told_by(out: Path) -> Path:
    """The file of what commands printed."""
    return out.parent / f"{out.name}.txt"


def finished(out: Path) -> int:
    return len(list(out.glob("cells/*/result.json")))


@contextmanager
def held(settings, out: Path, count: int) -> Iterator[None]:
    """The last cells wait until the block ends, so that a run does not, however late it is stopped."""
    with ExitStack() as stack:
        for job in plan(settings, out)[-count:]:
            stack.enter_context(FolderLock(job.folder.path))
        yield


@slow
def test_stopped_by_ctrl_c_and_then_killed_a_run_ends_with_the_same_table(settings, whole_run, tmp_path):
    out = tmp_path / "out"
    with held(settings, out, 2):
        running = command(settings, out)
        wait_until(lambda: list(out.glob("cells/*/work")) or finished(out), running)  # within the first cell
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        assert ended(running) == [130]
    told = told_by(out).read_text()
    assert "the same command resumes" in told
    assert "Traceback" not in told
    before = finished(out)
    assert before < 2
    assert read_grid(out).cells
    assert len({row["clip"] for row in read_table(out)}) == before

    with held(settings, out, 1):
        running = command(settings, out)
        wait_until(lambda: finished(out) > before, running)
        running.kill()
        assert ended(running) == [-signal.SIGKILL]
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/result.json")}
    assert ended(command(settings, out)) == [0], told_by(out).read_text()
    assert scores_of(out) == scores_of(whole_run)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert (out / "report.html").exists()
    assert compare(read_table(whole_run), read_table(out)).same == 3


@slow
def test_a_worker_that_dies_is_replaced_and_its_cell_tried_again(settings, whole, tmp_path):
    out = tmp_path / "died"
    workers, killed = LocalWorkers(["cpu"]), []

    def kill_one(running, done, failed):
        if running and not killed:  # at once: a tiny cell may have ended when it is looked at again
            process = workers._workers[0]._process
            if process is not None and process.pid is not None:
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)

    grid = run_benchmark(settings, out, plan(settings, out), workers, on_change=kill_one)
    assert killed
    assert not any(entry.error for entry in grid.cells)
    assert scores_of(out) == whole


@slow
def test_a_cluster_that_loses_a_worker_gives_the_same_table(settings, whole, tmp_path):
    pytest.importorskip("distributed")
    out, log = tmp_path / "cluster", tmp_path / "dask.log"
    address = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny"]
    worker += ["--no-dashboard", "--scheduler-file", str(address), "--local-directory", str(tmp_path)]
    processes = []
    try:
        with log.open("w") as file:

            def begin(arguments):
                processes.append(subprocess.Popen(arguments, stdout=file, stderr=file))
                return processes[-1]

            scheduler = begin([*dask, "--no-dashboard", "--scheduler-file", str(address)])
            where = ["--scheduler", scheduler_address(address, scheduler)]
            first, second = begin(worker), begin(worker)
            wait_until(lambda: log.read_text().count("Registered to") >= 2, scheduler, first, second)
            assert ended(command(settings, tmp_path / "gpu", *where, "--gpu")) == [2]
            assert "resource GPU" in told_by(tmp_path / "gpu").read_text()
            with held(settings, out, 2):
                running = command(settings, out, *where)
                wait_until(lambda: list(out.glob("cells/*/work")) or finished(out), running)
                first.kill()
            assert ended(running) == [0], told_by(out).read_text() + log.read_text()
        assert scores_of(out) == whole
        assert "Dask cluster" in read_grid(out).workers
    finally:
        for process in processes:
            process.kill()
            process.wait()
