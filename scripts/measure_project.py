"""What many clips cost: python scripts/measure_project.py DAVIS OUT [CLIPS FRAMES [KEY=VALUE …]].

Makes a project in OUT of the first FRAMES (10) frames of CLIPS (20) clips of DAVIS, the true mask of each
first frame being its keyframe. Prints the processor seconds of each phase of one clip, short and whole; the
clips an hour with one Dask worker; the same with two, of which one is killed in the middle; whether both made
the same masks, and whether single commands for every fourth clip do. KEY=VALUE changes the recipe, for a
shorter trial. Needs dextr-vos[dask].
"""

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from dextr_vos.clip import open_clip
from dextr_vos.folder_lock import FolderLock
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.pipeline import PropagationOptions, train_propagation
from dextr_vos.project.propagate import plan_project
from dextr_vos.propagation.settings import Callbacks
from dextr_vos.runtime import one_job
from dextr_vos.workspace import Workspace

SETTINGS = sys.argv[5:]
COMMAND = [sys.executable, "-m", "dextr_vos", "propagate"]
OPTIONS = ["--device", "cpu", *SETTINGS]


def write_clip(davis: Path, name: str, frames: int | None, root: Path) -> None:
    """A clip of a project, its first mask as the keyframe."""
    clip = root / "clips" / name
    clip.mkdir(parents=True)
    for path in sorted((davis / "JPEGImages" / "480p" / name).glob("*.jpg"))[:frames]:
        shutil.copy(path, clip)
    workspace = Workspace(root / "work" / name)
    workspace.write_settings(open_clip(clip))
    truth = read_labels(davis / "Annotations" / "480p" / name / "00000.png")
    write_labels(workspace.keyframe("00000"), truth)


def show_phases(root: Path, name: str) -> None:
    """Processor seconds of each phase of a clip on one thread, and the bytes that are read and written."""
    clip, workspace = open_clip(root / "clips" / name), Workspace(root / "work" / name)
    out, seconds, phase, began = root / "phases", dict[str, float](), "loading", time.process_time()

    def on_phase(now: str, done: int, total: int) -> None:
        nonlocal phase, began
        seconds[phase] = seconds.get(phase, 0.0) + time.process_time() - began
        phase, began = now, time.process_time()

    with one_job(1):
        options = PropagationOptions(device="cpu", settings=SETTINGS)
        train_propagation(clip, workspace.path, out, options, Callbacks(on_phase=on_phase))
    on_phase("", 0, 0)
    shutil.rmtree(out / "masks" / ".passes", ignore_errors=True)
    shares = ", ".join(f"{each} {spent:.2f}" for each, spent in seconds.items())
    print(f"{name}, {len(clip)} frames: {sum(seconds.values()):.2f} s of one core: {shares}")
    print(f"  read {size(root / 'clips' / name)} kB of frames; written", end="")
    print("".join(f", {path.name} {size(path)} kB" for path in sorted(out.glob("[!.]*"))), flush=True)
    shutil.rmtree(out)


def size(path: Path) -> int:
    """Of a file, or of all files of a folder, in kB."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return round(sum(each.stat().st_size for each in files) / 1000)


@contextmanager
def cluster(folder: Path, count: int) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """A Dask scheduler and workers of one thread: its address, and the workers' processes."""
    address = folder / f"scheduler-{count}.json"
    where = ["--no-dashboard", "--scheduler-file", str(address)]
    processes = []
    with (folder / f"dask-{count}.log").open("w") as log:

        def start(module: str, *more: str) -> "subprocess.Popen[bytes]":
            arguments = [sys.executable, "-m", f"distributed.cli.{module}", *more, *where]
            processes.append(subprocess.Popen(arguments, stdout=log, stderr=log))
            return processes[-1]

        try:
            start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
            while not address.exists():
                time.sleep(0.1)
            local = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
            workers = [start("dask_worker", *local) for _ in range(count)]
            yield json.loads(address.read_text())["address"], workers
        finally:
            for process in processes:
                process.kill()
                process.wait()


def run_on_cluster(root: Path, work: Path, clips: int, count: int, kill: bool) -> None:
    """Propagate the project on so many workers, and print how fast; kill a busy one in the middle."""
    with cluster(root, count) as (address, workers):
        began, cpu_s, killed = time.monotonic(), 0.0, ""
        arguments = [*COMMAND, "--project", str(root / "clips"), "-o", str(work), "--scheduler", address]
        arguments += OPTIONS
        command = subprocess.Popen(arguments)
        while command.poll() is None:
            finished = len(list(work.glob("*/propagation/run.json")))
            if kill and not killed and finished >= clips // 2 and (busy := busy_worker(work, workers)):
                cpu_s += cpu_seconds(busy.pid)
                busy.kill()
                at_s = time.monotonic() - began
                rate = f"{3600 * finished / at_s:.0f} an hour by then"
                killed = f"; one killed after {at_s:.0f} s and {finished} clips, {rate}"
            time.sleep(0.2)
        took = time.monotonic() - began
        cpu_s += sum(cpu_seconds(worker.pid) for worker in workers if worker.poll() is None)
        print(
            f"{count} workers: status {command.returncode}, {clips} clips in {took:.0f} s, "
            f"{3600 * clips / took:.0f} an hour, {cpu_s:.0f} s of a core in the workers{killed}",
            flush=True,
        )


def busy_worker(work: Path, workers: list["subprocess.Popen[bytes]"]) -> Any:
    """A worker that holds the lock of a run."""
    holders = [FolderLock(path.parent).holder for path in work.glob("*/propagation/.lock.json")]
    return next((one for one in workers if any(f"process {one.pid} " in each for each in holders)), None)


def cpu_seconds(pid: int) -> float:
    """Processor seconds of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def show_differences(what: str, one: Path, other: Path) -> None:
    """How many masks of two folders of workspaces are not the same bytes."""
    masks = sorted(one.glob("*/propagation/masks/*.png"))
    differ = [path for path in masks if path.read_bytes() != (other / path.relative_to(one)).read_bytes()]
    print(f"{what}: {len(masks)} masks, {len(differ)} differ", flush=True)


def main() -> None:
    """See the top of this file."""
    davis, root = Path(sys.argv[1]), Path(sys.argv[2])
    clips, frames = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((3, 20), (4, 10)))
    names = sorted(path.name for path in (davis / "JPEGImages" / "480p").iterdir())[:clips]
    for name in names:
        write_clip(davis, name, frames, root)
    write_clip(davis, names[-1], None, root / "whole")
    planned = plan_project(root / "clips", root / "work")
    print(f"a job is {len(pickle.dumps(planned[0].job))} bytes")
    show_phases(root, names[-1])
    show_phases(root / "whole", names[-1])
    for copy in ("one", "two"):
        shutil.copytree(root / "work", root / copy)
    run_on_cluster(root, root / "one", clips, 1, kill=False)
    run_on_cluster(root, root / "two", clips, 2, kill=True)
    show_differences("one worker and two", root / "one", root / "two")
    for name in names[::4]:
        shutil.copytree(root / "work" / name, root / "single" / name)
        command = [*COMMAND, str(root / "clips" / name), "--keyframes", str(root / "single" / name), *OPTIONS]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    show_differences("single commands and two workers", root / "single", root / "two")


if __name__ == "__main__":
    main()
