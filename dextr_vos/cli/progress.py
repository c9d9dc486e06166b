"""How far a command is: bars where someone is watching, now and then a line in a log. On standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

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
