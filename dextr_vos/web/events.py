"""Server-sent events: every open page hears what has changed, from whichever thread it is announced."""

import asyncio
import contextlib
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

SECONDS_BETWEEN_JOBS = 0.25
SECONDS_BETWEEN_COMMENTS = 10.0
_MAX_FRAMES = 10_000
_MAX_JOBS = 100


class _Listener:
    """What one page has not been sent yet: of versions, and of each phase of a job, the newest."""

    def __init__(self, loop: asyncio.AbstractEventLoop, session: str) -> None:
        self.loop, self.session = loop, session
        self.woken = asyncio.Event()
        self.version: int | None = None
        self.jobs: deque[dict[str, Any] | None] = deque(maxlen=_MAX_JOBS)
        self.job_sent_at = 0.0
        self.frames: list[int] = []

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self.loop.call_soon_threadsafe(self.woken.set)

    def add_job(self, job: dict[str, Any] | None) -> None:
        """Progress replaces what was not sent of the same phase; the end of a phase is always sent."""
        if self.jobs and _phase(self.jobs[-1]) == _phase(job):
            self.jobs.pop()
        self.jobs.append(job)

    def take(self) -> list[str]:
        """What is to be sent now, as lines of the stream; a job's progress comes only now and then."""
        lines = []
        if self.version is not None:
            lines.append(_event("state", {"session": self.session, "version": self.version}))
            self.version = None
        frames, self.frames = self.frames, []
        lines += [_event("frame", {"index": index}) for index in frames]
        if self.jobs and (None in self.jobs or self.seconds_to_job() <= 0):
            lines += [_event("job", job) for job in self.jobs]
            self.jobs.clear()
            self.job_sent_at = time.monotonic()
        return lines

    def seconds_to_job(self) -> float:
        """Until the next progress of a job may be sent."""
        return self.job_sent_at + SECONDS_BETWEEN_JOBS - time.monotonic()


class Events:
    """Where changes are announced and listened to.

    Attributes:
        session: an id that no other session has; only versions of one session can be compared.
    """

    def __init__(self) -> None:
        self.session = secrets.token_hex(8)
        self._listeners: set[_Listener] = set()
        self._lock = threading.Lock()
        self._closed = False

    def changed(self, version: int) -> None:
        """The state has a new version."""
        with self._lock:
            for listener in self._listeners:
                listener.version = version
                listener.wake()

    def job(self, job: dict[str, Any] | None) -> None:
        """A job has made progress, or ended."""
        with self._lock:
            for listener in self._listeners:
                listener.add_job(job)
                listener.wake()

    def frame(self, index: int) -> None:
        """The mask of a frame has been made."""
        with self._lock:
            for listener in self._listeners:
                if len(listener.frames) < _MAX_FRAMES:
                    listener.frames.append(index)
                listener.wake()

    @property
    def listened(self) -> bool:
        """Whether a page is connected."""
        return bool(self._listeners)

    def close(self) -> None:
        """End every stream, so that the server can end."""
        with self._lock:
            self._closed = True
            for listener in self._listeners:
                listener.wake()

    async def stream(self, version: Callable[[], int]) -> AsyncIterator[str]:
        """Events as the lines of a stream, starting with the present version.

        Args:
            version: returns the present version.
        """
        listener = _Listener(asyncio.get_running_loop(), self.session)
        with self._lock:
            self._listeners.add(listener)
        present = version()
        with self._lock:  # a newer one may have been announced meanwhile
            listener.version = max(present, listener.version or 0)
        try:
            while not self._closed:
                listener.woken.clear()
                with self._lock:
                    lines = listener.take()
                for line in lines:
                    yield line
                wait_s = SECONDS_BETWEEN_COMMENTS if not listener.jobs else listener.seconds_to_job()
                try:
                    await asyncio.wait_for(listener.woken.wait(), wait_s)
                except TimeoutError:
                    if wait_s == SECONDS_BETWEEN_COMMENTS:
                        yield ": still connected\n\n"
        finally:
            with self._lock:
                self._listeners.discard(listener)


def _phase(job: dict[str, Any] | None) -> Any:
    return None if job is None else job["phase"]


def _event(kind: str, data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
