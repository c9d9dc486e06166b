"""`dextr-vos evaluate-clicks`: how good the masks are that an engine makes of clicks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from dextr_vos.datasets.instances import ObjectSet
    from dextr_vos.evaluation.failure_sheet import FailureSheet
    from dextr_vos.evaluation.interactive import ObjectResult

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
    type=click.Path(path_type=Path),
    help="Folder of the data set; with folder, that of the description when not given.",
)
@click.option(
    "--split",
    help="With voc, coco, davis: which list of pictures or clips; val, of coco val2017, by default.",
)
@click.option(
    "--year", type=click.Choice(["2016", "2017"]), default="2016", show_default=True, help="With davis."
)
@click.option(
    "--every", type=click.IntRange(1), default=10, show_default=True, help="With davis: every N-th frame."
)
@click.option(
    "--description",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="With folder: YAML that says what the objects are; may be repeated.",
)
@click.option("--categories", help="Only objects of these categories, with commas between.")
@click.option(
    "--min-area", type=click.IntRange(0), default=0, show_default=True, help="Only objects of so many pixels."
)
@click.option("--limit", type=click.IntRange(1), help="At most so many objects, evenly spread over the set.")
@click.option("--engine", help="What makes masks of clicks, as in annotate.")
@click.option("--weights", type=click.Path(path_type=Path), help="Checkpoint of DEXTR (.pth, .safetensors).")
@click.option(
    "--device", default="auto", show_default=True, help="Where to compute: auto, cpu, cuda, cuda:1, mps."
)
@click.option(
    "--jitter", type=click.IntRange(0), default=0, show_default=True, help="Pixels a click may be off."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the jitter.")
@click.option(
    "--extra-clicks/--no-extra-clicks",
    default=False,
    show_default=True,
    help="Count the clicks to 85 % and 90 % IoU, placing further ones where the mask is most wrong.",
)
@click.option(
    "--clicks-limit",
    type=click.IntRange(4),
    default=20,
    show_default=True,
    help="With --extra-clicks: clicks an object gets at most.",
)
@click.option(
    "--human",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Clicks of people (JSON); the objects clicked there alone are scored, from both kinds of clicks.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help=f"Where {_FILES} go.")
def command(
    dataset: str,
    root: Path | None,
    split: str | None,
    year: str,
    every: int,
    description: tuple[Path, ...],
    categories: str | None,
    min_area: int,
    limit: int | None,
    engine: str | None,
    weights: Path | None,
    device: str,
    jitter: int,
    seed: int,
    extra_clicks: bool,
    clicks_limit: int,
    human: Path | None,
    out: Path | None,
) -> None:
    """Simulate four extreme clicks on each object of a data set, and score the masks they give.

    Prints IoU and shares of objects above an IoU, per category (with davis, per clip) and on the whole.
    Ctrl-C keeps the figures of what is done.
    """
    from dextr_vos.annotation.human_clicks import read_human_clicks
    from dextr_vos.annotation.segmenter import make_segmenter
    from dextr_vos.cli.progress import progress_bars
    from dextr_vos.errors import InputError, Interrupted
    from dextr_vos.evaluation.click_evaluation import evaluate_clicks, narrowed, spread, with_human_clicks
    from dextr_vos.evaluation.failure_sheet import FailureSheet
    from dextr_vos.evaluation.interactive import CLICK_TARGETS
    from dextr_vos.interrupt import interruptible

    _refuse_idle_options(dataset)
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out is the folder where {_FILES} go")
    names = [] if categories is None else _parts(categories)
    objects: ObjectSet = narrowed(_opened(dataset, root, split, year, every, description), names, min_area)
    clicked = None
    if human is not None:
        clicked = read_human_clicks(human, objects.refs)
        objects = with_human_clicks(objects, clicked)
    if limit is not None:
        objects = spread(objects, limit)
    segmenter = make_segmenter(engine, weights, device)
    targets = CLICK_TARGETS if extra_clicks else ()
    results: list[ObjectResult] = []
    sheet, total, stopped = FailureSheet(), len(objects.refs), False
    try:
        with interruptible() as stop_asked, progress_bars() as bar:
            report = bar("evaluating")
            for one in evaluate_clicks(objects, segmenter, jitter, seed, clicked, targets, clicks_limit):
                results.append(one.result)
                sheet.add(one.result, one.example, one.mask, one.points_xy)
                report(len(results), total)
                stopped = stop_asked()
                if stopped:
                    break
    finally:
        # what is done is kept when a file turns out broken after hours, too
        if results:
            _tell(results, total, segmenter.name, sheet, out)
    if not results and not stopped:
        raise InputError("no object of the data set has a pixel in its true mask; look at its label files")
    if stopped and len(results) < total:
        raise Interrupted(f"stopped after {len(results)} of {total} objects; the figures are of these")


def _refuse_idle_options(dataset: str) -> None:
    """Refuse options that would do nothing with the others."""
    from click.core import ParameterSource

    from dextr_vos.errors import ConfigError

    context = click.get_current_context()
    assert context is not None
    given = {
        name
        for name in context.params
        if context.get_parameter_source(name) not in (ParameterSource.DEFAULT, None)
    }
    for name, kinds in _ONLY_FOR.items():
        if name in given and dataset not in kinds:
            raise ConfigError(f"--{name} goes with --dataset {' or '.join(kinds)}, not with {dataset}")
    if "clicks_limit" in given and not context.params["extra_clicks"]:
        raise ConfigError("--clicks-limit goes with --extra-clicks")
    if "human" in given and len(context.params["description"]) > 1:
        raise ConfigError("--human goes with one --description: in several, an object may have the same name")


def _opened(
    dataset: str, root: Path | None, split: str | None, year: str, every: int, descriptions: Sequence[Path]
) -> "ObjectSet":
    from dextr_vos.datasets.registry import DataSettings, open_objects
    from dextr_vos.errors import InputError

    if dataset == "folder":
        from dextr_vos.datasets.folder import FolderObjects
        from dextr_vos.datasets.instances import Concat

        if not descriptions:
            raise InputError("--dataset folder needs --description FILE, a YAML as docs/formats.md has it")
        # every picture is looked at once: nothing is gained by keeping it
        return Concat([FolderObjects(path, root, cache=False) for path in descriptions])
    if root is None:
        raise InputError(f"--dataset {dataset} needs --root, the folder of the data set")
    if dataset == "grabcut":
        from dextr_vos.datasets.grabcut import GrabCutObjects

        return GrabCutObjects(root)
    split = split or ("val2017" if dataset == "coco" else "val")
    values = {"kind": dataset, "root": root, "split": split, "year": int(year), "every": every}
    return open_objects(DataSettings.model_validate(values), Path(), Path())


def _tell(
    results: "Sequence[ObjectResult]", total: int, engine: str, sheet: "FailureSheet", out: Path | None
) -> None:
    """Print the table; write the files where they are asked for."""
    from rich.console import Console

    from dextr_vos.evaluation.interactive import summarize, terminal_table, write_objects, write_summary

    context = click.get_current_context()
    assert context is not None
    options = context.params
    summary = summarize(results, options["clicks_limit"])
    # the category of an object of DAVIS is its clip
    groups = ("clip", "clips") if options["dataset"] == "davis" else ("category", "categories")
    Console().print(terminal_table(summary, groups))
    if out is None:
        return
    about = {"engine_used": engine, "objects_in_all": total, "options": options}
    write_objects(out / "objects.csv", results)
    write_summary(out / "summary.json", summary, about)
    sheet.write(out / "worst.jpg")
    click.echo(f"wrote {_FILES} into {out}")


def _parts(text: str) -> list[str]:
    """The parts of a list with commas between, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
