"""How far a command is: bars where someone is watching, now and then a line in a log. On standard error."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from dextr_vos.errors import counted

SECONDS_BETWEEN_LINES = 15.0


class Report(Protocol):
    """Called with units done, units in all and, where there is one, the loss."""

    def __call__(self, done: int, total: int, loss: float | None = None) -> None:
        """Show how far it is."""


@contextmanager
def progress_bars() -> Iterator[Callable[[str], Report]]:
    """Bars below one another, each appearing with its first report.

    Yields:
        A function that makes a bar of a title and returns what to report to.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines
        return
    display = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
    )

    def bar(title: str) -> Report:
        task: TaskID | None = None

        def report(done: int, total: int, loss: float | None = None) -> None:
            nonlocal task
            if task is None:
                task = display.add_task(title, total=total, note="")
            note = "" if loss is None else f"loss {loss:.3f}"
            display.update(task, completed=done, total=total, note=note)

        return report

    with display:
        yield bar


def _lines(title: str) -> Report:
    """Reports as lines, none sooner than some seconds after the one before."""
    last = time.monotonic()

    def report(done: int, total: int, loss: float | None = None) -> None:
        nonlocal last
        if time.monotonic() - last < SECONDS_BETWEEN_LINES:
            return
        last = time.monotonic()
        note = "" if loss is None else f", loss {loss:.3f}"
        sys.stderr.write(f"{title}: {done} of {total}{note}\n")

    return report


OnJobs = Callable[[int, int, float, Sequence[str]], None]
OnLine = Callable[[str], None]
_PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


@contextmanager
def progress_of_jobs(total: int, before: int, noun: str) -> Iterator[tuple[OnJobs, OnLine]]:
    """How far many long jobs are, and the time that is left: a bar, or lines in a log.

    Args:
        total: number of jobs.
        before: how many of them were finished before this call.
        noun: what one of them is called.

    Yields:
        A function to call with the numbers of jobs finished and failed, how much of the running ones is done
        (as a number of jobs), and the names of those that run; and one that shows a line which stays.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console, started = Console(stderr=True), time.monotonic()

    def left(finished: int, failed: int, part: float) -> str:
        """What a line says of it; nothing before it can be told."""
        done = finished - before + failed + part
        if done <= 0:
            return ""
        return f", {duration((time.monotonic() - started) / done * max(0.0, total - before - done))} left"

    if not console.is_terminal:
        yield _job_lines(total, noun, left), lambda line: console.print(line, **_PLAIN)
        return
    display = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), console=console
    )
    with display:
        task = display.add_task(f"{noun}s", total=total, completed=before, note="")

        def bar(finished: int, failed: int, part: float, running: Sequence[str]) -> None:
            note = f"{finished} of {total}" + (f", {failed} failed" if failed else "")
            note += f"{left(finished, failed, part)}; {'; '.join(running)}"
            display.update(task, completed=finished + failed + part, note=note[: console.width - 50])

        yield bar, lambda line: console.print(line, **_PLAIN)  # above the bar


def _job_lines(total: int, noun: str, left: Callable[[int, int, float], str]) -> OnJobs:
    """Reports as lines: soon after a job has ended, seldom where none has."""
    last, shown = time.monotonic() - SECONDS_BETWEEN_LINES, -1

    def line(finished: int, failed: int, part: float, running: Sequence[str]) -> None:
        nonlocal last, shown
        now = finished + failed
        pause_s = SECONDS_BETWEEN_LINES if now != shown else 4 * SECONDS_BETWEEN_LINES
        if time.monotonic() - last < pause_s:
            return
        last, shown = time.monotonic(), now
        note = f", {failed} failed" if failed else ""
        sys.stderr.write(
            f"{finished} of {counted(total, noun)}{note}{left(finished, failed, part)}; "
            f"now {'; '.join(running) or 'waiting'}\n"
        )

    return line


def duration(seconds: float) -> str:
    """Seconds in words: 40 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
