"""Workers of a Dask cluster, which see the files that jobs name under the same paths as this machine."""

import os
import time
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any

from dextr_vos.errors import InputError
from dextr_vos.workers.jobs import POLL_S, Job, JobOutcome

_CONNECT_S = 20.0
_STOP_FILE_KEPT_S = 2 * 24 * 3600.0


class DaskWorkers:
    """Runs jobs on a cluster; the jobs of a worker that dies go to another one.

    Args:
        address: of the scheduler, like `tcp://127.0.0.1:8786`.
        out: folder that every worker sees; a file in it asks running jobs to stop.
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
        self._address = address
        _sweep(out)
        self._stop_file = out / f".stop-{os.getpid()}-{time.time_ns()}"
        self._resources = {"GPU": 1} if gpu else {}
        self._device = device
        self._running: dict[Any, str] = {}
        self._tries = 0

    def free(self) -> int:
        """See `Workers`: twice as many as run at once, so that no worker is idle between two jobs."""
        try:
            threads: int = sum(self._client.nthreads().values())
        except (OSError, TimeoutError) as error:  # it waits a while for the scheduler to come back
            raise self._gone(error) from None
        return max(0, 2 * threads - len(self._running))

    def _gone(self, error: BaseException) -> InputError:
        return InputError(
            f"the Dask scheduler at {self._address} has gone ({type(error).__name__}); start it again, then "
            "give the same command, which resumes"
        )

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
        except CancelledError as cancelled:  # all jobs at once
            raise self._gone(cancelled) from None
        outcomes = []
        for future in done:
            outcome = self._outcome(future, timeout_s)
            if outcome is not None:
                del self._running[future]
                outcomes.append(outcome)
        return outcomes

    def _outcome(self, future: Any, timeout_s: float) -> JobOutcome | None:
        """How a job ended; None where its worker has died with the outcome, so that it runs again."""
        key = self._running[future]
        error = future.exception() if future.status == "error" else None
        if error is not None:  # of the cluster; those of a job are in its outcome
            return JobOutcome(key, f"{type(error).__name__}: {error}")
        if future.cancelled():
            return JobOutcome(key, stopped=True)
        try:
            outcome: JobOutcome = future.result(timeout=timeout_s)
        except TimeoutError:  # it would wait for another worker, and no stop would be heard
            return None
        except CancelledError as cancelled:
            raise self._gone(cancelled) from None
        return outcome

    def stop(self) -> None:
        """See `Workers`; running jobs find the stop file and end by themselves."""
        if self._running:
            self._stop_file.touch()
        # whatever it is that fails where the scheduler has gone, the error before says so
        with suppress(Exception):
            self._client.cancel([future for future in self._running if future.status == "pending"])
        with suppress(Exception):
            self._client.close()


def _sweep(out: Path) -> None:
    """Remove old stop files: jobs may look for a newer one still, whichever machine's command asked them."""
    for stop_file in out.glob(".stop-*"):
        with suppress(FileNotFoundError):
            if time.time() - stop_file.stat().st_mtime > _STOP_FILE_KEPT_S:
                stop_file.unlink()


def _on_worker(job: Job, device: str, stop_file: Path) -> JobOutcome:
    asked_at, answer = -POLL_S, False

    def stop_asked() -> bool:
        nonlocal asked_at, answer
        if time.monotonic() - asked_at >= POLL_S:
            asked_at, answer = time.monotonic(), stop_file.exists()
        return answer

    return job.attempt(device, stop_asked)
