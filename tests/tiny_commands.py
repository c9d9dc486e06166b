"""The lite model made small, for commands in this process and in others, and what runs it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dextr_vos.networks import lite_encoder
from dextr_vos.propagation import models

ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "TERM": "xterm",
    "COLUMNS": "120",
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
}
# `python -c` with this is the command as it is, but with the small network
SMALL_COMMAND = (
    "from tiny_commands import small_lite; [setattr(*change) for change in small_lite()]; "
    "from dextr_vos.cli.main import main; main(prog_name='dextr-vos')"
)


def small_lite() -> list[tuple[Any, str, object]]:
    """What to set: module, name and value."""
    recipe = models.LITE.recipe
    small = replace(models.LITE, recipe=replace(recipe, scene=replace(recipe.scene, size_hw=(48, 64))))
    return [
        (lite_encoder, "WIDTHS", (8, 8, 16, 16, 16)),
        (lite_encoder, "DEPTHS", (1, 1, 1, 1)),
        (lite_encoder, "DECODER_WIDTHS", (16, 8, 8, 8)),
        (models, "MODELS", {**models.MODELS, "lite": small}),
    ]


@contextmanager
def with_small_lite() -> Iterator[None]:
    """The small network in this process while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        for change in small_lite():
            patch.setattr(*change)
        yield
