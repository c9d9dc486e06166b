"""The clips of a project that wait for a run: their masks are propagated one clip after the other."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from dextr_vos.web.jobs import Jobs

log = logging.getLogger(__name__)


class RunQueue:
    """Clips that wait, in order; none starts while any clip of the project has a job.

    Args:
        jobs: the jobs of the clips that are open, by name.
        start: starts the run of a clip that still waits, by name; returns why it cannot start, or None.
    """

    def __init__(self, jobs: Callable[[], Mapping[str, Jobs]], start: Callable[[str], str | None]) -> None:
        self._jobs, self._start = jobs, start
        self._waiting: list[str] = []
        self._failed: dict[str, str] = {}
        self._running: str | None = None
        self._closed = False
        self._changing = threading.Lock()

    @property
    def waiting(self) -> Sequence[str]:
        """Names of the clips that wait, the next first."""
        return list(self._waiting)

    @property
    def failed(self) -> dict[str, str]:
        """Why the last run of a clip could not start, or failed, by name."""
        return dict(self._failed)

    def add(self, names: Sequence[str]) -> None:
        """Put clips at the end, those that do not wait yet."""
        with self._changing:
            for name in names:
                self._failed.pop(name, None)
                if name not in self._waiting:
                    self._waiting.append(name)

    def remove(self, name: str) -> None:
        """Take a clip out, if it waits."""
        with self._changing:
            self._waiting = [each for each in self._waiting if each != name]

    def close(self) -> None:
        """Start no more runs."""
        with self._changing:
            self._closed, self._waiting = True, []

    def advance(self) -> None:
        """Start the next run, if no job is in progress; a clip whose run cannot start is passed over."""
        jobs = self._jobs()
        if any(each.current for each in jobs.values()):
            return
        self._note_end(jobs)
        while not self._closed and self._waiting:
            name = self._waiting[0]
            failure = self._start(name)
            if name not in self._waiting:  # it was taken out meanwhile; the next poll goes on
                return
            self.remove(name)
            if failure is None:
                self._running = name
                return
            log.warning("%s: %s", name, failure)
            self._failed[name] = failure

    def _note_end(self, jobs: Mapping[str, Jobs]) -> None:
        """Keep why the run failed that has ended; its clip may be closed soon."""
        name, self._running = self._running, None
        if name is None:
            return
        last = jobs[name].last if name in jobs else None
        if last is not None and last["outcome"] == "failed":
            self._failed[name] = last["message"]
