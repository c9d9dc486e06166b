"""`dextr-vos speed`: how fast the parts are on this machine."""

from pathlib import Path

import rich_click as click

PARTS = ("stages", "scoring", "plain")


@click.command(short_help="How fast it is on this machine.")
@click.option(
    "--device", default="auto", show_default=True, help="Where to compute: auto, cpu, cuda, cuda:1, mps."
)
@click.option("--runs", default=15, show_default=True, type=click.IntRange(min=1), help="Of each thing.")
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    default=("stages",),
    show_default=True,
    help="stages: clicks to masks, fine-tuning, segmenting. scoring: J and F of a frame. plain: the paper "
    "model against the same networks in float32 and the default layout. May be repeated.",
)
@click.option(
    "--model",
    "models",
    type=click.Choice(["lite", "paper"]),
    multiple=True,
    default=("lite",),
    show_default=True,
    help="With stages; paper has random weights. May be repeated.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Of a CPU; as many as it has when not given.")
@click.option(
    "--batch", default=1, show_default=True, type=click.IntRange(1), help="With plain: objects at a time."
)
@click.option(
    "--davis-root",
    type=click.Path(path_type=Path),
    help="With scoring: DAVIS 2016 in place of a rendered clip; needs --results.",
)
@click.option(
    "--results", type=click.Path(path_type=Path), help="With scoring: masks to score, as in evaluate."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures to this file.")
def command(
    device: str,
    runs: int,
    parts: tuple[str, ...],
    models: tuple[str, ...],
    threads: int | None,
    batch: int,
    davis_root: Path | None,
    results: Path | None,
    json_path: Path | None,
) -> None:
    """Time the parts on a rendered 854×480 clip.

    Medians of all runs but a first one, which warms up; the things of a part take turns. Compare figures of
    one run; machines differ.
    """
    import json

    import torch

    from dextr_vos.benchmark.speed.report import measure, print_report
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.errors import ConfigError
    from dextr_vos.files import write_text
    from dextr_vos.runtime import pick_device

    if (davis_root is None) != (results is None):
        raise ConfigError("--davis-root and --results go together: true masks, and masks to score")
    if davis_root is not None and "scoring" not in parts:
        raise ConfigError("--davis-root goes with --part scoring")
    chosen = pick_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    with progress_bars() as bar:
        report = measure(chosen, runs, parts, models, batch, davis_root, results, bar)
    print_report(report)
    if json_path is not None:
        write_text(json_path, json.dumps(report.as_json(), indent=1) + "\n")
