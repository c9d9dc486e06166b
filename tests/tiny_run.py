"""A run of stage 2 in a second: the tiny clip, keyframe masks, and models that train a few steps."""

import shutil
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from PIL import Image

from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.clip import open_clip
from dextr_vos.masks import write_labels
from dextr_vos.pipeline import PropagationOptions, train_propagation
from dextr_vos.propagation.model import Model
from dextr_vos.propagation.models import LITE, PAPER
from dextr_vos.propagation.settings import Callbacks
from dextr_vos.run_files import RunRecord, read_record

CPU = torch.device("cpu")
TINY_LITE = replace(
    LITE,
    bf16=False,
    recipe=replace(
        LITE.recipe,
        batch=1,
        max_steps=8,
        correction_steps=3,
        window=3,
        tolerance=-9.0,
        cooldown=2,
        pool=0,
        alpha_clicked=0.2,
        scene=replace(LITE.recipe.scene, size_hw=(48, 64)),
    ),
)
TINY_POOL = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, pool=4, correction_pool=3))
TINY_PAPER = replace(PAPER, recipe=replace(PAPER.recipe, max_steps=2, correction_steps=1, accumulate_grad=2))
# what `run.json` knows of the masks and the network's metadata does not
WITHOUT_MASKS = {"spans": None, "cuts": None, "files_state": "", "frames_digest": ""}
NAMES = [f"{index:05d}.png" for index in range(6)]  # of the masks of the tiny clip


def refuse(*_):
    """In place of what must not be done again."""
    pytest.fail("this was done already")


def write_keyframes(folder: Path, *indices: int, white: bool = False) -> Path:
    """Masks of the tiny clip's frames, indexed or {0, 255}."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in indices:
        path = folder / f"{index:05d}.png"
        if white:
            Image.fromarray(tiny_mask(index) * 255).save(path)
        else:
            write_labels(path, tiny_mask(index))
    return folder


def train(
    clip: Path,
    keyframes: Path,
    out: Path,
    model: Model = TINY_LITE,
    parent: str | Path | None = "none",
    keep_stopped: bool = False,
    **options,
) -> RunRecord:
    """A run on the CPU, from random weights unless a parent is given; callbacks are among the options."""
    names = {field.name for field in fields(Callbacks)}
    callbacks = Callbacks(**{name: options.pop(name) for name in names & options.keys()})
    chosen = PropagationOptions(model=model, parent=parent, **({"device": "cpu"} | options))
    return train_propagation(open_clip(clip), keyframes, out, chosen, callbacks, keep_stopped)


_FINISHED: dict[str, tempfile.TemporaryDirectory] = {}


def finished_run(clip: Path, keyframes: Path, out: Path, **options) -> RunRecord:
    """What `train` with TINY_LITE leaves in `out`, copied from an equal run that this process trained before.

    Expects the narrow networks, one thread and the tiny clip; the keyframes and options determine the rest.
    """
    key = repr((sorted(bytes_of(keyframes).items()), sorted(options.items())))
    if key not in _FINISHED:
        train(clip, keyframes, out, **options)
        _FINISHED[key] = tempfile.TemporaryDirectory(prefix="finished-run-")
        shutil.copytree(out, _FINISHED[key].name, dirs_exist_ok=True)
    else:
        shutil.copytree(_FINISHED[key].name, out)
    return read_record(out / "run.json")


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def stop_after(calls: int):
    """A `stop_asked` that says yes from the call after that many."""
    answers = iter([False] * calls)
    return lambda: next(answers, True)


def other_clip(folder, count=6, size=(64, 48)):
    folder.mkdir()
    for index in range(count):
        Image.fromarray(tiny_frame(index + 1)).resize(size).save(folder / f"{index:05d}.png")
    return folder


class Squares(Segmenter):
    """A segmenter that fills the box of the points."""

    name = "squares"
    threshold = 0.5

    def probabilities(self, image_rgb, objects_xy):
        masks = []
        for points in objects_xy:
            mask = np.zeros(image_rgb.shape[:2], dtype=np.float32)
            (x0, y0), (x1, y1) = points.min(0), points.max(0)
            mask[y0 : y1 + 1, x0 : x1 + 1] = 1
            masks.append(mask)
        return masks
