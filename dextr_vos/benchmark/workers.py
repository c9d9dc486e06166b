"""Workers that run jobs in this process or in processes of this machine, and the loop that feeds them."""

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol

from dextr_vos.benchmark.cell import Job, JobOutcome, try_job
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.interrupt import StopAsked, never

log = logging.getLogger(__name__)

_TRIES = 2
_POLL_S = 1.0
_STOP_TIMEOUT_S = 120.0

# called with the running jobs, and the numbers of finished and failed ones
OnChange = Callable[[Sequence[Job], int, int], None]


class Workers(Protocol):
    """Runs jobs."""

    def free(self) -> int:
        """How many more jobs can be started now."""
        ...

    def start(self, job: Job) -> None:
        """Start a job; `free` must be at least 1."""
        ...

    def wait(self, timeout_s: float) -> list[JobOutcome]:
        """The outcomes of jobs that ended; empty when none did within `timeout_s` seconds."""
        ...

    def stop(self) -> None:
        """Ask running jobs to save their state and end, and end the workers."""
        ...


class Inline:
    """Runs each job in this process, when `wait` is called.

    Args:
        device: where networks compute.
        stop_asked: asked between steps and frames.
    """

    def __init__(self, device: str, stop_asked: StopAsked) -> None:
        self._device, self._stop_asked = device, stop_asked
        self._job: Job | None = None

    def free(self) -> int:
        """See `Workers`."""
        return int(self._job is None)

    def start(self, job: Job) -> None:
        """See `Workers`."""
        self._job = job

    def wait(self, timeout_s: float) -> list[JobOutcome]:
        """See `Workers`."""
        job, self._job = self._job, None
        return [] if job is None else [try_job(job, self._device, self._stop_asked)]

    def stop(self) -> None:
        """See `Workers`."""


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
        if self._process is None:
            # a fork would carry along PyTorch's threads, which do not survive it
            context = multiprocessing.get_context("spawn")
            self.pipe, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other, self._device, os.getpid()))
            with _ctrl_c_blocked():
                self._process.start()
            other.close()
        self.job = job
        self.pipe.send(job)

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
            pipe.send(try_job(pipe.recv(), device, stop_asked))
        except (EOFError, OSError):
            return


def run_jobs(
    jobs: Sequence[Job],
    workers: Workers,
    on_change: OnChange | None = None,
    stop_asked: StopAsked = never,
    failed: dict[str, str] | None = None,
) -> dict[str, str]:
    """Run jobs until each is finished or has failed twice.

    Args:
        jobs: with keys that differ from one another.
        workers: what runs them.
        on_change: called about once a second.
        stop_asked: asked about once a second.
        failed: gets the errors, so that they are known after an exception, too.

    Returns:
        By key, why a job failed the second time; `failed`, where it was given.

    Raises:
        InputError: a worker cannot give the results that the jobs ask for.
        Interrupted: a stop was asked for; the same call resumes.
    """
    waiting, running = deque(jobs), dict[str, Job]()
    tries, finished, refused = Counter[str](), 0, ""
    failed = {} if failed is None else failed
    while waiting or running:
        if stop_asked():
            raise Interrupted(
                f"stopped with {finished} of {len(jobs)} cells finished; the same command resumes"
            )
        while waiting and workers.free():
            job = waiting.popleft()
            running[job.key] = job
            workers.start(job)
        for outcome in workers.wait(_POLL_S):
            job = running.pop(outcome.key)
            if outcome.refused:
                refused = outcome.error
            elif outcome.stopped:
                waiting.appendleft(job)
            elif not outcome.error:
                finished += 1
            else:
                tries[job.key] += 1
                if tries[job.key] < _TRIES:
                    log.warning("%s: %s; it is tried again", job.cell, outcome.error)
                    waiting.append(job)
                else:
                    log.warning("%s failed again: %s", job.cell, outcome.error)
                    failed[job.key] = outcome.error
        if refused:  # that worker would get the next job, and refuse it, too
            raise InputError(f"{refused}; {finished} of {len(jobs)} cells are finished")
        if on_change is not None:
            on_change(list(running.values()), finished, len(failed))
    return failed
