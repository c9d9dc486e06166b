"""One try at a job, wherever it runs: faults come back as values, so that the others go on."""

import os
import shutil
import socket
import traceback
from dataclasses import dataclass

from dextr_vos.benchmark.cell import Job, check_worker, run_job
from dextr_vos.errors import DextrVosError, Interrupted
from dextr_vos.files import write_text
from dextr_vos.interrupt import StopAsked


@dataclass(frozen=True)
class Outcome:
    """How a try ended.

    Attributes:
        key: of the cell.
        fault: one line that says what went wrong; empty when it is finished or stopped.
        stopped: a stop was asked for before it was finished.
        refused: the fault is the worker's, which would not do for any other job either.
    """

    key: str
    fault: str = ""
    stopped: bool = False
    refused: bool = False


def attempt(job: Job, device: str, stop_asked: StopAsked) -> Outcome:
    """Run a job once.

    After a fault, what was made so far is removed, since it may be at fault; the reason is kept in the
    cell's `failure.txt`. A process that cannot give the result that the key stands for touches nothing.
    """
    try:
        check_worker(job)
    except DextrVosError as fault:
        here = f"the worker {os.getpid()} on {socket.gethostname()}"
        return Outcome(job.key, f"{here}: {fault}", refused=True)
    except Exception as fault:
        write_text(job.folder.failure, traceback.format_exc())
        return Outcome(job.key, _told(fault))
    try:
        run_job(job, device, stop_asked)
    except Interrupted:
        return Outcome(job.key, stopped=True)
    except Exception as fault:  # whatever it is, the other cells go on
        write_text(job.folder.failure, traceback.format_exc())
        shutil.rmtree(job.folder.work, ignore_errors=True)
        return Outcome(job.key, _told(fault))
    return Outcome(job.key)


def _told(fault: Exception) -> str:
    return str(fault) if isinstance(fault, DextrVosError) else f"{type(fault).__name__}: {fault}"
