"""Long work in a child process: begun, watched and cancelled by the server, which stays quick beside it."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dextr_vos.web.service import ConflictError

log = logging.getLogger(__name__)

SECONDS_TO_STOP = 60.0
_OUTCOMES = {"done": "done", "stopped": "cancelled", "failed": "failed"}


@dataclass
class _Running:
    """What is known of the child's work."""

    kind: str
    process: "subprocess.Popen[str]"
    phase: str = "starting"
    done: int = 0
    total: int = 0
    loss: float | None = None
    cancelled: bool = False
    began: float = field(default_factory=time.monotonic)
    later_s: float = 0.0  # of the phases to come
    plan: dict[str, float] = field(default_factory=dict)
    ended: tuple[str, str] | None = None

    def take(self, line: dict[str, Any]) -> None:
        """Note one line of progress."""
        if "plan" in line:
            self.plan = line["plan"]
        for word, outcome in _OUTCOMES.items():
            if word in line and isinstance(line[word], str):
                self.ended = (outcome, line[word])
                return
        if "phase" in line:
            if line["phase"] != self.phase:
                self.phase, self.began, self.done = line["phase"], time.monotonic(), 0
            self.done, self.total = line.get("done", 0), line.get("total", 0)
            self.loss = line.get("loss")

    def seconds_left(self) -> float | None:
        """By the pace of this phase, and the plan for the next."""
        if self.phase == "training" and self.plan:
            later_s = self.plan["segmenting_s"]
        elif self.phase in ("segmenting", "writing"):
            later_s = 0.0
        else:
            return None
        if self.done < 2 or self.total < 1:
            return self.plan.get("training_s", 0.0) + later_s if self.phase == "training" else None
        return (time.monotonic() - self.began) / self.done * (self.total - self.done) + later_s

    def as_dict(self) -> dict[str, Any]:
        """The job as the page sees it."""
        left_s = self.seconds_left()
        return {
            "kind": self.kind,
            "phase": "stopping" if self.cancelled else self.phase,
            "done": self.done,
            "total": self.total,
            "loss": self.loss,
            "seconds_left": None if left_s is None else round(left_s, 1),
            "note": "",
        }


class Jobs:
    """One piece of work at a time.

    Args:
        on_progress: told the job, None once it has ended.
        on_made: told frame and folder of a mask that has just been made.
        on_end: told kind and outcome, before `on_progress` is told of the end.
    """

    def __init__(
        self,
        on_progress: Callable[[dict[str, Any] | None], None],
        on_made: Callable[[str, str], None],
        on_end: Callable[[str, str], None],
    ) -> None:
        self._on_progress, self._on_made, self._on_end = on_progress, on_made, on_end
        self._running: _Running | None = None
        self._last: dict[str, Any] | None = None
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    @property
    def current(self) -> dict[str, Any] | None:
        """The job that runs."""
        running = self._running
        return None if running is None else running.as_dict()

    @property
    def last(self) -> dict[str, Any] | None:
        """How the one before ended."""
        return self._last

    def start(self, prepare: Callable[[], dict[str, Any]]) -> None:
        """Begin.

        Args:
            prepare: called once nothing else is under way; gives what `worker` takes.

        Raises:
            ConflictError: something is under way already.
        """
        with self._lock:
            if self._running is not None:
                raise ConflictError(f"a job is under way ({self._running.kind}); wait for it or cancel it")
            work = prepare()
            process = subprocess.Popen(
                # -P: what lies in the folder where the server was started is no module of ours
                [sys.executable, "-P", "-m", "dextr_vos.web.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for the server, which lets the child end well
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            )
            running = _Running(work["kind"], process)
            self._running = running
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(work) + "\n")
            process.stdin.flush()
        except OSError:
            log.warning("the child process did not start")
        self._watcher = threading.Thread(target=self._watch, args=(running,), name="job", daemon=True)
        self._watcher.start()
        self._on_progress(self.current)

    def cancel(self) -> None:
        """Ask the work to stop where everything is kept; it does so after the step it is at."""
        running = self._running
        if running is None:
            return
        running.cancelled = True
        assert running.process.stdin is not None
        try:
            running.process.stdin.close()
        except OSError:
            log.debug("the child process has ended already")
        patience = threading.Timer(SECONDS_TO_STOP, _kill, args=(running.process,))
        patience.daemon = True
        patience.start()
        self._on_progress(self.current)

    def close(self, patience_s: float = 10.0) -> None:
        """Cancel, and wait for the end; what takes longer ends by itself, for its input is closed."""
        watcher = self._watcher
        if self._running is None or watcher is None:
            return
        self.cancel()
        watcher.join(patience_s)

    def _watch(self, running: _Running) -> None:
        """Follow the child to its end."""
        assert running.process.stdout is not None
        for text in running.process.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                log.debug("no progress: %s", text.rstrip())
                continue
            if "made" in line:
                self._on_made(line["made"], line["folder"])
                continue
            running.take(line)
            self._on_progress(running.as_dict())
        status = running.process.wait()
        running.process.stdout.close()
        with contextlib.suppress(OSError):
            running.process.stdin.close()  # type: ignore[union-attr]
        outcome, message = running.ended or _died(running, status)
        log.info("%s: %s", running.kind, message)
        self._last = {"kind": running.kind, "outcome": outcome, "message": message}
        self._running = None
        self._on_end(running.kind, outcome)
        self._on_progress(None)


def _died(running: _Running, status: int) -> tuple[str, str]:
    """What to say of a child that said nothing itself."""
    if running.cancelled:
        return "cancelled", "cancelled; what was done is kept"
    return "failed", f"the child process ended with status {status}, the server's log says more; try again"


def _kill(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
