"""Who holds a folder: one process changes it, the others are told who, where and since when."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dextr_vos.errors import InputError
from dextr_vos.files import write_text

_LOCK = ".page.lock"
_HOLDER = ".page.json"


@dataclass(frozen=True)
class FolderLock:
    """A try to hold a folder.

    Attributes:
        lock: held; None where somebody else holds it.
        held_by: a sentence that says who.
    """

    lock: FileLock | None
    held_by: str

    def release(self) -> None:
        """Let go of the folder."""
        if self.lock is not None:
            Path(self.lock.lock_file).with_name(_HOLDER).unlink(missing_ok=True)
            self.lock.release()


def claim(folder: Path, since: str) -> FolderLock:
    """Hold a folder, which is made, until the process ends or lets go.

    Args:
        folder: a workspace, or where progress is kept.
        since: the present time, for the sentence that others are told.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return FolderLock(None, _told(folder))
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    write_text(folder / _HOLDER, json.dumps(holder) + "\n")
    return FolderLock(lock, "")


def require_claim(folder: Path, since: str) -> FolderLock:
    """Hold a folder.

    Raises:
        InputError: somebody else does.
    """
    claimed = claim(folder, since)
    if claimed.lock is None:
        raise InputError(f"{claimed.held_by}; end it there first")
    return claimed


def _told(folder: Path) -> str:
    try:
        holder = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return f"{folder} is being worked on by {who}"


@contextmanager
def held_if_there(folder: Path, since: str) -> Iterator[None]:
    """Hold a folder while the block runs, if it is there; one that is not there nobody works on.

    Raises:
        InputError: somebody else holds it.
    """
    if not folder.is_dir():
        yield
        return
    claimed = require_claim(folder, since)
    try:
        yield
    finally:
        claimed.release()
