"""`dextr-vos speed`: how fast the stages are on this machine."""

from pathlib import Path

import rich_click as click


@click.command(short_help="How fast it is on this machine.")
@click.option(
    "--device", default="auto", show_default=True, help="Where to compute: auto, cpu, cuda, cuda:1, mps."
)
@click.option("--runs", default=15, show_default=True, type=click.IntRange(min=1), help="Of each thing.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures to this file.")
def command(device: str, runs: int, json_path: Path | None) -> None:
    """Time a mask from clicks, a frame followed and a step of fine-tuning on a rendered 854×480 clip.

    Medians of all runs but a first one, which warms up. Compare figures of one run; machines differ.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.files import write_text
    from dextr_vos.runtime import pick_device
    from dextr_vos.speed import measure

    chosen = pick_device(device)
    with progress_bars() as bar:
        timings = measure(chosen, runs, bar("timing"))
    table = Table("", "median", "least", "most", title=f"milliseconds on {chosen}, {runs} runs")
    for timing in timings:
        figures = (timing.median_s, timing.least_s, timing.most_s)
        table.add_row(timing.name, *(f"{1000 * seconds:.0f}" for seconds in figures))
    Console().print(table)
    if json_path is not None:
        content = {"device": str(chosen), "runs": runs, "timings": [asdict(timing) for timing in timings]}
        write_text(json_path, json.dumps(content, indent=1) + "\n")
