"""`dextr-vos evaluate-clicks`: scores of the masks that a model makes of clicks on a data set."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from dextr_vos.cli.options import (
    PATH,
    click_model_options,
    comma_list,
    device_option,
    given_options,
    out_option,
    seed_option,
)

if TYPE_CHECKING:
    from dextr_vos.benchmark.click_run import ClickCell
    from dextr_vos.benchmark.click_settings import ClickEvaluationSettings

DATASETS = ("voc", "coco", "davis", "grabcut", "folder")
# the data sets an option is for; all others take any
_ONLY_FOR = {
    "split": ("voc", "coco", "davis"),
    "year": ("davis",),
    "every": ("davis",),
    "description": ("folder",),
}
_FILES = "objects.csv, summary.json, worst.jpg and curve.svg"


_FILES_WITHOUT_CURVE = "objects.csv, summary.json and worst.jpg"


@dataclass(frozen=True)
class _Options:
    """The command line."""

    dataset: str
    root: Path | None
    split: str | None
    year: str
    every: int
    description: tuple[Path, ...]
    categories: str | None
    min_area: int
    max_objects: int | None
    model: str | None
    weights: Path | None
    device: str
    jitter: int
    seed: int
    protocol: Literal["dextr", "ritm"]
    extra_clicks: bool
    max_clicks: int
    human: Path | None
    out: Path | None


@click.command(short_help="Score masks made from clicks on a data set.")
@click.option("--dataset", type=click.Choice(DATASETS), required=True, help="Kind of data set.")
@click.option(
    "--root",
    type=PATH,
    metavar="DIR",
    help="Folder of the data set; with folder, by default the one that the description names.",
)
@click.option(
    "--split",
    help="With voc, coco, davis: which list of images or clips; by default val, for coco val2017.",
)
@click.option(
    "--year",
    type=click.Choice(["auto", "2016", "2017"]),
    default="auto",
    show_default=True,
    help="With davis: 2016 has one object per clip, 2017 several; auto decides by the masks.",
)
@click.option(
    "--every", type=click.IntRange(1), default=10, show_default=True, help="With davis: every N-th frame."
)
@click.option(
    "--description",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="With folder: YAML that says what the objects are. Repeatable.",
)
@click.option("--categories", metavar="LIST", help="Only objects of these categories, comma-separated.")
@click.option(
    "--min-area",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Only objects of at least this many pixels.",
)
@click.option(
    "--max-objects", type=click.IntRange(1), help="At most this many objects, evenly spread over the set."
)
@click_model_options
@device_option()
@click.option(
    "--jitter",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Most pixels by which a click is off.",
)
@seed_option("Seed of the jitter.")
@click.option(
    "--protocol",
    type=click.Choice(["dextr", "ritm"]),
    default="dextr",
    show_default=True,
    help="First clicks: dextr, four extreme points; ritm, one in the middle of the object.",
)
@click.option(
    "--extra-clicks/--no-extra-clicks",
    default=False,
    show_default=True,
    help="Count the clicks to 85 % and 90 % IoU, adding them where the mask is most wrong.",
)
@click.option(
    "--max-clicks",
    type=click.IntRange(4),
    default=20,
    show_default=True,
    help="With --extra-clicks: maximum number of clicks per object.",
)
@click.option(
    "--human",
    type=PATH,
    metavar="FILE",
    help="Clicks of people (JSON); only the objects clicked there are scored, with both kinds of clicks.",
)
@out_option(f"Where {_FILES} go; the same command resumes a stopped evaluation there.", required=False)
def command(**given: Any) -> None:
    """Simulate clicks on each object of a data set, four extreme ones at first, and score their masks.

    Prints IoU and shares of objects above an IoU, per category (with davis, per clip) and over all. For
    several data sets, models and jitters at once, see configs/benchmark/clicks.yaml.
    """
    options = _Options(**given)
    _check(options)
    _evaluate(_settings(options), options.out)


def _check(options: _Options) -> None:
    """Refuse options that would do nothing with the others, and miss those that are needed."""
    from dextr_vos.errors import ConfigError, InputError

    given = given_options()
    for name, kinds in _ONLY_FOR.items():
        if name in given and options.dataset not in kinds:
            raise ConfigError(
                f"--{name} goes with --dataset {' or '.join(kinds)}, not with {options.dataset}"
            )
    if options.jitter and options.protocol == "ritm":
        raise ConfigError("--jitter goes with --protocol dextr; the click of ritm is in the middle")
    if "max_clicks" in given and not options.extra_clicks:
        raise ConfigError("--max-clicks goes with --extra-clicks")
    if options.human is not None and len(options.description) > 1:
        raise ConfigError("--human goes with one --description: in several, an object may have the same name")
    if options.dataset == "folder" and not options.description:
        raise ConfigError("--dataset folder needs --description FILE, a YAML as in docs/formats.md")
    if options.dataset != "folder" and options.root is None:
        raise ConfigError(f"--dataset {options.dataset} needs --root, the folder of the data set")
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out} is a file; --out is the folder where {_FILES} go")


def _settings(options: _Options) -> "ClickEvaluationSettings":
    """The command line as a grid of one cell."""
    from dextr_vos.benchmark.click_settings import ClickDataset, ClickEvaluationSettings, ClickModel

    dataset: dict[str, Any] = {
        "name": options.dataset,
        "kind": options.dataset,
        "root": options.root,
        "split": options.split,
        "every": options.every,
        "description": options.description,
        "categories": tuple(comma_list(options.categories or "")),
        "min_area": options.min_area,
        "max_objects": options.max_objects,
        "human": options.human,
    }
    if options.dataset == "davis":
        dataset["year"] = _year(options)
    model = {"name": options.model or "lite", "model": options.model, "weights": options.weights}
    return ClickEvaluationSettings(
        datasets=(ClickDataset.model_validate(dataset),),
        models=(ClickModel.model_validate(model),),
        jitter_px=(options.jitter,),
        protocol=options.protocol,
        extra_clicks=options.extra_clicks,
        max_clicks=options.max_clicks,
        seed=options.seed,
        device=options.device,
    )


def _year(options: _Options) -> int:
    from dextr_vos.datasets.davis import Davis

    if options.year != "auto":
        return int(options.year)
    assert options.root is not None
    davis = Davis(options.root)
    return davis.guess_year(davis.available_clips()[0])


def _evaluate(settings: "ClickEvaluationSettings", out: Path | None) -> None:
    """Run the one cell of the grid, and show what is done even where it stops early."""
    from dextr_vos.benchmark.click_run import plan_clicks, run_cell
    from dextr_vos.benchmark.report.clicks import write_curve
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.errors import Interrupted
    from dextr_vos.interrupt import interruptible

    (cell,) = plan_clicks(settings, Path())
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(TemporaryDirectory(prefix="dextr-vos-")))
        try:
            with interruptible() as stop_asked, progress_bars() as bar:
                run_cell(settings, cell, folder, bar("evaluating"), stop_asked)
        except Interrupted as stop:
            if out is None:
                raise Interrupted(f"{stop} when --out is given") from None
            raise
        finally:
            _print_table(settings, cell, folder)
    if out is not None:
        curve = write_curve(out)
        click.echo(f"wrote {_FILES if curve else _FILES_WITHOUT_CURVE} into {out}")


def _print_table(settings: "ClickEvaluationSettings", cell: "ClickCell", folder: Path) -> None:
    from rich.console import Console

    from dextr_vos.benchmark.click_run import groups_of, read_results
    from dextr_vos.evaluation.interactive import summarize, terminal_table

    results = read_results(folder, cell)
    if results:
        groups = {"clip": ("clip", "clips"), "category": ("category", "categories")}
        table = terminal_table(summarize(results, settings.max_clicks), groups[groups_of(cell.dataset)])
        Console().print(table)
