"""Processes whose file operations are counted; one of these ends the process, or fails as of a full disk.

Python announces its file operations to audit hooks before it does them (PEP 578): opening for writing,
renaming, removing, making folders. `os.fsync` is added, and limits of the size of files, which the system
itself enforces in the middle of a write, whoever writes.
"""

import errno
import logging
import mmap
import os
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["kill", "full", "readonly", "broken", "none"]
_ERRORS = {"full": errno.ENOSPC, "readonly": errno.EROFS, "broken": errno.EIO}
_PATHS_OF = {
    "os.rename": 2, "os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.truncate": 1, "os.link": 2,
    "os.symlink": 2, "os.chmod": 1,
}  # fmt: skip
_REMOVALS = ("os.remove", "os.rmdir", "os.truncate")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_LIMIT_S = 600.0


class Operations:
    """Counts the file operations below a folder, over a fork, and breaks one.

    Args:
        folder: operations elsewhere are not counted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._shared = mmap.mmap(-1, 16)  # survives a kill
        self._at, self._kind = 0, "none"
        self._installed = False

    def break_at(self, number: int, kind: Kind) -> None:
        """Break the operation of this number, from 1, and those after it until this is called again."""
        self._at, self._kind = number, kind
        self._put(0, 0)
        if not self._installed:
            self._installed = True
            sys.addaudithook(self._hook)
            sync = os.fsync
            os.fsync = lambda file: (self._done(), sync(file))[1]

    def mend(self) -> None:
        """From now on the disk works."""
        self.break_at(0, "none")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    @property
    def count(self) -> int:
        """Operations so far."""
        return self._get(0)

    @property
    def noted(self) -> int:
        """What `note` was given last."""
        return self._get(1)

    def note(self, number: int) -> None:
        """Tell the process that waits how far this one has come."""
        self._put(1, number)

    def _get(self, place: int) -> int:
        return int(struct.unpack_from("q", self._shared, 8 * place)[0])

    def _put(self, place: int, number: int) -> None:
        struct.pack_into("q", self._shared, 8 * place, number)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = any(sign in mode for sign in "wax+") if isinstance(mode, str) else flags & _WRITES
            if writes and self._is_below(path):
                self._done(path)
        elif event in _REMOVALS and self._kind == "full":
            return  # a full disk lets files go
        elif event in _PATHS_OF:
            paths = [path for path in arguments[: _PATHS_OF[event]] if self._is_below(path)]
            if paths:
                self._done(paths[0])

    def _is_below(self, path: Any) -> bool:
        if isinstance(path, bytes | str | os.PathLike):
            return os.fsdecode(path).startswith(self._folder)
        return False

    def _done(self, path: Any = None) -> None:
        self._put(0, self.count + 1)
        if self._kind == "none" or self.count < self._at:
            return
        if self._kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        code = _ERRORS[self._kind]
        raise OSError(code, os.strerror(code), path and os.fsdecode(path))


Work = Callable[[Operations], object]


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit status, negative for a signal; what it printed; operations; what it noted."""

    status: int
    told: str
    count: int
    noted: int


def run(
    work: Callable[[Operations], object],
    folder: Path,
    at: int = 0,
    kind: Kind = "none",
    limit: int | None = None,
) -> Ended:
    """Do work in a forked process.

    Args:
        work: given the operations; what it raises ends the process with status 1.
        folder: in which operations count; what it prints is returned.
        at: number of the operation that is broken, from 1.
        kind: how.
        limit: bytes above which files cannot grow.
    """
    operations, (ours, theirs) = Operations(folder), os.pipe()  # a pipe has no limit of size
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        status = 98
        try:
            status = _work(work, operations, theirs, at, kind, limit)
        finally:
            os._exit(status)
    os.close(theirs)
    os.set_blocking(ours, False)
    end, told, status = time.monotonic() + _LIMIT_S, b"", None
    while status is None:
        found, state = os.waitpid(process, os.WNOHANG)
        if found:
            status = os.waitstatus_to_exitcode(state)
        elif time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            status, told = 99, told + f"did not end within {_LIMIT_S:.0f} s".encode()
        else:
            time.sleep(0.002)
        told += _read(ours)
    os.close(ours)
    return Ended(status, told.decode(errors="replace"), operations.count, operations.noted)


def _read(pipe: int) -> bytes:
    """All that is in a pipe now."""
    pieces = []
    try:
        while piece := os.read(pipe, 1 << 16):
            pieces.append(piece)
    except BlockingIOError:
        pass
    return b"".join(pieces)


def _work(
    work: Callable[[Operations], object],
    operations: Operations,
    told: Path,
    at: int,
    kind: Kind,
    limit: int | None,
) -> int:

    os.dup2(told, 1)
    os.dup2(told, 2)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    logging.disable(logging.CRITICAL)
    try:
        operations.break_at(at, kind)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        work(operations)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        operations.mend()
        traceback.print_exc()
        return 1
    return 0
