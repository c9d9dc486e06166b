"""The segmenter, loaded while the page is opening, which takes seconds; the page should not."""

import threading
from collections.abc import Callable

from dextr_vos.annotation.segmenter import Segmenter


class Engine:
    """A segmenter on its way.

    Args:
        name: of the engine, known before it is loaded.
        load: makes the segmenter.
    """

    def __init__(self, name: str, load: Callable[[], Segmenter]) -> None:
        self.name = name
        self._load = load
        self._segmenter: Segmenter | None = None
        self._fault: Exception | None = None
        self._ready = threading.Event()
        self._started = threading.Lock()

    def start(self) -> None:
        """Load it in the background, once."""
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._run, name="engine", daemon=True).start()

    def get(self) -> Segmenter:
        """The segmenter; waits for it. Raises what loading raised."""
        self.start()
        self._ready.wait()
        if self._fault is not None:
            fault, self._fault = self._fault, None
            self._ready.clear()
            self._started.release()  # the next one tries again
            raise fault
        assert self._segmenter is not None
        return self._segmenter

    def close(self) -> None:
        """Let go of what the segmenter holds."""
        close = getattr(self._segmenter, "close", None)
        if close is not None:
            close()

    def _run(self) -> None:
        try:
            self._segmenter = self._load()
        except Exception as fault:
            self._fault = fault
        self._ready.set()
