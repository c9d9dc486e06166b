"""The clips of a project that wait for a run: their masks are propagated one clip after the other."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dextr_vos.errors import DextrVosError
from dextr_vos.web.jobs import ConflictError, Jobs
from dextr_vos.web.write_access import ReadOnlyError

log = logging.getLogger(__name__)

Drafts = Mapping[str, str]


class RunQueue:
    """Clips that wait, in order; none starts while any clip of the project has a job.

    Args:
        jobs: the jobs of the clips that are open, by name.
        open_clip: opens a clip, by name, which may take minutes.
        start: starts the run of an open clip, by name; the drafts are those of `add`.
    """

    def __init__(
        self,
        jobs: Callable[[], Mapping[str, Jobs]],
        open_clip: Callable[[str], object],
        start: Callable[[str, Drafts], object],
    ) -> None:
        self._jobs, self._open_clip, self._start = jobs, open_clip, start
        self._waiting: dict[str, Drafts] = {}
        self._failed: dict[str, str] = {}
        self._closed = False
        self._changing = threading.Lock()
        self._starter: threading.Thread | None = None

    @property
    def waiting(self) -> Sequence[str]:
        """Names of the clips that wait, the next first."""
        with self._changing:
            return list(self._waiting)

    @property
    def failed(self) -> dict[str, str]:
        """Why the last run of a clip could not start, or failed, by name."""
        with self._changing:
            return dict(self._failed)

    def add(self, clips: Mapping[str, Drafts]) -> None:
        """Put clips at the end, those that do not wait yet.

        Args:
            clips: by name, the drafts of which their runs may make keyframes.
        """
        with self._changing:
            for name, drafts in clips.items():
                self._failed.pop(name, None)
                self._waiting[name] = drafts

    def remove(self, name: str) -> bool:
        """Take a clip out; whether it waited."""
        with self._changing:
            return self._waiting.pop(name, None) is not None

    def note_end(self, name: str, last: Mapping[str, Any] | None) -> None:
        """Keep why a run failed, or that it did not.

        Args:
            name: of the clip.
            last: how its run has ended, see `Jobs.last`.
        """
        with self._changing:
            if last is not None and last["outcome"] == "failed":
                self._failed[name] = last["message"]
            else:
                self._failed.pop(name, None)

    def close(self) -> None:
        """Start no more runs; a clip that is being opened for one is waited for."""
        with self._changing:
            self._closed, self._waiting = True, {}
            starter = self._starter
        if starter is not None:
            starter.join()

    def advance(self) -> None:
        """Let the next run be started, in a thread, since its clip may have to be opened."""
        with self._changing:
            starting = self._starter is not None and self._starter.is_alive()
            if self._closed or not self._waiting or starting or self._is_busy():
                return
            self._starter = threading.Thread(target=self._start_next, name="queue", daemon=True)
            self._starter.start()

    def _is_busy(self) -> bool:
        return any(each.current for each in self._jobs().values())

    def _start_next(self) -> None:
        """Start the run of the first clip that can be propagated; why those before it cannot is kept."""
        while (name := next(iter(self.waiting), None)) is not None:
            try:
                self._open_clip(name)
                with self._changing:  # a person may have started a run meanwhile, or taken the clip out
                    if self._is_busy():
                        return
                    if name in self._waiting:
                        self._start(name, self._waiting[name])
                        del self._waiting[name]
                        return
            except ConflictError:
                return  # a person was faster; the clip keeps its place
            except (DextrVosError, ReadOnlyError, OSError) as error:
                log.warning("%s: %s", name, error)
                self._fail(name, str(error))
            except Exception:  # the others must not wait for ever
                log.exception("%s: the run cannot start", name)
                self._fail(name, "something went wrong in the server; its log says what")

    def _fail(self, name: str, failure: str) -> None:
        with self._changing:
            if self._waiting.pop(name, None) is not None:
                self._failed[name] = failure
