"""The settings of a benchmark, as a YAML in `configs/benchmark/` gives them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from dextr_vos.config import Settings
from dextr_vos.errors import ConfigError
from dextr_vos.masks import DRAW_S
from dextr_vos.propagation.model import Model
from dextr_vos.propagation.models import model_named
from dextr_vos.propagation.settings import ModelName, changed

Supervision = Literal["gt", "dextr", "clicks", "grabcut"]
Choice = Literal["even", "suggest"]

SUPERVISIONS: tuple[Supervision, ...] = get_args(Supervision)

CLICK_S = 7.5  # of the DEXTR paper, as DRAW_S: four clicks on one object of one frame


class ClickSettings(Settings):
    """How clicks become masks.

    Attributes:
        model: which network; None is what the weights are for, and lite without weights.
        weights: its checkpoint; lite has its own inside the package.
        jitter_px: simulated clicks are off by up to so many pixels.
        files: folder with `<clip>.json` or `<clip>/annotations.json`, for the supervision `clicks`.
    """

    model: Literal["lite", "paper", "sam", "sam2"] | None = None
    weights: Path | None = None
    jitter_px: int = Field(default=0, ge=0)
    files: Path | None = None


class BenchmarkSettings(Settings):
    """Everything about a benchmark of propagation.

    Attributes:
        davis_root: folder of the data set, in the layout of DAVIS.
        split: which list of clips.
        year: 2016 scores one object a clip, 2017 each object on its own; None decides by the masks.
        clips: these clips in place of the split.
        supervision: where the masks of the keyframes come from: drawn (`gt`), simulated clicks through DEXTR
            (`dextr`) or GrabCut (`grabcut`), clicks of people from files through DEXTR (`clicks`).
        keyframes: numbers of annotated frames of a clip.
        choose: which ones: evenly spaced, or one after the other as the toolkit suggests.
        models: models of propagation.
        parent: by model, the checkpoint it starts from; `none` for random weights.
        recipe: by model, what to change of its recipe, as `{lite: {max_steps: 40}}`.
        seeds: of fine-tuning, and of the clicks' jitter.
        clicks: how clicks become masks.
        device: where to compute; auto takes every GPU there is, else the CPU.
        precision: `float32` gives the same numbers on every machine; `auto` computes in bf16 where that is
            faster.
        threads: of each job; part of its key, since the order of sums, and so their rounding, depends on it.
        workers: jobs at a time on this machine; as many as fit when not given.
        official: score with the official package, too.
        keep_runs: keep the folders of the runs, with networks and masks.
        click_s: seconds to click one object in one frame.
        draw_s: seconds to draw one.
    """

    davis_root: Path | None = None
    split: str = "val"
    year: Literal[2016, 2017] | None = None
    clips: tuple[str, ...] = ()
    supervision: tuple[Supervision, ...] = Field(default=("gt", "dextr", "grabcut"), min_length=1)
    keyframes: tuple[int, ...] = Field(default=(1, 2, 3, 5), min_length=1)
    choose: tuple[Choice, ...] = Field(default=("even",), min_length=1)
    models: tuple[ModelName, ...] = Field(default=("lite",), min_length=1)
    parent: dict[ModelName, str] = Field(default={})
    recipe: dict[ModelName, dict[str, Any]] = Field(default={})
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    clicks: ClickSettings = ClickSettings()
    device: str = "auto"
    precision: Literal["float32", "auto"] = "float32"
    threads: int = Field(default=1, ge=1)
    workers: int | None = Field(default=None, ge=1)
    official: bool = False
    keep_runs: bool = False
    click_s: float = Field(default=CLICK_S, gt=0)
    draw_s: float = Field(default=DRAW_S, gt=0)

    @field_validator("clips", "supervision", "keyframes", "choose", "models", "seeds")
    @classmethod
    def _refuse_repeats(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
        if twice:
            raise ValueError(f"expected each value once, got {twice[0]} several times")
        return values

    @model_validator(mode="after")
    def _check(self) -> "BenchmarkSettings":
        """Refuse settings that cannot be run, or would do nothing."""
        if min(self.keyframes) < 1:
            raise ValueError(f"expected at least 1 in keyframes, got {min(self.keyframes)}")
        if not 0 <= min(self.seeds) <= max(self.seeds) < 2**32:
            raise ValueError(f"expected seeds from 0 to {2**32 - 1}, got {list(self.seeds)}")
        if "clicks" in self.supervision and self.clicks.files is None:
            raise ValueError("expected clicks.files, a folder of click files, with the supervision clicks")
        if self.clicks.files is not None and "clicks" not in self.supervision:
            raise ValueError("expected the supervision clicks with clicks.files, got it without")
        if "suggest" in self.choose and "clicks" in self.supervision:
            raise ValueError(
                "expected choose even with the supervision clicks, whose frames are in the files"
            )
        if "paper" in self.models and "paper" not in self.parent:
            raise ValueError("expected parent.paper with the model paper; none starts from random weights")
        if "sam2" in self.models and self.parent.get("sam2", "none") == "none":
            raise ValueError("expected parent.sam2, a published checkpoint, with the model sam2")
        return self


def model_of(name: ModelName, settings: BenchmarkSettings) -> Model:
    """A model with its recipe changed and its precision chosen.

    Raises:
        ConfigError: the recipe has an unknown key, a value of the wrong kind, or one not for this model.
    """
    model = model_named(name)
    try:
        recipe = changed(model.recipe, list(_dotted(settings.recipe.get(name, {}))))
        model = replace(model, recipe=recipe, bf16=model.bf16 and settings.precision == "auto")
    except ConfigError as error:
        raise ConfigError(f"recipe.{name}: {error}") from None
    return model


def _dotted(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """`key=value` of each value, groups as `group.key=value`."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{before}{key}.")
        else:
            yield f"{before}{key}={json.dumps(value)}"
