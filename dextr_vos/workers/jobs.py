"""Jobs, what runs them, and the loop that feeds it: every job is tried, whatever happens to the others.

A job describes itself wholly, so that it can be sent to another process or another machine, and resumes what
an earlier try of it has left on disk.
"""

import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dextr_vos.errors import DextrVosError, InputError, Interrupted, refused_by_disk
from dextr_vos.interrupt import StopAsked, never

log = logging.getLogger(__name__)

POLL_S = 1.0
_TRIES = 2


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended.

    Attributes:
        key: of the job.
        error: one line that says what went wrong; empty when it is finished or stopped.
        stopped: a stop was asked for before it was finished.
        refused: the error is the worker's, which could not run any other job either.
        note: one line about a job that is finished; may be empty.
    """

    key: str
    error: str = ""
    stopped: bool = False
    refused: bool = False
    note: str = ""


def refusal(key: str, error: DextrVosError) -> JobOutcome:
    """The outcome of a job that this process cannot run."""
    return JobOutcome(key, f"the worker {os.getpid()} on {socket.gethostname()}: {error}", refused=True)


def failure(key: str, error: Exception) -> JobOutcome:
    """The outcome of a job that has failed."""
    if isinstance(error, OSError) and error.filename:
        return JobOutcome(key, refused_by_disk(error))
    expected = isinstance(error, DextrVosError)
    return JobOutcome(key, str(error) if expected else f"{type(error).__name__}: {error}")


class Job(Protocol):
    """Long work on one thing; can be pickled. Its text is what people call it."""

    @property
    def key(self) -> str:
        """Tells it from other jobs."""
        ...

    def attempt(self, device: str, stop_asked: StopAsked) -> JobOutcome:
        """Run it, in whatever process this is; errors are returned, so that the other jobs are run.

        Args:
            device: where networks compute, see `pick_device`.
            stop_asked: asked between steps; what is done by then is kept.
        """
        ...


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


OnChange = Callable[[Sequence[Any], int, int], None]
"""Called with the running jobs, and the numbers of finished and failed ones."""

OnNote = Callable[[Any, str], None]
"""Called with a job that is finished, and what it says of itself."""


def run_jobs(
    jobs: Sequence[Job],
    workers: Workers,
    unit: str,
    on_change: OnChange | None = None,
    stop_asked: StopAsked = never,
    failed: dict[str, str] | None = None,
    on_note: OnNote | None = None,
) -> dict[str, str]:
    """Run jobs until each is finished or has failed twice.

    Args:
        jobs: with keys that differ from one another.
        workers: what runs them.
        unit: what jobs are called, in the plural.
        on_change: called about once a second.
        stop_asked: asked about once a second.
        failed: gets the errors, so that they are known after an exception, too.
        on_note: called with each job that is finished.

    Returns:
        By key, why a job failed the second time; `failed`, where it was given.

    Raises:
        InputError: a worker cannot give the results that the jobs ask for.
        Interrupted: a stop was asked for; the same call resumes.
    """
    state = _JobStates(jobs, {} if failed is None else failed, on_note)
    while state.waiting or state.running:
        if stop_asked():
            raise Interrupted(f"stopped with {state.share} {unit} finished; the same command resumes")
        state.start_on(workers)
        for outcome in workers.wait(POLL_S):
            state.end(outcome)
        if state.refused:  # that worker would get the next job, and refuse it, too
            raise InputError(f"{state.refused}; {state.share} {unit} are finished")
        if on_change is not None:
            on_change(list(state.running.values()), state.finished, len(state.failed))
    return state.failed


class _JobStates:
    """Which jobs wait, run, are finished or have failed."""

    def __init__(self, jobs: Sequence[Job], failed: dict[str, str], on_note: OnNote | None) -> None:
        self.waiting, self.running = deque(jobs), dict[str, Job]()
        self.finished, self.failed, self.refused = 0, failed, ""
        self._count, self._tries, self._on_note = len(jobs), Counter[str](), on_note

    @property
    def share(self) -> str:
        """How many are finished, of how many."""
        return f"{self.finished} of {self._count}"

    def start_on(self, workers: Workers) -> None:
        """Start as many as there is room for."""
        while self.waiting and workers.free():
            job = self.waiting.popleft()
            self.running[job.key] = job
            workers.start(job)

    def end(self, outcome: JobOutcome) -> None:
        """Take in how a job ended."""
        job = self.running.pop(outcome.key)
        if outcome.refused:
            self.refused = outcome.error
        elif outcome.stopped:
            self.waiting.appendleft(job)
        elif not outcome.error:
            self.finished += 1
            if self._on_note is not None:
                self._on_note(job, outcome.note)
        else:
            self._fail(job, outcome.error)

    def _fail(self, job: Job, error: str) -> None:
        self._tries[job.key] += 1
        if self._tries[job.key] < _TRIES:
            log.warning("%s: %s; it is tried again", job, error)
            self.waiting.append(job)
        else:
            log.warning("%s failed again: %s", job, error)
            self.failed[job.key] = error
