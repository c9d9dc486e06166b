"""Where jobs run: in this process, or in processes of this machine; `cluster.py` has Dask's."""

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

from dextr_vos.benchmark.attempt import Outcome, attempt
from dextr_vos.benchmark.cell import Job
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.interrupt import StopAsked, never

_PATIENCE_S = 120.0  # for a worker that was asked to stop


class Workers(Protocol):
    """What runs jobs."""

    def free(self) -> int:
        """How many more jobs it takes now."""
        ...

    def start(self, job: Job) -> None:
        """Begin with a job; `free` must be at least 1."""
        ...

    def wait(self, timeout_s: float) -> list[Outcome]:
        """The jobs that ended, none if none does within the time."""
        ...

    def stop(self) -> None:
        """Let all that run come to a safe moment, then end."""
        ...


class Inline:
    """Runs each job in this process when it is waited for.

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

    def wait(self, timeout_s: float) -> list[Outcome]:
        """See `Workers`."""
        job, self._job = self._job, None
        return [] if job is None else [attempt(job, self._device, self._stop_asked)]

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

    def wait(self, timeout_s: float) -> list[Outcome]:
        """See `Workers`."""
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        # a pipe is ready, too, when the process at its other end is gone
        return [busy[pipe].outcome() for pipe in wait(list(busy), timeout_s) if isinstance(pipe, Connection)]

    def stop(self) -> None:
        """See `Workers`."""
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.end()


class _Worker:
    """A process of its own, begun with its first job and again after it died."""

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
            with _deaf_to_ctrl_c():
                self._process.start()
            other.close()
        self.job = job
        self.pipe.send(job)

    def outcome(self) -> Outcome:
        assert self.job is not None
        assert self._process is not None
        job, self.job = self.job, None
        try:
            outcome = self.pipe.recv()
            assert isinstance(outcome, Outcome)
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            self._process = None
            why = f"signal {-code}, perhaps for want of memory" if code < 0 else f"exit status {code}"
            return Outcome(job.key, f"its process ended ({why})")
        if outcome.stopped:  # by somebody else; it serves no more
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
            self._process.join(_PATIENCE_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What is started while the block runs never hears Ctrl-C, which reaches every process of a terminal."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, device: str, parent: int) -> None:
    """What a worker's process does: jobs, until the pipe is closed or it is asked to stop."""
    asked = threading.Event()
    # the parent alone decides what Ctrl-C means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: asked.set())

    def stop_asked() -> bool:
        return asked.is_set() or os.getppid() != parent  # the parent was killed

    while not stop_asked():
        try:
            pipe.send(attempt(pipe.recv(), device, stop_asked))
        except (EOFError, OSError):
            return


log = logging.getLogger(__name__)

_TRIES = 2
_BETWEEN_LOOKS_S = 1.0

OnChange = Callable[[Sequence[Job], int, int], None]


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
        on_change: called now and then with the jobs that run, and the numbers of finished and failed ones.
        stop_asked: asked about once a second.
        failed: where the reasons are told, so that they are known after an exception, too.

    Returns:
        By key, why a job failed the second time; `failed`, where it was given.

    Raises:
        InputError: a worker cannot give the results that the jobs ask for.
        Interrupted: a stop was asked for; the same call goes on with what was not finished.
    """
    waiting, running = deque(jobs), dict[str, Job]()
    tries, finished, refused = Counter[str](), 0, ""
    failed = {} if failed is None else failed
    while waiting or running:
        if stop_asked():
            raise Interrupted(
                f"stopped with {finished} of {len(jobs)} cells finished; the same command goes on from there"
            )
        while waiting and workers.free():
            job = waiting.popleft()
            running[job.key] = job
            workers.start(job)
        for outcome in workers.wait(_BETWEEN_LOOKS_S):
            job = running.pop(outcome.key)
            tries[job.key] += 1
            if outcome.refused:
                refused = outcome.fault
            elif outcome.stopped:
                tries[job.key] -= 1
                waiting.appendleft(job)
            elif not outcome.fault:
                finished += 1
            elif tries[job.key] < _TRIES:
                log.warning("%s: %s; it is tried again", job.cell, outcome.fault)
                waiting.append(job)
            else:
                log.warning("%s: failed again: %s", job.cell, outcome.fault)
                failed[job.key] = outcome.fault
        if refused:  # that worker would have the next one, and refuse it, too
            raise InputError(f"{refused}; {finished} of {len(jobs)} cells are finished")
        if on_change is not None:
            on_change(list(running.values()), finished, len(failed))
    return failed
