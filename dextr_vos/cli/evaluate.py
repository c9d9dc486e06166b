"""`dextr-vos evaluate`: scores of a folder of results on DAVIS."""

from itertools import count
from pathlib import Path

import rich_click as click


@click.command(short_help="Score results on DAVIS: J and F.")
@click.option(
    "--davis-root",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the data set; it holds Annotations/480p.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of results: CLIP/FRAME.png, or CLIP/masks/FRAME.png with CLIP/run.json. "
    "The CSV files go here.",
)
@click.option("--clips", help="Clips to score, with commas between; all of the split when not given.")
@click.option("--split", default="val", show_default=True, help="Which list of clips to score.")
@click.option(
    "--keyframes",
    help="Annotated frames of every clip, names or indices from 0, with commas between; "
    "from each clip's run.json when not given.",
)
@click.option(
    "--year",
    type=click.Choice(["auto", "2016", "2017"]),
    default="auto",
    show_default=True,
    help="2016 scores one object a clip, 2017 each object on its own; auto tells by the masks.",
)
@click.option(
    "--official", is_flag=True, help="Score with the package davis2017, too; tells the largest difference."
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path),
    help="Write all scores, frame by frame, to this file.",
)
def command(
    davis_root: Path,
    results: Path,
    clips: str | None,
    split: str,
    keyframes: str | None,
    year: str,
    official: bool,
    json_path: Path | None,
) -> None:
    """Score a folder of results on DAVIS: region similarity J and boundary accuracy F.

    The first and the last frame of a clip are not scored. Prints a table, and writes global_results-SPLIT.csv
    and per-sequence_results-SPLIT.csv into the folder of results, as the official script does.
    """
    from rich.console import Console

    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.datasets.davis import Davis
    from dextr_vos.errors import InputError
    from dextr_vos.evaluation import davis as scorer
    from dextr_vos.evaluation import tables
    from dextr_vos.evaluation.official import largest_difference, official_functions, official_scores

    if official:
        official_functions()  # told before anything is scored
    data = Davis(davis_root)
    wanted_year = None if year == "auto" else int(year)
    if clips is None:
        names = data.clips(split, wanted_year or data.guess_year(data.available_clips()[0]))
    else:
        names = [data.require(clip) for clip in _parts(clips)]
    marks = None if keyframes is None else _parts(keyframes)
    with progress_bars() as bar:
        report, done = bar("scoring"), count(1)
        scores = scorer.evaluate_davis(
            data, results, names, wanted_year, marks, on_clip=lambda _: report(next(done), len(names))
        )
    console = Console()
    for table in tables.terminal_tables(scores):
        console.print(table)
    try:
        written = tables.write_csvs(scores, results, split)
        if json_path is not None:
            tables.write_json(scores, json_path)
            written.append(json_path)
    except OSError as fault:
        raise InputError(f"cannot write the scores: {fault}; choose a folder you may write to") from None
    for path in written:
        click.echo(f"wrote {path}")
    if official:
        theirs = official_scores(data, results, scores.objects, scores.year)
        frames = sum(len(one.frames) for one in scores.objects)
        difference = largest_difference(scores.objects, theirs)
        click.echo(
            f"largest difference from the official scores: {difference:.1e}, J and F of {frames} frames"
        )


def _parts(text: str) -> list[str]:
    """The parts of a list with commas between, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
