"""Connections to the page's server: few, and none that says nothing, so that the page can be reached.

A thousand silent connections would take all files that a process may have open. uvicorn closes only those
that have been answered, and its limit of concurrency refuses the page as well.
"""

import asyncio
import errno
import logging
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 100  # a page has six at most
BACKLOG = 64  # connections that are taken in one turn of the event loop, before any of them can be closed
SECONDS_SILENT = 10.0
_SECONDS_BETWEEN_WARNINGS = 60.0
_NO_MORE_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = logging.getLogger(__name__)


class Connection(H11Protocol):
    """A connection that knows since when it has had no whole request; beyond a number, the longest ends."""

    _idle_since = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered; a stream of events is for as long as the page is open."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def idle_s(self) -> float:
        """Seconds since it was made or its last request was answered; parts of a request do not count."""
        return 0.0 if self.is_busy else self.loop.time() - self._idle_since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        opened = [each for each in self.connections if not each.transport.is_closing()]
        if len(opened) > MAX_CONNECTIONS:
            waiting = [each for each in opened if isinstance(each, Connection) and not each.is_busy]
            max(waiting, key=lambda each: each.idle_s).transport.abort()

    def on_response_complete(self) -> None:
        """See uvicorn."""
        self._idle_since = self.loop.time()
        super().on_response_complete()


def close_silent(connections: Iterable[Any]) -> None:
    """Close the connections that have had no whole request for too long."""
    for connection in list(connections):
        if isinstance(connection, Connection) and connection.idle_s > SECONDS_SILENT:
            connection.transport.abort()


class LoopErrors:
    """Handler of a loop's errors: asyncio logs each connection that finds no free file."""

    def __init__(self) -> None:
        self._warned_at = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """See `loop.set_exception_handler`."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _NO_MORE_FILES:
            loop.default_exception_handler(context)
        elif loop.time() - self._warned_at > _SECONDS_BETWEEN_WARNINGS:
            self._warned_at = loop.time()
            log.warning("new connections wait: %s; allow more with ulimit -n", error.strerror)
