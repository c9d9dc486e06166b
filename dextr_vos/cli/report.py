"""`dextr-vos report`: the page of a benchmark drawn again."""

from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import PATH, click_times_option


@click.command(short_help="Redraw the report of a benchmark.")
@click.argument("folder", type=PATH, metavar="DIR")
@click_times_option()
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Show every cell in DIR with its newest result, not only those of the last call.",
)
def command(folder: Path, click_times: tuple[Path, ...], everything: bool) -> None:
    """Draw DIR/report.html and DIR/table.csv from the results in DIR, the --out folder of a benchmark.

    The benchmark may still be running: what is finished is shown.
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
