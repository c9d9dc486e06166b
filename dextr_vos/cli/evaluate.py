"""`dextr-vos evaluate`: scores of a folder of results on DAVIS."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from dextr_vos.cli.options import PATH, comma_list, davis_root_option, json_option

if TYPE_CHECKING:
    from dextr_vos.datasets.davis import Davis
    from dextr_vos.evaluation.davis import DavisScores
    from dextr_vos.evaluation.scores import ObjectRule


@dataclass(frozen=True)
class _Options:
    """The command line."""

    davis_root: Path
    results: Path
    clips: str | None
    frames: str | None
    split: str
    annotated_frames: str | None
    year: str
    objects: Literal["auto"] | "ObjectRule"
    no_stability: bool
    official: bool
    plot: Path | None
    json_path: Path | None


class _ResultsAsOption(click.RichCommand):
    """The command, which says how results are given to who gives them without `--results`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`."""
        if args and not args[0].startswith("-"):
            raise click.UsageError(f"give it as --results {args[0]}", ctx)
        return super().parse_args(ctx, args)


@click.command(cls=_ResultsAsOption, short_help="Score results on DAVIS: J, F and T.")
@davis_root_option(
    "Folder of DAVIS, or a part of YouTube-VOS, MOSE or LVOS; it holds Annotations.", required=True
)
@click.option(
    "--results",
    type=PATH,
    metavar="DIR",
    required=True,
    help="Folder with the masks of each clip in a folder of its name: CLIP/FRAME.png, the run of a clip, or "
    "its workspace. The CSV files go here.",
)
@click.option("--clips", metavar="LIST", help="Clips to score, comma-separated; by default all of the split.")
@click.option(
    "--frames",
    metavar="LIST",
    help="Score only these frames of each clip, as 1-20 or 00010-00020; T is not scored then, and no "
    "CSV files are written.",
)
@click.option("--split", default="val", show_default=True, help="Which list of clips to score.")
@click.option(
    "--annotated-frames",
    metavar="LIST",
    help="Frames that were annotated in every clip, names or indices from 0, comma-separated, for the scores "
    "without them; by default those that each run or workspace records.",
)
@click.option(
    "--year",
    type=click.Choice(["auto", "2016", "2017"]),
    default="auto",
    show_default=True,
    help="2016 scores one object per clip, 2017 each object on its own; auto decides by the masks.",
)
@click.option(
    "--objects",
    type=click.Choice(["auto", "first-frame", "from-first-appearance"]),
    default="auto",
    show_default=True,
    help="Which objects the rules of 2017 score: those of the first mask, as the official script does, or "
    "those that come later as well, each in the frames after the one in which it first appears; auto takes "
    "the second where the data set has a meta.json, as YouTube-VOS has.",
)
@click.option(
    "--no-stability",
    is_flag=True,
    help="Leave out T, the temporal stability of DAVIS 2016, which takes most of the time.",
)
@click.option(
    "--official",
    is_flag=True,
    help="Also score with the package davis2017 and print the largest difference.",
)
@click.option(
    "--plot",
    type=PATH,
    metavar="FILE.svg",
    help="Also draw J over the frames of each clip into this SVG file, with keyframes marked where known.",
)
@json_option("Also write all scores, frame by frame, to this JSON file.")
def command(**given: Any) -> None:
    """Score a folder of results on DAVIS: region similarity J, boundary accuracy F, temporal stability T.

    T belongs to DAVIS 2016 only. The first and the last frame of a clip are not scored. Prints a table, and
    writes global_results-SPLIT.csv and per-sequence_results-SPLIT.csv into the folder of results, without T,
    as the official script of 2017 does.
    """
    _evaluate(_Options(**given))


def _evaluate(options: _Options) -> None:
    from rich.console import Console

    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.datasets.davis import Davis
    from dextr_vos.errors import InputError
    from dextr_vos.evaluation.davis import ScoringRules, evaluate_davis
    from dextr_vos.evaluation.official import official_functions
    from dextr_vos.evaluation.tables import terminal_tables

    if options.plot is not None and options.plot.suffix.lower() != ".svg":
        raise InputError(f"expected --plot FILE.svg, got {options.plot}; charts are drawn as SVG")
    if options.plot is not None and options.plot.is_dir():
        raise InputError(f"{options.plot} is a folder; give a FILE.svg")
    if options.official:
        if options.frames:
            raise InputError("--official scores whole clips; leave out --frames")
        official_functions()  # reported before anything is scored
    data = Davis(options.davis_root)
    year = None if options.year == "auto" else int(options.year)
    if options.clips is None:
        names = data.clips(options.split, year or data.guess_year(data.available_clips()[0]))
    else:
        names = [data.require(clip) for clip in comma_list(options.clips)]
    annotated = None if options.annotated_frames is None else comma_list(options.annotated_frames)
    with progress_bars() as bar:
        report, done = bar("scoring"), count(1)
        objects = None if options.objects == "auto" else options.objects
        rules = ScoringRules(year, not options.no_stability, objects, options.frames)
        scores = evaluate_davis(
            data, options.results, names, rules, annotated, on_clip=lambda _: report(next(done), len(names))
        )
    console = Console()
    for table in terminal_tables(scores):
        console.print(table)
    _write_scores(options, scores)
    if options.official:
        _compare_with_official(data, options.results, scores)


def _write_scores(options: _Options, scores: "DavisScores") -> None:
    """Write the files that are asked for, and say which.

    Raises:
        InputError: one cannot be written.
    """
    from dextr_vos.benchmark.report.frame_charts import scores_chart
    from dextr_vos.errors import InputError
    from dextr_vos.evaluation.tables import write_csvs, write_json
    from dextr_vos.files import write_text

    try:
        written = [] if options.frames else write_csvs(scores, options.results, options.split)
        if options.json_path is not None:
            write_json(scores, options.json_path)
            written.append(options.json_path)
        if options.plot is not None:
            write_text(options.plot, scores_chart(scores))
            written.append(options.plot)
    except OSError as error:
        raise InputError(f"cannot write the scores: {error}; choose a folder you may write to") from None
    for path in written:
        click.echo(f"wrote {path}")


def _compare_with_official(data: "Davis", results: Path, scores: "DavisScores") -> None:
    """Say how far the official package's scores are from ours."""
    from dextr_vos.evaluation.official import largest_difference, official_scores

    theirs = official_scores(data, results, scores.objects, scores.year)
    frames = sum(len(one.frames) for one in scores.objects)
    difference = largest_difference(scores.objects, theirs)
    click.echo(f"largest difference from the official scores: {difference:.1e}, J and F of {frames} frames")
