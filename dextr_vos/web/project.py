"""A project: the clips of a folder, each with a workspace of its own, listed with their progress.

```
FOLDER/dog/*.jpg, FOLDER/cat.mp4      the clips
OUT/dog/, OUT/cat/                    their workspaces
OUT/labels.yaml                       label set of all workspaces that have none of their own
```
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dextr_vos.clip import open_clip
from dextr_vos.errors import DextrVosError, InputError
from dextr_vos.folder_lock import FolderLock
from dextr_vos.web import schemas
from dextr_vos.web.clip_progress import ClipProgress
from dextr_vos.web.images import ClipImages
from dextr_vos.web.jobs import Jobs
from dextr_vos.web.run_queue import Drafts, RunQueue
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.service import ClipService, Propagation, draft_digests
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

LABELS = "labels.yaml"
_SECONDS_IDLE = 600.0


@dataclass(frozen=True)
class ClipOpener:
    """How the clips of a project are opened.

    Attributes:
        loader: loads the segmenter, which they share.
        propagation: how their masks are propagated.
    """

    loader: SegmenterLoader
    propagation: Propagation


class Project:
    """The clips of a folder; each is opened when somebody wants to see it, and closed when nobody does.

    Args:
        clips: their paths by name, see `project.clips.clips_in`.
        out: folder of their workspaces.
        opener: how they are opened.

    Attributes:
        queue: the clips that wait for a run.
    """

    def __init__(self, clips: dict[str, Path], out: Path, opener: ClipOpener) -> None:
        self._clips, self.out, self._opener = clips, out, opener
        self._services: dict[str, ClipService] = {}
        self._locks: dict[str, FolderLock] = {}
        self._used_at: dict[str, float] = {}
        self._opening = {name: threading.RLock() for name in clips}  # one may take minutes
        self._known = {name: ClipProgress(path, Workspace(out / name)) for name, path in clips.items()}
        self._thumbs: dict[str, bytes] = {}
        self.queue = RunQueue(self._jobs, self.service, self._start_run)

    @property
    def title(self) -> str:
        """What the project is called: the name of the folder of its clips."""
        return next((path.resolve().parent.name for path in self._clips.values()), self.out.name)

    @property
    def names(self) -> Sequence[str]:
        """Names of the clips, in natural order."""
        return list(self._clips)

    def progress(self) -> list[dict[str, Any]]:
        """What is known of each clip without opening it, see `ClipProgress`, and its runs.

        `job` is the one in progress; `queued` the place among the clips that wait, from 1, or None; `failed`
        says why the last run failed or could not be started from the queue, or is None.
        """
        opened, waiting, failed = dict(self._services), self.queue.waiting, self.queue.failed
        return [
            {
                "name": name,
                **known.read(),
                "job": opened[name].jobs.current if name in opened else None,
                "queued": waiting.index(name) + 1 if name in waiting else None,
                "failed": failed.get(name),
            }
            for name, known in self._known.items()
        ]

    def enqueue(self, names: Sequence[str]) -> None:
        """Propagate the masks of clips, one after the other, when their turn comes.

        The drafts that they have now become keyframes then; a clip that has others by then is left out.

        Raises:
            InputError: there is no such clip.
        """
        for name in names:
            self._path(name)
        self.queue.add({name: draft_digests(Workspace(self.out / name)) for name in names})

    def dequeue(self, name: str) -> None:
        """Take a clip out of the queue; its run, if one is in progress, is cancelled.

        Raises:
            InputError: there is no such clip.
        """
        self._path(name)
        if self.queue.remove(name):
            return
        service = self._services.get(name)
        job = None if service is None else service.jobs.current
        if service is not None and job is not None and job["kind"] == "propagate":
            service.cancel()

    def service(self, name: str) -> ClipService:
        """The service of a clip, which is opened unless it is open.

        Raises:
            InputError: there is no such clip, or it cannot be opened.
        """
        path = self._path(name)
        with self._opening[name]:
            self._used_at[name] = time.monotonic()
            if name not in self._services:
                self._services[name] = self._open(name, path)
            return self._services[name]

    def thumb(self, name: str) -> bytes:
        """A JPEG of a clip's first frame.

        Raises:
            InputError: there is no such clip, or it cannot be read.
        """
        path = self._path(name)
        if name not in self._thumbs:
            opened = self._services.get(name)
            if opened is not None:
                self._thumbs[name] = opened.session.images.thumb(0)
            else:
                with open_clip(path) as clip:
                    self._thumbs[name] = ClipImages(clip).thumb(0)
        return self._thumbs[name]

    def start(self) -> None:
        """Begin to load the segmenter."""
        self._opener.loader.start()

    def end_streams(self) -> None:
        """End the streams of events of all pages."""
        for service in list(self._services.values()):
            service.session.events.close()

    def poll(self) -> None:
        """See `Service.poll`; what is wrong with one clip is logged, and the others are polled.

        The next clip of the queue is started, too.
        """
        self.queue.advance()
        for name, service in list(self._services.items()):
            try:
                service.poll()
            except (DextrVosError, OSError) as error:
                log.warning("%s: %s", name, error)
            self._close_idle(name)

    def close(self) -> None:
        """End all work; nothing is lost, but the queue is not kept."""
        self.queue.close()
        for name in self._clips:
            with self._opening[name]:
                try:
                    self._close(name)
                except OSError as error:  # the others are closed, too
                    log.warning("%s: %s", name, error)
        self._opener.loader.close()

    def _jobs(self) -> dict[str, Jobs]:
        return {name: service.jobs for name, service in list(self._services.items())}

    def _start_run(self, name: str, drafts: Drafts) -> None:
        self.service(name).propagate(schemas.Propagate(), drafts)

    def _close_idle(self, name: str) -> None:
        """Close a clip that no page shows, so that its caches do not stay in memory."""
        with self._opening[name]:
            service = self._services.get(name)
            idle = time.monotonic() - self._used_at[name] > _SECONDS_IDLE
            if service is None or not idle:
                return
            if service.jobs.current is None and not service.session.events.listened:
                self._close(name)

    def _close(self, name: str) -> None:
        service = self._services.pop(name, None)
        if service is not None:
            try:
                service.release()
            finally:
                self._locks.pop(name).release()

    def _path(self, name: str) -> Path:
        if name not in self._clips:
            raise InputError(f"there is no clip '{name}'; there are {', '.join(self._clips)}")
        return self._clips[name]

    def _open(self, name: str, path: Path) -> ClipService:
        workspace = Workspace(self.out / name)
        clip = open_clip(path)
        workspace.check_clip(clip)
        lock = FolderLock(workspace.path)
        readonly = None if lock.try_acquire() else f"{lock.message}; here it can only be viewed"
        try:
            opener, shared = self._opener, self.out / LABELS
            service = ClipService(clip, workspace, opener.loader, opener.propagation, readonly, shared)
        except BaseException:
            lock.release()
            raise
        service.session.access.lock = lock if readonly is None else None
        service.on_run_end = lambda last: self.queue.note_end(name, last)
        self._locks[name] = lock
        names = self.names
        place = names.index(name)
        service.project = {
            "place": place + 1,
            "clips": len(names),
            "previous": names[place - 1] if place else None,
            "next": names[place + 1] if place + 1 < len(names) else None,
        }
        return service
