"""Ctrl-C that waits for a safe moment: long work checks between steps whether it should stop."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)

StopAsked = Callable[[], bool]


def never() -> bool:
    """Always False, for work that is not interrupted."""
    return False


@contextmanager
def interruptible() -> Iterator[StopAsked]:
    """While the block runs, the first Ctrl-C (or SIGTERM) only requests a stop; a second one stops at once.

    Yields:
        A function that returns whether a stop was requested. Outside the main thread, where signals cannot
        be handled, it always returns False.
    """
    if threading.current_thread() is not threading.main_thread():
        yield never
        return
    asked = threading.Event()
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def note(kind: int, frame: FrameType | None) -> None:
        asked.set()
        log.info("stopping after this step; press Ctrl-C again to stop at once")
        for restored, handler in before.items():
            signal.signal(restored, handler)

    for kind in before:
        signal.signal(kind, note)
    try:
        yield asked.is_set
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
