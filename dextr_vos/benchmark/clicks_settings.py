"""The settings of a benchmark of masks from clicks alone: data sets × engines × jitters."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from dextr_vos.config import Settings
from dextr_vos.datasets.instances import ObjectSet
from dextr_vos.datasets.registry import DataSettings, open_objects
from dextr_vos.evaluation.interactive import CLICKS_LIMIT


class SetSettings(Settings):
    """One data set.

    Attributes:
        name: what the report calls it.
        kind: which layout it has, as in `evaluate-clicks`.
        root: its folder.
        split: its list, for voc, coco and davis.
        year: of DAVIS.
        every: takes one frame of DAVIS in this many.
        description: the YAML of a folder data set, relative to the settings' file.
        limit: at most so many objects, evenly spread.
        human: clicks of people on its pictures (JSON); these objects alone are scored, from both kinds.
    """

    name: str = Field(min_length=1)
    kind: Literal["voc", "coco", "davis", "grabcut", "folder"]
    root: Path = Path()
    split: str | None = None
    year: Literal[2016, 2017] = 2016
    every: int = Field(default=10, ge=1)
    description: Path | None = None
    limit: int | None = Field(default=None, ge=1)
    human: Path | None = None

    def open(self, beside: Path) -> ObjectSet:
        """The objects; InputError when the data set is not there."""
        if self.kind == "grabcut":
            from dextr_vos.datasets.grabcut import GrabCutObjects

            return GrabCutObjects(self.root)
        splits = {"voc": "val", "davis": "val", "coco": "val2017"}
        data = DataSettings(
            kind=self.kind,
            root=self.root,
            split=self.split or splits.get(self.kind),
            year=self.year,
            every=self.every if self.kind == "davis" else 1,
            description=self.description,
        )
        return open_objects(data, Path(), beside)


class EngineSettings(Settings):
    """What makes masks of clicks.

    Attributes:
        name: what the report calls it.
        engine: as in `annotate`.
        weights: checkpoint of a DEXTR; lite has its own.
    """

    name: str = Field(min_length=1)
    engine: Literal["lite", "dextr", "grabcut"]
    weights: Path | None = None


class ClicksBenchmarkSettings(Settings):
    """Everything about a benchmark of masks from clicks.

    Attributes:
        kind: tells these settings from those of propagation.
        sets: data sets.
        engines: engines.
        jitter_px: simulated clicks are off by up to so many pixels; each value is a row.
        extra_clicks: count the clicks to 85 and 90 % IoU, too.
        clicks_limit: clicks an object gets at most.
        seed: of the jitter.
        device: where to compute.
        precision: see `BenchmarkSettings`.
    """

    kind: Literal["clicks"]
    sets: tuple[SetSettings, ...] = Field(min_length=1)
    engines: tuple[EngineSettings, ...] = Field(min_length=1)
    jitter_px: tuple[int, ...] = Field(default=(0,), min_length=1)
    extra_clicks: bool = True
    clicks_limit: int = Field(default=CLICKS_LIMIT, ge=4)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    precision: Literal["float32", "auto"] = "float32"

    def at(self, davis_root: Path) -> "ClicksBenchmarkSettings":
        """These settings with another folder for sets of DAVIS."""
        sets = tuple(
            one.model_copy(update={"root": davis_root}) if one.kind == "davis" else one for one in self.sets
        )
        return self.model_copy(update={"sets": sets})

    @model_validator(mode="after")
    def _agrees(self) -> "ClicksBenchmarkSettings":
        for names in ([one.name for one in self.sets], [one.name for one in self.engines]):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"expected names that differ, got {twice[0]} twice")
        if min(self.jitter_px) < 0:
            raise ValueError(f"expected 0 or more in jitter_px, got {min(self.jitter_px)}")
        return self
