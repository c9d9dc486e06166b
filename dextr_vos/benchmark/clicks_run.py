"""Masks from clicks on data sets, cell by cell: a data set, an engine, a jitter. Goes on where it was."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dextr_vos.annotation.human_clicks import HumanClicks, read_human_clicks
from dextr_vos.annotation.segmenter import Segmenter, make_segmenter
from dextr_vos.benchmark.clicks_settings import ClicksBenchmarkSettings, EngineSettings, SetSettings
from dextr_vos.benchmark.grid import code_digest, file_digest
from dextr_vos.benchmark.machine import this_machine
from dextr_vos.config import as_yaml
from dextr_vos.datasets.instances import ObjectSet, Subset
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.evaluation.click_evaluation import evaluate_clicks, spread, with_human_clicks
from dextr_vos.evaluation.failure_sheet import WORST, FailureSheet
from dextr_vos.evaluation.interactive import (
    CLICK_TARGETS,
    ObjectResult,
    summarize,
    write_objects,
    write_summary,
)
from dextr_vos.files import write_text
from dextr_vos.folder_lock import FolderLock
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.runtime import pick_device, true_float32

log = logging.getLogger(__name__)

_RESULTS = TypeAdapter(list[ObjectResult])

# raised with every change of the code that changes masks from clicks, or their scores
_ALGORITHM = 2
_POLL_S = 1.0

OnObject = Callable[[int, int], None]


@dataclass(frozen=True)
class ClicksCell:
    """A data set, an engine and a jitter.

    Attributes:
        data: the data set.
        engine: the engine.
        jitter_px: of simulated clicks.
        key: a digest of all that determines the result.
        objects: the objects to score.
        human: people's clicks on them, where there are any.
    """

    data: SetSettings
    engine: EngineSettings
    jitter_px: int
    key: str
    objects: ObjectSet
    human: HumanClicks | None

    def __str__(self) -> str:
        return f"{self.data.name}, {self.engine.name}, jitter {self.jitter_px} px"

    def folder(self, out: Path) -> Path:
        """Where it is run."""
        return out / "cells" / self.key


def plan_clicks(settings: ClicksBenchmarkSettings, beside: Path) -> list[ClicksCell]:
    """All cells; every data set is opened and every engine's weights looked for.

    Args:
        settings: of the benchmark.
        beside: the folder of the settings' file.

    Raises:
        InputError: a data set, a checkpoint or a file of clicks is missing.
    """
    code_digest()  # of the code that runs, taken before anything is run
    cells = []
    for data in settings.sets:
        objects, human = _opened(data, beside)
        refs = [(ref.image, ref.object_id, ref.category, ref.area) for ref in objects.refs]
        root = str((beside / data.root).resolve())
        for engine in settings.engines:
            for jitter_px in settings.jitter_px:
                parts = {
                    "algorithm": _ALGORITHM,
                    "set": (data.kind, root),
                    "objects": refs,
                    "engine": _engine_digest(engine),
                    "jitter_px": jitter_px,
                    "seed": settings.seed if jitter_px else 0,
                    "limit": settings.clicks_limit if settings.extra_clicks else None,
                    "human": None if data.human is None else file_digest(data.human),
                    "precision": settings.precision,
                }
                text = json.dumps(parts, sort_keys=True)
                key = hashlib.sha256(text.encode()).hexdigest()[:24]
                cells.append(ClicksCell(data, engine, jitter_px, key, objects, human))
    return cells


def run_clicks(
    settings: ClicksBenchmarkSettings,
    cells: Sequence[ClicksCell],
    out: Path,
    bar: Callable[[str], OnObject],
    stop_asked: StopAsked = never,
) -> dict[str, str]:
    """Run the cells that are not finished, one after the other.

    Args:
        settings: of the benchmark.
        cells: see `plan_clicks`.
        out: the benchmark's folder.
        bar: from a title to what is called with objects done and in all.
        stop_asked: asked between objects.

    Returns:
        By key, why a cell failed the second time.

    Raises:
        Interrupted: a stop was asked for; the same call goes on from there.
    """
    write_text(out / "settings.yaml", as_yaml(settings))
    failed: dict[str, str] = {}
    for number, cell in enumerate(cells, start=1):
        if not (cell.folder(out) / "summary.json").exists():
            for tries_left in (1, 0):
                try:
                    exact = true_float32() if settings.precision == "float32" else nullcontext()
                    with exact, _claimed(cell.folder(out), stop_asked):
                        _run_cell(settings, cell, out, bar(f"{number} of {len(cells)}: {cell}"), stop_asked)
                    break
                except Interrupted:
                    raise
                except Exception as fault:  # whatever it is, the other cells go on
                    log.warning("%s: %s%s", cell, fault, "; it is tried again" if tries_left else "")
                    failed |= {} if tries_left else {cell.key: str(fault)}
    entries: list[dict[str, Any]] = [
        {
            "key": cell.key,
            "set": cell.data.name,
            "groups": "clip" if cell.data.kind == "davis" else "category",
            "engine": cell.engine.name,
            "jitter_px": cell.jitter_px,
            "fault": failed.get(cell.key, ""),
        }
        for cell in cells
    ]
    write_text(out / "clicks.json", json.dumps({"kind": "clicks", "cells": entries}, indent=1) + "\n")
    return failed


@contextmanager
def _claimed(folder: Path, stop_asked: StopAsked) -> Iterator[None]:
    """Make the folder and keep it to this process while the block runs, when another one has done with it.

    Raises:
        Interrupted: a stop was asked for before that.
    """
    lock = FolderLock(folder)
    if not lock.try_acquire():
        log.info("%s; waiting for it", lock.message)
        lock.wait(stop_asked, _POLL_S)
    with lock:
        yield


def _run_cell(
    settings: ClicksBenchmarkSettings, cell: ClicksCell, out: Path, report: OnObject, stop_asked: StopAsked
) -> None:
    folder = cell.folder(out)
    if (folder / "summary.json").exists():  # by another process, while this one waited
        return
    progress = folder / "progress.jsonl"
    results = _done(progress)
    known = {(one.picture, one.number) for one in results}
    todo = Subset(cell.objects, lambda ref, _: (ref.image, ref.object_id) not in known)
    segmenter = make_segmenter(
        cell.engine.engine, cell.engine.weights, settings.device, settings.precision == "auto"
    )
    targets = CLICK_TARGETS if settings.extra_clicks else ()
    total = len(cell.objects.refs)
    with progress.open("a", encoding="utf-8") as file:
        for one in evaluate_clicks(
            todo, segmenter, cell.jitter_px, settings.seed, cell.human, targets, settings.clicks_limit
        ):
            results.append(one.result)
            file.write(_RESULTS.dump_json([one.result]).decode() + "\n")
            file.flush()
            report(len(results), total)
            if stop_asked():
                raise Interrupted(
                    f"stopped in {cell} after {len(results)} of {total} objects; the same command goes on "
                    "from there"
                )
    if not results:
        raise InputError(f"no object of {cell.data.name} has a pixel in its true mask")
    order = {(ref.image, ref.object_id): place for place, ref in enumerate(cell.objects.refs)}
    results.sort(key=lambda one: order[one.picture, one.number])
    write_objects(folder / "objects.csv", results)
    _write_worst(folder / "worst.jpg", cell, results, segmenter, settings.seed)
    device = pick_device(settings.device)
    machine = this_machine(device, 0, settings.precision, code_digest())
    about = {"set": cell.data.name, "engine": cell.engine.name, "machine": machine.model_dump()}
    write_summary(folder / "summary.json", summarize(results, settings.clicks_limit), about)
    progress.unlink()


def _done(progress: Path) -> list[ObjectResult]:
    """Results of objects that are done; a line that was cut off is done again."""
    if not progress.exists():
        return []
    lines, results = progress.read_text(encoding="utf-8").splitlines(), []
    for line in lines:
        try:
            results += _RESULTS.validate_json(line)
        except ValidationError:
            break
    whole = "".join(line + "\n" for line in lines[: len(results)])
    write_text(progress, whole)
    return results


def _write_worst(
    path: Path, cell: ClicksCell, results: Sequence[ObjectResult], segmenter: Segmenter, seed: int
) -> None:
    """The worst objects are looked at once more; a cell that was stopped has not kept their pictures."""
    worst = {(one.picture, one.number) for one in sorted(results, key=lambda one: one.iou)[:WORST]}
    sheet = FailureSheet()
    chosen = Subset(cell.objects, lambda ref, _: (ref.image, ref.object_id) in worst)
    for one in evaluate_clicks(chosen, segmenter, cell.jitter_px, seed):
        sheet.add(one.result, one.example, one.mask, one.points_xy)
    sheet.write(path)


def _opened(data: SetSettings, beside: Path) -> tuple[ObjectSet, HumanClicks | None]:
    objects, human = data.open(beside), None
    if data.human is not None:
        human = read_human_clicks(data.human, objects.refs)
        objects = with_human_clicks(objects, human)
    return (objects if data.limit is None else spread(objects, data.limit)), human


def _engine_digest(engine: EngineSettings) -> list[str | None]:
    if engine.engine == "grabcut":
        return ["grabcut", None]
    if engine.engine == "dextr" and engine.weights is None:
        raise InputError(f"the engine {engine.name} needs weights, a published .pth or a .safetensors file")
    return [engine.engine, file_digest(engine.weights or shipped_weights("lite-dextr"))]
