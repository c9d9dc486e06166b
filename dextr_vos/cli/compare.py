"""`dextr-vos compare`: two benchmarks side by side."""

from pathlib import Path

import rich_click as click


@click.command(short_help="Two benchmarks side by side.")
@click.argument("one", type=click.Path(path_type=Path), metavar="A")
@click.argument("other", type=click.Path(path_type=Path), metavar="B")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures to this file.")
def command(one: Path, other: Path, json_path: Path | None) -> None:
    """Compare the cells that the benchmarks in the folders A and B both have: means, differences, clips.

    The same table in both is told, too: so it can be seen whether a cluster gave what one machine gave.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from dextr_vos.benchmark.compare import compare, terminal_tables
    from dextr_vos.benchmark.table import read_table
    from dextr_vos.files import write_text

    compared = compare(read_table(one), read_table(other))
    console = Console()
    for table in terminal_tables(compared, (str(one), str(other))):
        console.print(table)
    if json_path is not None:
        write_text(json_path, json.dumps(asdict(compared), indent=1) + "\n")
        click.echo(f"wrote {json_path}")
