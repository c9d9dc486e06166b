"""`dextr-vos speed`: how fast the parts are on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich_click as click

from dextr_vos.cli.options import PATH, davis_root_option, device_option, json_option

PARTS = ("stages", "scoring", "plain")


@dataclass(frozen=True)
class _Options:
    """The command line."""

    device: str
    repeats: int
    parts: tuple[str, ...]
    models: tuple[str, ...]
    weights: Path | None
    threads: int | None
    batch: int
    davis_root: Path | None
    results: Path | None
    json_path: Path | None


@click.command(short_help="How fast it is on this machine.")
@device_option()
@click.option(
    "--repeats", default=15, show_default=True, type=click.IntRange(min=1), help="Runs of each measurement."
)
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    default=("stages",),
    show_default=True,
    help="stages: clicks to masks, fine-tuning, segmenting. scoring: J and F of a frame. plain: the paper "
    "model against the same networks in float32 and the default layout. Repeatable.",
)
@click.option(
    "--model",
    "models",
    type=click.Choice(("lite", "paper", "sam2")),
    multiple=True,
    default=("lite",),
    show_default=True,
    help="With stages; paper has random weights. Repeatable.",
)
@click.option(
    "--weights",
    type=PATH,
    metavar="FILE",
    help="With the model sam2: its checkpoint. Without it, the smallest size with random weights.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; by default one per core.")
@click.option(
    "--batch", default=1, show_default=True, type=click.IntRange(1), help="With plain: objects per batch."
)
@davis_root_option("With scoring: DAVIS 2016 in place of a rendered clip; needs --results.")
@click.option(
    "--results", type=PATH, metavar="DIR", help="With scoring: folder of results to score, as in evaluate."
)
@json_option()
def command(**given: Any) -> None:
    """Time the parts on a rendered 854×480 clip.

    Prints the median of all runs but the first, which warms up; the measurements of a part take turns.
    Compare figures of one call only; machines differ.
    """
    _speed(_Options(**given))


def _speed(options: _Options) -> None:
    import json

    import torch
    from rich.console import Console

    from dextr_vos.benchmark.speed.report import measure, terminal_report
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.errors import ConfigError
    from dextr_vos.files import write_text
    from dextr_vos.runtime import pick_device

    if (options.davis_root is None) != (options.results is None):
        raise ConfigError("--davis-root and --results go together: true masks, and masks to score")
    if options.davis_root is not None and "scoring" not in options.parts:
        raise ConfigError("--davis-root goes with --part scoring")
    if options.weights is not None and not ("stages" in options.parts and "sam2" in options.models):
        raise ConfigError("--weights is a checkpoint of SAM 2 and goes with --part stages --model sam2")
    chosen = pick_device(options.device)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    with progress_bars() as bar:
        report = measure(
            chosen,
            options.repeats,
            options.parts,
            options.models,
            options.weights,
            options.batch,
            options.davis_root,
            options.results,
            bar,
        )
    console = Console()
    for shown in terminal_report(report):
        console.print(shown)
    if options.json_path is not None:
        write_text(options.json_path, json.dumps(report.as_json(), indent=1) + "\n")
