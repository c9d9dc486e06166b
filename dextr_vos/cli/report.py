"""`dextr-vos report`: the page of a benchmark drawn again."""

from pathlib import Path

import rich_click as click


@click.command(short_help="Draw the page of a benchmark again.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--click-times",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Take seconds of clicking from this annotations.json, or all in a folder; may be repeated.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Show every cell in DIR, its newest result, not those asked for last alone.",
)
def command(folder: Path, click_times: tuple[Path, ...], everything: bool) -> None:
    """Draw DIR/report.html and DIR/table.csv from the results in DIR, the --out folder of a benchmark.

    It may be at work still: what is finished is shown.
    """
    from dextr_vos.benchmark.annotation_time import load_annotation_time, measured_annotation_time
    from dextr_vos.benchmark.report.clicks import write_clicks_report
    from dextr_vos.benchmark.report.page import write_report

    if (folder / "clicks.json").exists():
        click.echo(f"wrote {write_clicks_report(folder)}")
        return
    times = None
    if click_times:
        times = measured_annotation_time(click_times, load_annotation_time(folder / "times.json").draw_s)
    click.echo(f"wrote {write_report(folder, times, everything)}")
