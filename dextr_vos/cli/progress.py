"""The progress bar of all commands: on standard error, and only where someone is watching."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[int, int], None]


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[..., None]]:
    """A bar that appears with the first report.

    Args:
        title: what is being done.

    Yields:
        A function to call with units done, units in all and, where there is one, the loss.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
    )
    task = bar.add_task(title, total=None, note="")
    with bar:

        def report(done: int, total: int, loss: float | None = None) -> None:
            note = "" if loss is None else f"loss {loss:.3f}"
            bar.update(task, completed=done, total=total, note=note)

        yield report
