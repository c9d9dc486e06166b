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
    on_change: OnChange | None = None,
    stop_asked: StopAsked = never,
    failed: dict[str, str] | None = None,
    on_note: OnNote | None = None,
    unit: str = "cells",
) -> dict[str, str]:
    """Run jobs until each is finished or has failed twice.

    Args:
        jobs: with keys that differ from one another.
        workers: what runs them.
        on_change: called about once a second.
        stop_asked: asked about once a second.
        failed: gets the errors, so that they are known after an exception, too.
        on_note: called with each job that is finished.
        unit: what jobs are called, in the plural.

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
                f"stopped with {finished} of {len(jobs)} {unit} finished; the same command resumes"
            )
        while waiting and workers.free():
            job = waiting.popleft()
            running[job.key] = job
            workers.start(job)
        for outcome in workers.wait(POLL_S):
            job = running.pop(outcome.key)
            if outcome.refused:
                refused = outcome.error
            elif outcome.stopped:
                waiting.appendleft(job)
            elif not outcome.error:
                finished += 1
                if on_note is not None:
                    on_note(job, outcome.note)
            else:
                tries[job.key] += 1
                if tries[job.key] < _TRIES:
                    log.warning("%s: %s; it is tried again", job, outcome.error)
                    waiting.append(job)
                else:
                    log.warning("%s failed again: %s", job, outcome.error)
                    failed[job.key] = outcome.error
        if refused:  # that worker would get the next job, and refuse it, too
            raise InputError(f"{refused}; {finished} of {len(jobs)} {unit} are finished")
        if on_change is not None:
            on_change(list(running.values()), finished, len(failed))
    return failed
