"""`dextr-vos compare`: two benchmarks side by side."""

from pathlib import Path

import rich_click as click

from dextr_vos.cli.options import PATH, json_option


@click.command(short_help="Two benchmarks side by side.")
@click.argument("one", type=PATH, metavar="A")
@click.argument("other", type=PATH, metavar="B")
@json_option()
def command(one: Path, other: Path, json_path: Path | None) -> None:
    """Compare the cells that the benchmarks in the folders A and B have in common: means, differences, clips.

    It also says when both hold the same table, as when a cluster and one machine ran the same benchmark.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from dextr_vos.benchmark.table import compare, read_table, terminal_tables
    from dextr_vos.files import write_text

    compared = compare(read_table(one), read_table(other))
    console = Console()
    for table in terminal_tables(compared, (str(one), str(other))):
        console.print(table)
    if json_path is not None:
        write_text(json_path, json.dumps(asdict(compared), indent=1) + "\n")
        click.echo(f"wrote {json_path}")
