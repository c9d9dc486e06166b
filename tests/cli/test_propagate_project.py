"""`dextr-vos propagate --project`: what is said, exit statuses, and many processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_project import QUICK, masks_of, write_project
from tiny_training import ended, scheduler_address, start_command, wait_until

from dextr_vos.cli.main import main
from dextr_vos.folder_lock import FolderLock

slow = pytest.mark.slow
OPTIONS = ("--device", "cpu", "--max-steps", "2", *QUICK)


def call(*given, status=0):
    result = CliRunner().invoke(main, [str(one) for one in given])
    assert result.exit_code == status, (result.output, result.exception)
    return result


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path, "cat", "dog")
    shutil.move("work", "clips-work")
    Path("work").mkdir()
    return shutil.move("clips-work", "work/clips")


def test_a_dry_run_lists_the_clips_and_changes_nothing(project):
    with FolderLock(Path("work/clips/dog")):
        listed = call("propagate", "--project", "clips", "--dry-run").stdout.splitlines()
    assert listed[0] == "cat  to do"
    assert listed[1].startswith("dog  in use: work/clips/dog is in use by process")
    assert list(Path().glob("work/clips/*/propagation")) == []


def test_a_clip_that_a_page_edits_is_skipped_and_is_no_failure(project):
    shutil.rmtree("work/clips/cat/keyframes")
    with FolderLock(Path("work/clips/dog")):
        done = call("train-propagation", "--project", "clips")
    assert "dog is skipped: work/clips/dog is in use by process" in done.stderr
    assert done.stdout == "of 2 clips: 1 without keyframes, 1 skipped\n"


def test_clips_that_fail_are_listed_and_the_status_is_1(project):
    for name in ("cat", "dog"):
        Path(f"work/clips/{name}/keyframes/00000.png").write_bytes(b"no image")
    done = call("propagate", "--project", "work/clips", status=1)
    assert done.stdout == "of 2 clips: 2 failed\n"
    for name in ("cat", "dog"):
        assert f"failed: {name}  cannot read the mask" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "give a CLIP or a workspace, or --project FOLDER"),
        (("clips/cat", "--project", "clips"), "give either the clip clips/cat or --project clips"),
        (("--project", "clips", "--keyframes", "work"), "--keyframes is for one clip"),
        (("--project", "clips", "--frames", "0-9"), "--frames is for one clip"),
        (("--project", "clips", "speed=9"), "speed=9: unknown setting"),
        (
            ("--project", "clips", "--scheduler", "x", "--workers", "2"),
            "--workers is for this machine",
        ),
        (("--project", "clips", "--gpu"), "--gpu goes with --scheduler"),
        (("--project", "clips", "--dry-run", "--device", "nonsense"), "unknown device 'nonsense'"),
        (("clips/cat", "--dry-run"), "--dry-run goes with --project"),
        (("clips/cat", "--workers", "2"), "--workers goes with --project"),
        (("--project", "nowhere"), "there is no folder nowhere"),
    ],
)
def test_what_contradicts_itself_is_one_line_and_status_2(project, options, words):
    done = call("propagate", *options, status=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def command(told: Path, *given: str):
    return start_command(["propagate", "--project", "clips", *given, *OPTIONS], told)


@slow
def test_ctrl_c_is_quick_and_the_same_command_makes_the_rest(project, tmp_path):
    told = tmp_path / "told.txt"
    with FolderLock(
        Path("work/clips/dog/propagation")
    ):  # the second one waits, so that it does not end too soon
        running = command(told, "--workers", "1")
        wait_until(Path("work/clips/cat/propagation").exists, running)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        assert ended(running) == [130]
    assert "of 2 clips finished; the same command resumes" in told.read_text()
    assert "Traceback" not in told.read_text()
    assert ended(command(told, "--workers", "2")) == [0], told.read_text()
    assert told.read_text().endswith("of 2 clips: 2 propagated\n")
    assert [len(masks_of(Path("work/clips") / name)) for name in ("cat", "dog")] == [3, 3]


@contextmanager
def cluster(folder: Path, count: int):
    """A Dask scheduler and workers of one thread: their processes, the scheduler's first, and its address."""
    log, address = folder / "dask.log", folder / "scheduler.json"
    where = ["--no-dashboard", "--scheduler-file", str(address)]
    scheduler = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    worker = [
        "distributed.cli.dask_worker",
        "--nthreads",
        "1",
        "--no-nanny",
        "--local-directory",
        str(folder),
    ]
    processes = []
    with log.open("w") as file:
        try:
            for arguments in (scheduler, *[worker] * count):
                process = subprocess.Popen(
                    [sys.executable, "-m", *arguments, *where], stdout=file, stderr=file
                )
                processes.append(process)
                scheduled_at = scheduler_address(address, processes[0])
            wait_until(lambda: log.read_text().count("Registered to") >= count, *processes)
            yield processes, scheduled_at
        finally:
            for process in processes:
                process.kill()
                process.wait()


def holders() -> list[int]:
    """The processes that are propagating."""
    found = []
    for path in Path().glob("work/clips/*/propagation/.lock.json"):
        with suppress(OSError, ValueError):  # it has ended just now
            found.append(json.loads(path.read_text())["pid"])
    return found


@slow
def test_a_cluster_that_loses_a_worker_makes_the_masks_of_single_commands(project, tmp_path):
    pytest.importorskip("distributed")
    told = tmp_path / "told.txt"
    with cluster(tmp_path, 2) as (processes, address):
        running = command(told, "--scheduler", address)
        busy: list[int] = []
        wait_until(lambda: busy.extend(holders()) or busy, running)
        next(process for process in processes if process.pid == busy[0]).kill()
        assert ended(running) == [0], told.read_text() + (tmp_path / "dask.log").read_text()
    assert told.read_text().endswith("of 2 clips: 2 propagated\n")
    for name in ("cat", "dog"):
        made = masks_of(Path("work/clips") / name)
        call("propagate", f"clips/{name}", "--keyframes", f"work/clips/{name}", "-o", f"one/{name}", *OPTIONS)
        assert made == {path.name: path.read_bytes() for path in Path(f"one/{name}/masks").iterdir()}
