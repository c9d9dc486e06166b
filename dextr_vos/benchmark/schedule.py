"""Every job to a worker; what fails is tried once more."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence

from dextr_vos.benchmark.job import Job
from dextr_vos.benchmark.workers import Workers
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.interrupt import StopAsked, never

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
