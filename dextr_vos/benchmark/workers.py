"""Workers that run jobs in processes of this machine or on a Dask cluster, and the loop that feeds them.

Those of a cluster see the data set and the folder of the benchmark under the same paths as this machine.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from dextr_vos.benchmark.cell import Job, JobOutcome, try_job
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.interrupt import StopAsked, never

log = logging.getLogger(__name__)


_TRIES = 2
_POLL_S = 1.0
_STOP_TIMEOUT_S = 120.0

# called with the running jobs, and the numbers of finished and failed ones
OnChange = Callable[[Sequence[Job], int, int], None]
_CONNECT_S = 20.0


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


class DaskWorkers:
    """Runs jobs on a cluster; the jobs of a worker that dies go to another one.

    Args:
        address: of the scheduler, like `tcp://127.0.0.1:8786`.
        out: the benchmark's folder; a file in it asks running jobs to stop.
        gpu: jobs ask for the resource `GPU=1`.
        device: where networks compute.

    Raises:
        InputError: Dask is not installed, there is no scheduler, or there are workers and none with a GPU.
    """

    def __init__(self, address: str, out: Path, gpu: bool, device: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise InputError('a cluster needs Dask; install it with: pip install "dextr-vos[dask]"') from None
        try:
            self._client: Any = Client(address, timeout=_CONNECT_S)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(
                f"there is no Dask scheduler at {address} ({error}); start dask scheduler"
            ) from None
        known = self._client.scheduler_info()["workers"].values()
        if gpu and known and not any(worker.get("resources", {}).get("GPU") for worker in known):
            self._client.close()
            raise InputError(
                f"no worker of {address} offers the resource GPU; start them with --resources GPU=1, or "
                "leave --gpu out"
            )
        self._stop_file = out / f".stop-{os.getpid()}-{time.time_ns()}"
        self._resources = {"GPU": 1} if gpu else {}
        self._device = device
        self._running: dict[Any, str] = {}
        self._tries = 0

    def free(self) -> int:
        """See `Workers`: twice as many as run at once, so that no worker is idle between two jobs."""
        threads: int = sum(self._client.nthreads().values())
        return max(0, 2 * threads - len(self._running))

    def start(self, job: Job) -> None:
        """See `Workers`."""
        self._tries += 1
        future = self._client.submit(
            _on_worker,
            job,
            self._device,
            self._stop_file,
            key=f"dextr-vos-{job.key}-{os.getpid()}-{self._tries}",
            resources=self._resources,
            pure=False,
        )
        self._running[future] = job.key

    def wait(self, timeout_s: float) -> list[JobOutcome]:
        """See `Workers`."""
        from distributed import wait

        if not self._running:
            time.sleep(timeout_s)  # no worker has come yet
            return []
        try:
            done = wait(list(self._running), timeout=timeout_s, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return []
        outcomes = []
        for future in done:
            key = self._running.pop(future)
            error = future.exception() if future.status == "error" else None
            if error is not None:  # of the cluster; those of a job are in its outcome
                outcomes.append(JobOutcome(key, f"{type(error).__name__}: {error}"))
            else:
                outcomes.append(JobOutcome(key, stopped=True) if future.cancelled() else future.result())
        return outcomes

    def stop(self) -> None:
        """See `Workers`; running jobs find the stop file and end by themselves."""
        if self._running:
            self._stop_file.touch()
            self._client.cancel([future for future in self._running if future.status == "pending"])
        self._client.close()


def _on_worker(job: Job, device: str, stop_file: Path) -> JobOutcome:
    asked_at, answer = -_POLL_S, False

    def stop_asked() -> bool:
        nonlocal asked_at, answer
        if time.monotonic() - asked_at >= _POLL_S:
            asked_at, answer = time.monotonic(), stop_file.exists()
        return answer

    return try_job(job, device, stop_asked)
