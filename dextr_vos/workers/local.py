"""Workers that run jobs in processes of this machine, and how many of them fit on it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from dextr_vos.errors import InputError
from dextr_vos.workers.jobs import Job, JobOutcome

_STOP_TIMEOUT_S = 120.0


class LocalWorkers:
    """One process a device; a process that dies is replaced, and its job counts as failed.

    Args:
        devices: one worker each, so `["cpu", "cpu"]` are two.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self._workers = [_Worker(device) for device in devices]

    def free(self) -> int:
        """See `Workers`."""
        return sum(worker.job is None for worker in self._workers)

    def start(self, job: Job) -> None:
        """See `Workers`."""
        next(worker for worker in self._workers if worker.job is None).begin(job)

    def wait(self, timeout_s: float) -> list[JobOutcome]:
        """See `Workers`."""
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        # a pipe is ready, too, when the process at its other end has died
        return [busy[pipe].outcome() for pipe in wait(list(busy), timeout_s) if isinstance(pipe, Connection)]

    def stop(self) -> None:
        """See `Workers`."""
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.end()


class _Worker:
    """A process, started with its first job and again after it died."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._process: BaseProcess | None = None
        self.pipe: Connection
        self.job: Job | None = None

    def begin(self, job: Job) -> None:
        if self._process is not None and not self._process.is_alive():  # killed while it had no job
            self.pipe.close()
            self._process = None
        if self._process is None:
            self._process = self._started()
        self.job = job
        with suppress(OSError):  # it was killed just now, which `outcome` finds
            self.pipe.send(job)

    def _started(self) -> BaseProcess:
        # a fork would carry along PyTorch's threads, which do not survive it
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        process = context.Process(target=_serve, args=(other, self._device, os.getpid()))
        with _ctrl_c_blocked():
            process.start()
        other.close()
        return process

    def outcome(self) -> JobOutcome:
        assert self.job is not None
        assert self._process is not None
        job, self.job = self.job, None
        try:
            outcome = self.pipe.recv()
            assert isinstance(outcome, JobOutcome)
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            self._process = None
            why = f"signal {-code}, perhaps out of memory" if code < 0 else f"exit status {code}"
            return JobOutcome(job.key, f"its process ended ({why})")
        if outcome.stopped:  # by a signal that was not ours; the process has ended
            self._process.join()
            self._process = None
        return outcome

    def ask_to_stop(self) -> None:
        if self._process is None:
            return
        if self._process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
        self.pipe.close()

    def end(self) -> None:
        if self._process is not None:
            self._process.join(_STOP_TIMEOUT_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Processes started while the block runs ignore Ctrl-C, which reaches every process of a terminal."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, device: str, parent: int) -> None:
    """The main function of a worker's process: runs jobs until the pipe is closed or a stop is asked for."""
    asked = threading.Event()
    # the parent alone decides what Ctrl-C means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: asked.set())

    def stop_asked() -> bool:
        return asked.is_set() or os.getppid() != parent  # the parent was killed

    while not stop_asked():
        try:
            pipe.send(pipe.recv().attempt(device, stop_asked))
        except (EOFError, OSError):
            return


def local_workers(device: str, count: int | None, threads: int, job_gb: float) -> tuple[LocalWorkers, str]:
    """Workers of this machine, and their description.

    Args:
        device: see `pick_device`; "auto" and "cuda" take every GPU there is.
        count: of workers; None takes as many as fit.
        threads: of each job.
        job_gb: gigabytes of memory that a job takes, see `ModelConfig`.

    Raises:
        InputError: the device is not available, or there are fewer GPUs than workers.
    """
    import torch

    from dextr_vos.runtime import pick_device

    picked = pick_device(device)
    if str(picked) == "cuda":
        devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        _check_count(count, len(devices), device)
        devices = devices[: count or len(devices)]
        return LocalWorkers(devices), f"{len(devices)} GPUs of this machine"
    if picked.type != "cpu":
        _check_count(count, 1, device)
        count = 1
    elif count is None:
        count = jobs_that_fit(job_gb, threads)
    what = "process" if count == 1 else "processes"
    words = f"{count} {what} of this machine, threads of each: {threads}"
    return LocalWorkers([str(picked)] * count), words


def _check_count(count: int | None, most: int, device: str) -> None:
    """Refuse more workers than there are GPUs: each job takes one."""
    if count is not None and count > most:
        raise InputError(
            f"{count} workers were asked for, and the device {device} runs {most}, one per GPU; ask for "
            "fewer, or do not say how many"
        )


def cores() -> int:
    """Cores this process may use; all of the machine where the system does not know."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jobs_that_fit(job_gb: float, threads: int) -> int:
    """How many jobs of so many gigabytes run on this machine's cores and in its free memory, at least one."""
    fit = cores() // threads
    free = _free_gb()
    if free is not None:
        fit = min(fit, int(free // job_gb))
    return max(1, fit)


def _free_gb() -> float | None:
    """Gigabytes of free memory; None where the system does not know."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None
    for line in info.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 2**20
    return None
