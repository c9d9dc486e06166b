"""Long work in a child process: started, watched and cancelled by the server, which stays responsive."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

SECONDS_TO_STOP = 60.0
# a child that is in one of these has made nothing yet, and may be in a call that cannot be interrupted
_NOTHING_MADE = ("starting", "loading", "reading", "encoding", "measuring")
# by whose pace the rest is estimated: what an earlier run has left is passed over quickly at the beginning
_LATEST_UNITS = 10
_LEAST_SECONDS = 1.0
_OUTCOMES = {"done": "done", "stopped": "cancelled", "failed": "failed"}


class ConflictError(Exception):
    """Not possible now: something else is in progress. The text is one sentence."""


@dataclass
class _Job:
    """The work of a child process, as its lines of progress describe it."""

    kind: str
    process: "subprocess.Popen[str]"
    phase: str = "starting"
    done: int = 0
    total: int = 0
    loss: float | None = None
    cancelled: bool = False
    killed: bool = False
    plan: dict[str, float] = field(default_factory=dict)
    ended: tuple[str, str] | None = None
    clock: Callable[[], float] = time.monotonic
    # seconds and units done, of the present phase, lately
    marks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=1 + _LATEST_UNITS))
    slowness: float = 1.0  # how much longer the steps of training took than was measured before

    def read(self, line: dict[str, Any]) -> None:
        """Apply one line of progress."""
        if "plan" in line:
            self.plan = line["plan"]
        for word, outcome in _OUTCOMES.items():
            if word in line and isinstance(line[word], str):
                self.ended = (outcome, line[word])
                return
        if "phase" in line:
            if line["phase"] != self.phase:
                self.phase = line["phase"]
                self.marks.clear()
            self.done, self.total = line.get("done", 0), line.get("total", 0)
            self.loss = line.get("loss")
            self._mark()

    def _mark(self) -> None:
        self.marks.append((self.clock(), self.done))
        pace_s = self._pace_s()
        if self.phase == "training" and pace_s is not None and self.plan.get("step_s"):
            self.slowness = pace_s / self.plan["step_s"]

    def _pace_s(self) -> float | None:
        """Seconds a unit takes, by the latest ones; a unit that takes longer counts while it lasts."""
        (began, first), (_, last) = self.marks[0], self.marks[-1]
        spent_s = self.clock() - began
        return spent_s / (last - first) if last > first and spent_s >= _LEAST_SECONDS else None

    def seconds_left(self) -> float | None:
        """By the pace of this phase, and the plan for the next; None where nothing is known."""
        if self.phase not in ("training", "checking", "segmenting", "writing"):
            return None
        later_s = self.plan.get("segmenting_s", 0.0) * self.slowness
        pace_s = self._pace_s() if self.marks else None
        if self.phase == "checking" or (self.phase == "segmenting" and pace_s is None):
            return later_s or None
        if self.phase == "training":
            pace_s = pace_s or self.plan.get("step_s")
        else:
            later_s = 0.0
        return None if pace_s is None else pace_s * max(0, self.total - self.done) + later_s

    def as_dict(self) -> dict[str, Any]:
        """The job as the page shows it."""
        left_s = self.seconds_left()
        return {
            "kind": self.kind,
            "phase": "stopping" if self.cancelled else self.phase,
            "done": self.done,
            "total": self.total,
            "loss": self.loss,
            "seconds_left": None if left_s is None else round(left_s, 1),
        }

    def ending(self, status: int) -> tuple[str, str]:
        """Outcome and message of a child that has ended, in its own words where it left any."""
        if self.ended is not None:
            return self.ended
        if self.cancelled:
            return "cancelled", "cancelled; what was finished is kept"
        return (
            "failed",
            f"the child process ended with status {status}, the server's log says more; try again",
        )


class Jobs:
    """One job at a time.

    Args:
        on_progress: called with the job, and with None once it has ended.
        on_mask: called with frame and folder of a mask that has just been made.
        on_end: called with the kind of a job that has ended; only after it may another one start, and is
            `on_progress` called.
    """

    def __init__(
        self,
        on_progress: Callable[[dict[str, Any] | None], None],
        on_mask: Callable[[str, str], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._on_progress, self._on_mask, self._on_end = on_progress, on_mask, on_end
        self._job: _Job | None = None
        self._last: dict[str, Any] | None = None
        self._starting = threading.Lock()
        self._watcher: threading.Thread | None = None

    @property
    def current(self) -> dict[str, Any] | None:
        """The job in progress."""
        job = self._job
        return None if job is None else job.as_dict()

    @property
    def last(self) -> dict[str, Any] | None:
        """How the last job ended: kind, outcome ("done", "cancelled" or "failed") and message."""
        return self._last

    def start(self, prepare: Callable[[], dict[str, Any]]) -> None:
        """Start a job.

        Args:
            prepare: called once it is certain that no other job is in progress, and the child process is
                there; returns what `worker` reads.

        Raises:
            ConflictError: another job is in progress.
            OSError: the child process cannot be started.
        """
        with self._starting:
            if self._job is not None:
                raise ConflictError(f"a job is in progress ({self._job.kind}); wait for it or cancel it")
            process = _start_worker()  # it waits; what cannot start must not have changed anything
            try:
                work = prepare()
            except BaseException:
                _end(process)
                raise
            self._job = job = _Job(work["kind"], process)
        assert job.process.stdin is not None
        try:
            job.process.stdin.write(json.dumps(work) + "\n")
            job.process.stdin.flush()
        except OSError:
            log.warning("the child process did not start")
        self._watcher = threading.Thread(target=self._watch, args=(job,), name="job", daemon=True)
        self._watcher.start()
        self._on_progress(self.current)

    def cancel(self) -> None:
        """Ask the job to stop; it does so after the present step, and keeps what is finished."""
        job = self._job
        if job is None:
            return
        job.cancelled = True
        if job.phase in _NOTHING_MADE:
            _kill(job.process)
            self._on_progress(self.current)
            return
        assert job.process.stdin is not None
        try:
            job.process.stdin.close()
        except OSError:
            log.debug("the child process has ended already")
        killer = threading.Timer(SECONDS_TO_STOP, _kill, args=(job.process,))
        killer.daemon = True
        killer.start()
        self._on_progress(self.current)

    def kill(self) -> None:
        """End the job at once, where nothing of it may be written any more."""
        job = self._job
        if job is not None and not job.killed:
            job.cancelled = job.killed = True
            _kill(job.process)

    def close(self, patience_s: float = 10.0) -> None:
        """Cancel and wait for the end; a job that takes longer ends by itself, since its input is closed."""
        watcher = self._watcher
        if self._job is None or watcher is None:
            return
        self.cancel()
        watcher.join(patience_s)

    def _watch(self, job: _Job) -> None:
        """Follow the child to its end; whatever goes wrong meanwhile, the next job can start then."""
        try:
            self._follow(job)
            self._on_end(job.kind)
        except OSError as error:
            log.error("%s: %s", job.kind, error)
        finally:
            self._job = None
            self._on_progress(None)

    def _follow(self, job: _Job) -> None:
        assert job.process.stdout is not None
        for text in job.process.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                log.debug("not a line of progress: %s", text.rstrip())
                continue
            if "made" in line:
                self._on_mask(line["made"], line["folder"])
                continue
            job.read(line)
            self._on_progress(job.as_dict())
        status = job.process.wait()
        job.process.stdout.close()
        with contextlib.suppress(OSError):
            job.process.stdin.close()  # type: ignore[union-attr]
        outcome, message = job.ending(status)
        log.info("%s: %s", job.kind, message)
        self._last = {"kind": job.kind, "outcome": outcome, "message": message}


def _start_worker() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        # -P: files in the folder where the server was started must not be imported as modules
        [sys.executable, "-P", "-m", "dextr_vos.web.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C is for the server, which ends the child properly
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def _end(process: "subprocess.Popen[str]") -> None:
    """End a child that has been given no work."""
    _kill(process)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    process.wait()


def _kill(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
