"""Commands and jobs in processes that have everything imported, with the streams and methods of `Popen`."""

import multiprocessing.connection
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from multiprocessing import Pipe
from typing import Any, TextIO

from tiny_training import start_process


class Forked:
    """Work in a process as `start_process` makes it: its standard streams are pipes, errors go with the rest.

    Args:
        work: called there; it may end with `SystemExit`.
        args: of it.
        errors: whether standard error is the pipe of standard output, too.
    """

    def __init__(self, work: Callable[..., object], *args: object, errors: bool = True) -> None:
        given, writer = Pipe(duplex=False)
        reader, told = Pipe(duplex=False)
        with given, told, writer, reader:
            self._process = start_process(
                _with_streams, given, told, errors, work, args, env=dict(os.environ)
            )
            self.stdin: TextIO = os.fdopen(os.dup(writer.fileno()), "w", encoding="utf-8")
            self.stdout: TextIO = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        self.stderr = self.stdout if errors else None
        self._asking = threading.Lock()  # the status of an ended process can be read once
        pid = self._process.pid
        assert pid is not None
        self.pid = pid

    def poll(self) -> int | None:
        """The exit status; None: it has not ended."""
        with self._asking:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, after the end."""
        multiprocessing.connection.wait([self._process.sentinel], timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return status

    def send_signal(self, kind: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, kind)

    def kill(self) -> None:
        """As kill -9 does it."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close its streams."""
        self.stdin.close()
        self.stdout.close()


def _with_streams(given: Any, told: Any, errors: bool, work: Callable[..., object], args: Any) -> None:
    os.setsid()
    warnings.resetwarnings()
    with given, told:
        os.dup2(given.fileno(), 0)
        for number in (1, 2) if errors else (1,):
            os.dup2(told.fileno(), number)
    # the old objects remember what the descriptors were
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    work(*args)


def job() -> Forked:
    """In place of `dextr_vos.web.jobs._start_worker`."""
    return Forked(_job, errors=False)


def _job() -> None:
    from dextr_vos.web.worker import main

    sys.exit(main())
