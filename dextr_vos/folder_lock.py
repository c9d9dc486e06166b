"""The lock of a folder: one process changes its files, and the others learn who, where and since when.

The operating system holds the lock (`filelock`), so that it ends with its process, however that ends. What is
known of the holder lies beside it in a file of its own and only serves messages.
"""

import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.files import TEMPORARY, is_temporary, refuse_links, sweep_temporaries, write_text
from dextr_vos.interrupt import StopAsked, never

LOCKED_WITHIN_S = 60.0  # a newer scratch folder may not be locked yet
_ASIDE = ".former"  # folder of what was put aside in a scratch folder


class FolderLock:
    """An exclusive lock on a folder, between processes and within one.

    As a context manager it is acquired, unless it is held already, and released at the end of the block.

    Args:
        folder: the folder; it is created when the lock is acquired.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with FolderLock(folder):
        ...     FolderLock(folder).try_acquire()
        False
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._holder = folder / ".lock.json"
        self._lock = FileLock(folder / ".lock", thread_local=False)
        self._identity: tuple[int, int] | None = None  # of the lock's file

    @property
    def holder(self) -> str:
        """Who has the lock, for a message: "process 71 on mars since 2026-05-04T09:30:00Z"."""
        try:
            holder = json.loads(self._holder.read_text(encoding="utf-8"))
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def try_acquire(self, timeout_s: float = 0.0) -> bool:
        """Acquire the lock unless another holder keeps it for longer than `timeout_s` seconds.

        Raises:
            InputError: the folder is a file, or its lock a symbolic link.
            OSError: the folder cannot be written.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file; expected a folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        refuse_links(self.folder / ".lock", self._holder)
        try:
            self._lock.acquire(timeout=timeout_s)
        except Timeout:
            return False
        sweep_temporaries(self.folder)  # of a holder that was killed
        since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        try:
            write_text(self._holder, json.dumps(holder) + "\n")
        except BaseException:
            self._lock.release()
            raise
        self._identity = self._identity_on_disk()
        return True

    @property
    def is_held(self) -> bool:
        """Whether this lock keeps others out: not where the folder was removed or replaced meanwhile."""
        return self._lock.is_locked and self._identity == self._identity_on_disk()

    def _identity_on_disk(self) -> tuple[int, int] | None:
        try:
            file = (self.folder / ".lock").stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:  # a network disk that does not answer has not lost the folder
            return self._identity
        return file.st_dev, file.st_ino

    def acquire(self, timeout_s: float = 0.0) -> None:
        """Acquire the lock.

        Raises:
            InputError: another holder has kept it for `timeout_s` seconds, or the folder is a file.
            OSError: the folder cannot be written.
        """
        if not self.try_acquire(timeout_s):
            raise InputError(f"{self.message}; wait for it to end, or use another folder")

    def wait(self, stop_asked: StopAsked = never, poll_s: float = 0.5) -> None:
        """Acquire the lock as soon as its holder releases it.

        Args:
            stop_asked: asked every `poll_s` seconds.
            poll_s: how long to wait between two questions, in seconds.

        Raises:
            Interrupted: a stop was asked for before that.
        """
        while not self.try_acquire(poll_s):
            if stop_asked():
                raise Interrupted(f"stopped while waiting for {self.folder}; the same command resumes")

    @property
    def message(self) -> str:
        """The sentence on a lock that another holder has, without what to do about it."""
        return f"{self.folder} is in use by {self.holder}"

    def release(self) -> None:
        """Release the lock, if it is held; where the folder was replaced, its new lock is that of others."""
        if self._lock.is_locked:
            if self.is_held:
                self._holder.unlink(missing_ok=True)
            self._lock.release()

    def __enter__(self) -> Self:
        if not self._lock.is_locked:
            self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder while the block runs; where that fails, no new empty folder stays behind.

    Raises:
        InputError: another holder has the lock.
    """
    is_new = not folder.exists()
    with FolderLock(folder):
        try:
            yield
        except BaseException:
            if is_new:
                for name in (".lock.json", ".lock"):
                    (folder / name).unlink(missing_ok=True)
                with suppress(OSError):  # somebody has put something in
                    folder.rmdir()
            raise


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """A folder beside a file or folder that is being made, which goes away afterwards.

    Those of processes that were killed go, too, see `sweep_scratch`.

    Args:
        path: its parent folder is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_scratch(path.parent)
    scratch = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=path.parent))
    lock = FolderLock(scratch)
    # a file system without locks: nothing there is swept either
    with suppress(OSError, NotImplementedError):
        lock.try_acquire()
    try:
        yield scratch
    finally:
        lock.release()
        shutil.rmtree(scratch, ignore_errors=True)


def put_aside(path: Path, scratch: Path) -> Path:
    """Move a file or folder into the scratch folder beside it; should this process die, it is put back.

    Returns:
        Where it is now.
    """
    aside = scratch / _ASIDE / path.name
    aside.parent.mkdir()
    path.rename(aside)
    return aside


def sweep_scratch(parent: Path) -> None:
    """Remove the scratch folders of processes that were killed: a lock in each tells them from those in use.

    What they had put aside, see `put_aside`, is put back where nothing has taken its place.

    Args:
        parent: the folder that holds them.
    """
    for folder in parent.glob(f"{TEMPORARY}*"):
        if is_temporary(folder) and folder.is_dir() and not folder.is_symlink():
            with suppress(OSError, InputError, NotImplementedError):
                _sweep_one(folder)


def _sweep_one(folder: Path) -> None:
    if time.time() - folder.stat().st_mtime < LOCKED_WITHIN_S:
        return
    lock = FolderLock(folder)
    if not lock.try_acquire():
        return
    try:
        for aside in (folder / _ASIDE).glob("*"):
            target = folder.parent / aside.name
            if not target.exists():
                aside.rename(target)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.release()
