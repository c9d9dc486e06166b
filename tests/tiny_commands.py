"""The lite model made small, for commands in this process and in others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from dextr_vos.networks import lite_encoder
from dextr_vos.propagation import models


def small_lite() -> list[tuple[Any, str, object]]:
    """What to set: module, name and value."""
    recipe = models.LITE.recipe
    small = replace(models.LITE, recipe=replace(recipe, scene=replace(recipe.scene, size_hw=(48, 64))))
    return [
        (lite_encoder, "WIDTHS", (8, 8, 16, 16, 16)),
        (lite_encoder, "DEPTHS", (1, 1, 1, 1)),
        (lite_encoder, "DECODER_WIDTHS", (16, 8, 8, 8)),
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
