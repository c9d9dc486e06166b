"""Results of a benchmark, made up: no network runs."""

from pathlib import Path

import numpy as np

from dextr_vos.benchmark.grid import Cell
from dextr_vos.benchmark.machine import Machine
from dextr_vos.benchmark.result import CellFolder, CellResult, ComputeSeconds, ObjectSeries
from dextr_vos.benchmark.run import Grid, GridCell
from dextr_vos.files import write_text

FRAMES = tuple(f"{index:05d}" for index in range(6))
MACHINE = Machine(
    host="service",
    processor="a processor",
    cores=2,
    device="cpu",
    threads=1,
    precision="float32",
    versions={"torch": "2.0"},
    code="abc",
)


def result(clip: str, supervision: str, keyframes: int, j: float, f: float | None = None, **changes):
    """A cell whose every frame has the same scores."""
    cell = Cell(clip=clip, supervision=supervision, keyframes=keyframes, choose="even", model="lite", seed=0)
    values = {
        "key": f"{clip}-{supervision}-{keyframes}",
        "cell": cell,
        "frames": FRAMES,
        "scored": FRAMES[1:-1],
        "keyframes": FRAMES[:keyframes],
        "annotated": keyframes,
        "objects": (ObjectSeries(object=1, j=(j,) * 4, f=(j if f is None else f,) * 4),),
        "keyframe_iou": {name: {1: 1.0 if supervision == "gt" else 0.75} for name in FRAMES[:keyframes]},
        "seconds": ComputeSeconds(annotate=1, finetune=2, segment=3, score=0.5),
        "steps": 60,
        "best": FRAMES[3],
        "worst": FRAMES[4],
        "machine": MACHINE,
    }
    return CellResult(**(values | changes))


def write_results(out: Path, results, failed: dict[Cell, str] | None = None) -> Path:
    """A benchmark's folder."""
    cells = [GridCell(key=one.key, cell=one.cell) for one in results]
    cells += [GridCell(key=str(cell), cell=cell, error=error) for cell, error in (failed or {}).items()]
    for one in results:
        folder = CellFolder(out, one.key)
        folder.write(one)
        from PIL import Image

        for path in (folder.best, folder.worst):
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    write_text(
        out / "grid.json", Grid(cells=tuple(cells), hours=1.5, workers="2 processes").model_dump_json()
    )
    return out
