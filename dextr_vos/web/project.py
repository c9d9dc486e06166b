"""A project: the clips of a folder, each with a workspace of its own, listed with their progress.

```
FOLDER/dog/*.jpg, FOLDER/cat.mp4      the clips
OUT/dog/, OUT/cat/                    their workspaces
OUT/labels.yaml                       label set of all workspaces that have none of their own
```
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dextr_vos.clip import open_clip
from dextr_vos.errors import DextrVosError, InputError
from dextr_vos.files import natural_key
from dextr_vos.folder_lock import FolderLock
from dextr_vos.images import SUFFIXES
from dextr_vos.run_files import UNCERTAIN_IOU, frame_confidence, read_confidence
from dextr_vos.web.images import ClipImages
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.service import ClipService, Propagation
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

_SUFFIXES = "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv ts webm wmv y4m"
VIDEOS = frozenset(f".{suffix}" for suffix in _SUFFIXES.split(" "))
LABELS = "labels.yaml"


def clips_in(folder: Path) -> dict[str, Path]:
    """The clips of a folder by name, in natural order: folders of images, and video files.

    A folder that holds images itself is a clip and no project; it has none. A video that is called like a
    folder keeps its suffix in its name.
    """
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    if any(_is_image(entry) for entry in entries):
        return {}
    found = [entry for entry in entries if entry.is_dir() and any(map(_is_image, entry.iterdir()))]
    found += [entry for entry in entries if entry.is_file() and entry.suffix.lower() in VIDEOS]
    stems = [entry.stem if entry.is_file() else entry.name for entry in found]
    names = [stem if stems.count(stem) == 1 else entry.name for stem, entry in zip(stems, found, strict=True)]
    return dict(sorted(zip(names, found, strict=True), key=lambda named: natural_key(named[0])))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


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
    """The clips of a folder; each is opened when somebody wants to see it, and stays open.

    Args:
        clips: their paths by name, see `clips_in`.
        out: folder of their workspaces.
        opener: how they are opened.
    """

    def __init__(self, clips: dict[str, Path], out: Path, opener: ClipOpener) -> None:
        self._clips, self.out, self._opener = clips, out, opener
        self._services: dict[str, ClipService] = {}
        self._locks: list[FolderLock] = []
        self._opening = threading.RLock()
        self._doubtful: dict[str, tuple[int, int]] = {}
        self._thumbs: dict[str, bytes] = {}

    @property
    def title(self) -> str:
        """What the project is called: the name of the folder of its clips."""
        return next((path.resolve().parent.name for path in self._clips.values()), self.out.name)

    @property
    def names(self) -> Sequence[str]:
        """Names of the clips, in natural order."""
        return list(self._clips)

    def progress(self) -> list[dict[str, Any]]:
        """What is known of each clip without opening it; `frames` is None for a video that nobody opened."""
        return [self._progress(name) for name in self._clips]

    def service(self, name: str) -> ClipService:
        """The service of a clip, which is opened unless it is open.

        Raises:
            InputError: there is no such clip, or it cannot be opened.
        """
        path = self._path(name)
        with self._opening:
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
        """See `Service.poll`; what is wrong with one clip is logged, and the others are polled."""
        for name, service in list(self._services.items()):
            try:
                service.poll()
            except (DextrVosError, OSError) as error:
                log.warning("%s: %s", name, error)

    def close(self) -> None:
        """End all work; nothing is lost."""
        with self._opening:
            for service in self._services.values():
                service.close()
            self._opener.loader.close()
            for lock in self._locks:
                lock.release()

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
        self._locks.append(lock)
        names = self.names
        place = names.index(name)
        service.project = {
            "place": place + 1,
            "clips": len(names),
            "previous": names[place - 1] if place else None,
            "next": names[place + 1] if place + 1 < len(names) else None,
        }
        return service

    def _progress(self, name: str) -> dict[str, Any]:
        path, workspace = self._clips[name], Workspace(self.out / name)
        opened = self._services.get(name)
        frames = None
        if opened is not None:
            frames = len(opened.clip)
        elif path.is_dir():
            frames = sum(map(_is_image, path.iterdir()))
        masks = len(list(workspace.run.masks.glob("[!.]*.png"))) if workspace.run.record.exists() else 0
        return {
            "name": name,
            "frames": frames,
            "keyframes": len(workspace.keyframe_files()),
            "drafts": len(workspace.corrected_frames()),
            "masks": masks,
            "doubtful": self._doubtful_frames(name, workspace),
            "job": None if opened is None else opened.jobs.current,
        }

    def _doubtful_frames(self, name: str, workspace: Workspace) -> int:
        """Number of frames whose masks are uncertain or lost."""
        path = workspace.run.confidence
        try:
            stamp = path.stat().st_mtime_ns
            if self._doubtful.get(name, (0, 0))[0] != stamp:
                scores = read_confidence(path).values()
                count = sum(frame_confidence(each) < UNCERTAIN_IOU for each in scores)
                self._doubtful[name] = (stamp, count)
            return self._doubtful[name][1]
        except (OSError, InputError):
            return 0
