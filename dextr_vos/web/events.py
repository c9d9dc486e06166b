"""Server-sent events: what changed is told to every open page, from whatever thread it happens in."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

SECONDS_BETWEEN_JOBS = 0.25
SECONDS_BETWEEN_COMMENTS = 10.0
_MOST_FRAMES = 10_000


class _Listener:
    """What one page has not been told yet; of versions and jobs only the newest counts."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.woken = asyncio.Event()
        self.version: int | None = None
        self.job: tuple[Any] | None = None
        self.frames: list[int] = []

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self.loop.call_soon_threadsafe(self.woken.set)


class Events:
    """Where changes are announced and listened to."""

    def __init__(self) -> None:
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
        """A job has gone on, or ended."""
        with self._lock:
            for listener in self._listeners:
                listener.job = (job,)
                listener.wake()

    def frame(self, index: int) -> None:
        """The mask of a frame has been made."""
        with self._lock:
            for listener in self._listeners:
                if len(listener.frames) < _MOST_FRAMES:
                    listener.frames.append(index)
                listener.wake()

    def close(self) -> None:
        """End every stream, so that the server can end."""
        with self._lock:
            self._closed = True
            for listener in self._listeners:
                listener.wake()

    async def stream(self, version: Callable[[], int]) -> AsyncIterator[str]:
        """Events as the lines of a stream, beginning with the present version.

        Args:
            version: tells it.
        """
        listener = _Listener(asyncio.get_running_loop())
        with self._lock:
            self._listeners.add(listener)
        listener.version = version()
        told_job = 0.0
        try:
            while not self._closed:
                listener.woken.clear()
                if listener.version is not None:
                    number, listener.version = listener.version, None
                    yield _event("state", {"version": number})
                frames, listener.frames = listener.frames, []
                for index in frames:
                    yield _event("frame", {"index": index})
                wait_s = SECONDS_BETWEEN_COMMENTS
                if listener.job is not None:
                    left_s = told_job + SECONDS_BETWEEN_JOBS - time.monotonic()
                    if left_s <= 0 or listener.job[0] is None:
                        (job,), listener.job = listener.job, None
                        told_job = time.monotonic()
                        yield _event("job", job)
                    else:
                        wait_s = left_s
                try:
                    await asyncio.wait_for(listener.woken.wait(), wait_s)
                except TimeoutError:
                    if wait_s == SECONDS_BETWEEN_COMMENTS:
                        yield ": still here\n\n"
        finally:
            with self._lock:
                self._listeners.discard(listener)


def _event(kind: str, data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
