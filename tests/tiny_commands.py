"""The lite model made small, for commands in this process and in others; as a script, the command with it.

As a script, it holds a training at the second line of its log if HOLD_LOG names the training's folder.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dextr_vos.networks import prompt_decoder, tiny_vit
from dextr_vos.propagation import models


def small_lite() -> list[tuple[Any, str, object]]:
    """What to set: module, name and value."""
    recipe = models.LITE.recipe
    small = replace(models.LITE, recipe=replace(recipe, scene=replace(recipe.scene, size_hw=(48, 64))))
    return [
        (tiny_vit, "_DEPTHS", (1, 1, 1, 1)),
        (tiny_vit, "_EXPANSION", 1),
        (prompt_decoder, "_MLP_CHANNELS", 32),
        (models, "MODELS_BY_NAME", {**models.MODELS_BY_NAME, "lite": small}),
    ]


def make_lite_small() -> None:
    """The small network in this process, for good."""
    for change in small_lite():
        setattr(*change)


@contextmanager
def with_small_lite() -> Iterator[None]:
    """The small network in this process while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        for change in small_lite():
            patch.setattr(*change)
        yield


if __name__ == "__main__":
    from tiny_training import hold_log

    from dextr_vos.cli.main import main

    make_lite_small()
    if "HOLD_LOG" in os.environ:
        hold_log(Path(os.environ["HOLD_LOG"]), 2)
    main()
