"""Runs evaluations of clicks, cell by cell: a data set, a model and a jitter. A stopped cell resumes.

The folder of a cell holds

```
objects.jsonl   one line an object, appended as it is evaluated; the first line holds the cell's key
objects.csv     the same as a table
summary.json    mean scores, and whether the cell is complete
worst.jpg       the objects with the lowest IoU, once the cell is complete
```
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from dextr_vos.annotation.human_clicks import HumanClicks
from dextr_vos.annotation.segmenter import Segmenter, load_segmenter
from dextr_vos.benchmark.click_evaluation import EvaluatedObject, evaluate_clicks
from dextr_vos.benchmark.click_settings import ClickDataset, ClickEvaluationSettings, ClickModel
from dextr_vos.benchmark.machine import this_machine
from dextr_vos.config import as_yaml
from dextr_vos.datasets.instances import ObjectSet, OnObject, Subset
from dextr_vos.errors import DextrVosError, InputError, Interrupted
from dextr_vos.evaluation.failure_sheet import WORST, FailureSheet
from dextr_vos.evaluation.interactive import (
    NOC_TARGETS,
    ObjectResult,
    summarize,
    write_objects,
    write_summary,
)
from dextr_vos.files import file_digest, read_json, read_text, write_text
from dextr_vos.folder_lock import FolderLock
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.runtime import pick_device, true_float32
from dextr_vos.workers.code import code_digest

log = logging.getLogger(__name__)

VERSION = 3

# raised with every change of the code that changes masks from clicks, or their scores
_ALGORITHM = 4
_POLL_S = 1.0
_RESULTS = TypeAdapter(list[ObjectResult])


@dataclass(frozen=True)
class ClickCell:
    """One evaluation: a data set, a model and a jitter.

    Attributes:
        dataset: the data set.
        model: what makes masks of clicks.
        jitter_px: of simulated clicks.
        key: a digest of all that determines the result.
        objects: the objects to evaluate.
        human: people's clicks on them, where there are any.
    """

    dataset: ClickDataset
    model: ClickModel
    jitter_px: int
    key: str
    objects: ObjectSet
    human: HumanClicks | None

    def __str__(self) -> str:
        return f"{self.dataset.name}, {self.model.name}, jitter {self.jitter_px} px"

    def folder(self, out: Path) -> Path:
        """Its folder in that of a grid."""
        return out / "cells" / self.key


class ClickCellEntry(BaseModel):
    """A cell in `clicks.json`, the list of a grid's cells.

    Attributes:
        key: of the cell.
        dataset: name of the data set.
        model: name of the model.
        jitter_px: of simulated clicks.
        groups: what the data set's groups are.
        error: why the cell failed, empty where it did not.
    """

    model_config = ConfigDict(frozen=True)
    key: str
    dataset: str
    model: str
    jitter_px: int
    groups: Literal["category", "clip"]
    error: str = ""


class ClickGrid(BaseModel):
    """`clicks.json`."""

    model_config = ConfigDict(frozen=True)
    kind: Literal["clicks"] = "clicks"
    version: Literal[2] = 2
    cells: tuple[ClickCellEntry, ...]


def plan_clicks(settings: ClickEvaluationSettings, folder: Path) -> list[ClickCell]:
    """All cells; every data set is opened and every model's weights are looked for.

    Args:
        settings: of the evaluation.
        folder: what the descriptions of data sets are relative to.

    Raises:
        ConfigError: a data set lacks a setting.
        InputError: a data set, a checkpoint or a file of clicks is missing.
    """
    code_digest()  # of the code that runs, taken before anything is run
    cells = []
    for dataset in settings.datasets:
        objects, human = dataset.open(folder)
        for model in settings.models:
            for jitter_px in settings.jitter_px:
                parts = {
                    "algorithm": _ALGORITHM,
                    "dataset": (dataset.kind, str((folder / (dataset.root or "")).resolve())),
                    "objects": [(ref.image, ref.object_id, ref.category, ref.area) for ref in objects.refs],
                    "model": _model_digest(model),
                    "jitter_px": jitter_px,
                    "seed": settings.seed if jitter_px else 0,
                    "protocol": settings.protocol,
                    "max_clicks": settings.max_clicks if settings.extra_clicks else None,
                    "human": None if dataset.human is None else file_digest(dataset.human),
                    "precision": settings.precision,
                }
                text = json.dumps(parts, sort_keys=True)
                key = hashlib.sha256(text.encode()).hexdigest()[:24]
                cells.append(ClickCell(dataset, model, jitter_px, key, objects, human))
    return cells


def run_clicks(
    settings: ClickEvaluationSettings,
    cells: Sequence[ClickCell],
    out: Path,
    progress: Callable[[str], OnObject],
    stop_asked: StopAsked = never,
) -> dict[str, str]:
    """Run the cells of a grid that are not complete, one after the other.

    Args:
        settings: of the evaluation.
        cells: see `plan_clicks`.
        out: the grid's folder.
        progress: takes a title and returns what is called with objects done and in all.
        stop_asked: asked between objects.

    Returns:
        By key, why a cell failed: an error of the input at once, any other the second time.

    Raises:
        Interrupted: a stop was asked for; the same call resumes.
    """
    write_text(out / "settings.yaml", as_yaml(settings))
    failed: dict[str, str] = {}
    _write_grid(out, cells, failed)  # so that a report can be drawn at any time
    for place, cell in enumerate(cells, start=1):
        on_object = progress(f"{place} of {len(cells)}: {cell}")
        for last in (False, True):
            try:
                run_cell(settings, cell, cell.folder(out), on_object, stop_asked)
                break
            except Interrupted:
                raise
            except Exception as error:  # whatever it is, the other cells are run
                if last or isinstance(error, DextrVosError):
                    log.warning("%s failed: %s", cell, error)
                    failed[cell.key] = str(error)
                    break
                log.warning("%s: %s; it is tried again", cell, error)
        _write_grid(out, cells, failed)
    return failed


def _write_grid(out: Path, cells: Sequence[ClickCell], failed: Mapping[str, str]) -> None:
    """Write `clicks.json`."""
    entries = tuple(
        ClickCellEntry(
            key=cell.key,
            dataset=cell.dataset.name,
            model=cell.model.name,
            jitter_px=cell.jitter_px,
            groups=groups_of(cell.dataset),
            error=failed.get(cell.key, ""),
        )
        for cell in cells
    )
    write_text(out / "clicks.json", ClickGrid(cells=entries).model_dump_json(indent=1) + "\n")


def run_cell(
    settings: ClickEvaluationSettings,
    cell: ClickCell,
    folder: Path,
    on_object: OnObject | None = None,
    stop_asked: StopAsked = never,
) -> None:
    """Evaluate the objects of a cell that its folder does not hold yet.

    What another cell left in the folder is replaced. Another process that is at work there is waited for.

    Args:
        settings: of the evaluation.
        cell: see `plan_clicks`.
        folder: of the cell.
        on_object: called with objects done and in all.
        stop_asked: asked between objects.

    Raises:
        InputError: a file of the data set is broken, or no object has a pixel; what is done is kept.
        WeightsError: the model's checkpoint is broken or of another kind.
        Interrupted: a stop was asked for; the same call resumes.
    """
    lock = FolderLock(folder)
    if not lock.try_acquire():
        log.info("%s; waiting for it", lock.message)
        lock.wait(stop_asked, _POLL_S)
    exact = true_float32() if settings.precision == "float32" else nullcontext()
    with lock, exact:
        if not is_complete(folder, cell.key):
            _CellRun(settings, cell, folder).run(on_object, stop_asked)


def is_complete(folder: Path, key: str) -> bool:
    """Whether a folder holds the complete results of the cell with that key."""
    try:
        content = read_json(folder / "summary.json")
        return bool(content["key"] == key and content["version"] == VERSION and content["complete"])
    except (OSError, InputError, ValueError, KeyError, TypeError):
        return False


def read_results(folder: Path, cell: ClickCell) -> list[ObjectResult]:
    """The results of a cell that its folder holds, in the order of the data set; others are ignored."""
    try:
        header, *lines = read_text(folder / "objects.jsonl").splitlines()
        if json.loads(header)["key"] != cell.key:
            return []
    except (OSError, InputError, ValueError, KeyError, TypeError):
        return []
    results: list[ObjectResult] = []
    for line in lines:
        try:
            results += _RESULTS.validate_json(line)
        except ValidationError:
            break  # a kill cut this line off
    order = {(ref.image, ref.object_id): place for place, ref in enumerate(cell.objects.refs)}
    return sorted(results, key=lambda one: order[one.image, one.object_id])


def groups_of(dataset: ClickDataset) -> Literal["category", "clip"]:
    """What the groups of a data set are; the category of an object of DAVIS is its clip."""
    return "clip" if dataset.kind == "davis" else "category"


class _CellRun:
    """The evaluation of one cell in its folder."""

    def __init__(self, settings: ClickEvaluationSettings, cell: ClickCell, folder: Path) -> None:
        self._settings, self._cell, self._folder = settings, cell, folder
        self._results = read_results(folder, cell)

    def run(self, on_object: OnObject | None, stop_asked: StopAsked) -> None:
        settings, cell = self._settings, self._cell
        segmenter = load_segmenter(
            cell.model.model, cell.model.weights, settings.device, settings.precision == "auto"
        )
        done = {(one.image, one.object_id) for one in self._results}
        todo = Subset(cell.objects, lambda ref, _: (ref.image, ref.object_id) not in done)
        total, sheet = len(cell.objects.refs), FailureSheet()
        try:
            with self._objects_file().open("a", encoding="utf-8") as file:
                for one in self._evaluated(todo, segmenter):
                    self._results.append(one.result)
                    file.write(_RESULTS.dump_json([one.result]).decode() + "\n")
                    file.flush()
                    _draw(sheet, one)
                    if on_object is not None:
                        on_object(len(self._results), total)
                    if stop_asked() and len(self._results) < total:
                        raise Interrupted(
                            f"stopped after {len(self._results)} of {total} objects of {cell}; the same "
                            "command resumes"
                        )
        except BaseException:
            self._write_tables(segmenter.name, complete=False)
            raise
        if not self._results:
            raise InputError(
                f"no object of {cell.dataset.name} has a pixel in its true mask; look at its label files"
            )
        if done:  # the masks of objects that an earlier process evaluated are not there to be drawn
            sheet = self._worst_again(segmenter)
        sheet.write(self._folder / "worst.jpg")
        self._write_tables(segmenter.name, complete=True)

    def _evaluated(self, objects: ObjectSet, segmenter: Segmenter) -> Iterator[EvaluatedObject]:
        settings, cell = self._settings, self._cell
        targets = NOC_TARGETS if settings.extra_clicks else ()
        return evaluate_clicks(
            objects,
            segmenter,
            cell.jitter_px,
            settings.seed,
            cell.human,
            targets,
            settings.max_clicks,
            settings.protocol,
        )

    def _objects_file(self) -> Path:
        """The file to append to; a line that was cut off, or another cell's results, are removed first."""
        path = self._folder / "objects.jsonl"
        lines = [_RESULTS.dump_json([one]).decode() for one in self._results]
        write_text(path, "".join(line + "\n" for line in [json.dumps({"key": self._cell.key}), *lines]))
        (self._folder / "summary.json").unlink(missing_ok=True)
        return path

    def _write_tables(self, segmenter_name: str, *, complete: bool) -> None:
        if not self._results:
            return
        settings, cell = self._settings, self._cell
        results = read_results(self._folder, cell)
        write_objects(self._folder / "objects.csv", results)
        machine = this_machine(pick_device(settings.device), 0, settings.precision, code_digest())
        header: dict[str, Any] = {
            "format": "dextr-vos click evaluation",
            "version": VERSION,
            "key": cell.key,
            "complete": complete,
            "objects_in_all": len(cell.objects.refs),
            "dataset": cell.dataset.model_dump(mode="json", exclude_defaults=True),
            "model": cell.model.model_dump(mode="json", exclude_defaults=True),
            "segmenter": segmenter_name,
            "protocol": settings.protocol,
            "jitter_px": cell.jitter_px,
            "seed": settings.seed,
            "machine": machine.model_dump(),
        }
        write_summary(self._folder / "summary.json", summarize(results, settings.max_clicks), header)

    def _worst_again(self, segmenter: Segmenter) -> FailureSheet:
        """The worst objects, evaluated once more."""
        cell, sheet = self._cell, FailureSheet()
        ranked = sorted(self._results, key=lambda one: one.iou)
        worst = {(one.image, one.object_id) for one in ranked[:WORST]}
        chosen = Subset(cell.objects, lambda ref, _: (ref.image, ref.object_id) in worst)
        settings = self._settings
        for one in evaluate_clicks(
            chosen, segmenter, cell.jitter_px, settings.seed, protocol=settings.protocol
        ):
            _draw(sheet, one)
        return sheet


def _draw(sheet: FailureSheet, one: EvaluatedObject) -> None:
    result, example = one.result, one.example
    caption = f"{result.image} {result.object_id + 1} {result.category}"
    sheet.add(result.iou, caption, example.image_rgb, example.mask, one.mask, one.points_xy)


def _model_digest(model: ClickModel) -> list[str | None]:
    if model.model == "grabcut":
        return ["grabcut", None]
    if model.model == "paper" and model.weights is None:
        raise InputError(
            f"the model {model.name} needs weights, a published .pth or a .safetensors file of DEXTR"
        )
    return [model.model, file_digest(model.weights or shipped_weights("lite-clicks"))]
