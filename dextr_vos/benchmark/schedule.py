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
) -> dict[str, str]:
    """Run jobs until each is finished or has failed twice.

    Args:
        jobs: with keys that differ from one another.
        workers: what runs them.
        on_change: called now and then with the jobs that run, and the numbers of finished and failed ones.
        stop_asked: asked about once a second.

    Returns:
        By key, why a job failed the second time.

    Raises:
        InputError: a worker cannot give the results that the jobs ask for.
        Interrupted: a stop was asked for; the same call goes on with what was not finished.
    """
    waiting, running = deque(jobs), dict[str, Job]()
    tries, failed, finished = Counter[str](), dict[str, str](), 0
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
            if outcome.refused:  # it would have the next one, and refuse that, too
                raise InputError(f"{outcome.fault}; {finished} of {len(jobs)} cells are finished")
            tries[job.key] += 1
            if outcome.stopped:
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
        if on_change is not None:
            on_change(list(running.values()), finished, len(failed))
    return failed
