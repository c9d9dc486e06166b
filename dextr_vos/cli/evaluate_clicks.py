"""`dextr-vos evaluate-clicks`: scores of the masks that a model makes of clicks on a data set."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

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
_FILES = "objects.csv, summary.json and worst.jpg"


@click.command(short_help="Score the masks that clicks give on a data set.")
@click.option("--dataset", type=click.Choice(DATASETS), required=True, help="Kind of data set.")
@click.option(
    "--root",
    type=PATH,
    help="Folder of the data set; with folder, that of the description when not given.",
)
@click.option(
    "--split",
    help="With voc, coco, davis: which list of images or clips; val, of coco val2017, by default.",
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
    help="With folder: YAML that says what the objects are; may be repeated.",
)
@click.option("--categories", help="Only objects of these categories, with commas between.")
@click.option(
    "--min-area", type=click.IntRange(0), default=0, show_default=True, help="Only objects of so many pixels."
)
@click.option(
    "--max-objects", type=click.IntRange(1), help="At most this many objects, evenly spread over the set."
)
@click_model_options
@device_option()
@click.option(
    "--jitter", type=click.IntRange(0), default=0, show_default=True, help="Pixels a click may be off."
)
@seed_option("Of the jitter.")
@click.option(
    "--extra-clicks/--no-extra-clicks",
    default=False,
    show_default=True,
    help="Count the clicks to 85 % and 90 % IoU, placing further ones where the mask is most wrong.",
)
@click.option(
    "--max-clicks",
    type=click.IntRange(4),
    default=20,
    show_default=True,
    help="With --extra-clicks: clicks an object gets at most.",
)
@click.option(
    "--human",
    type=PATH,
    metavar="FILE",
    help="Clicks of people (JSON); the objects clicked there alone are scored, with both kinds of clicks.",
)
@out_option(f"Where {_FILES} go; the same command resumes a stopped evaluation there.", required=False)
def command(
    dataset: str,
    root: Path | None,
    split: str | None,
    year: str,
    every: int,
    description: tuple[Path, ...],
    categories: str | None,
    min_area: int,
    max_objects: int | None,
    model: str | None,
    weights: Path | None,
    device: str,
    jitter: int,
    seed: int,
    extra_clicks: bool,
    max_clicks: int,
    human: Path | None,
    out: Path | None,
) -> None:
    """Simulate four extreme clicks on each object of a data set, and score the masks they give.

    Prints IoU and shares of objects above an IoU, per category (with davis, per clip) and over all. For
    several data sets, models and jitters at once, see configs/benchmark/clicks.yaml.
    """
    from dextr_vos.benchmark.click_run import plan_clicks, run_cell
    from dextr_vos.benchmark.click_settings import ClickDataset, ClickEvaluationSettings, ClickModel
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.errors import InputError, Interrupted
    from dextr_vos.interrupt import interruptible

    _refuse_idle_options()
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out is the folder where {_FILES} go")
    values: dict[str, Any] = {
        "kind": dataset,
        "root": root,
        "split": split,
        "year": _year(root, dataset, year),
        "every": every,
        "description": description,
        "categories": tuple(comma_list(categories or "")),
        "min_area": min_area,
        "limit": max_objects,
        "human": human,
    }
    settings = ClickEvaluationSettings(
        datasets=(ClickDataset(name=dataset, **values),),
        models=(ClickModel.model_validate({"name": model or "lite", "model": model, "weights": weights}),),
        jitter_px=(jitter,),
        extra_clicks=extra_clicks,
        max_clicks=max_clicks,
        seed=seed,
        device=device,
    )
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
            # what is done is shown when a file turns out broken after hours, too
            _print_table(settings, cell, folder)
    if out is not None:
        click.echo(f"wrote {_FILES} into {out}")


def _year(root: Path | None, dataset: str, year: str) -> int:
    from dextr_vos.datasets.davis import Davis

    if year == "auto" and dataset == "davis" and root is not None:
        davis = Davis(root)
        return davis.guess_year(davis.available_clips()[0])
    return 2016 if year == "auto" else int(year)


def _refuse_idle_options() -> None:
    """Refuse options that would do nothing with the others, and miss those that are needed."""
    from dextr_vos.errors import ConfigError

    context = click.get_current_context()
    assert context is not None
    options, given = context.params, given_options()
    dataset = options["dataset"]
    for name, kinds in _ONLY_FOR.items():
        if name in given and dataset not in kinds:
            raise ConfigError(f"--{name} goes with --dataset {' or '.join(kinds)}, not with {dataset}")
    if "max_clicks" in given and not options["extra_clicks"]:
        raise ConfigError("--max-clicks goes with --extra-clicks")
    if "human" in given and len(options["description"]) > 1:
        raise ConfigError("--human goes with one --description: in several, an object may have the same name")
    if dataset == "folder" and not options["description"]:
        raise ConfigError("--dataset folder needs --description FILE, a YAML as in docs/formats.md")
    if dataset != "folder" and options["root"] is None:
        raise ConfigError(f"--dataset {dataset} needs --root, the folder of the data set")


def _print_table(settings: "ClickEvaluationSettings", cell: "ClickCell", folder: Path) -> None:
    from rich.console import Console

    from dextr_vos.benchmark.click_run import groups_of, read_results
    from dextr_vos.evaluation.interactive import summarize, terminal_table

    results = read_results(folder, cell)
    if results:
        groups = {"clip": ("clip", "clips"), "category": ("category", "categories")}
        table = terminal_table(summarize(results, settings.max_clicks), groups[groups_of(cell.dataset)])
        Console().print(table)
