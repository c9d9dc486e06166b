"""The progress bars of all commands: on standard error, and only where someone is watching."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


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
    display = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
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
