"""The settings of an evaluation of clicks: every data set × every model × every jitter is one cell."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from dextr_vos.annotation.human_clicks import HumanClicks, read_human_clicks
from dextr_vos.benchmark.click_evaluation import Protocol, filter_objects, spread_evenly, with_human_clicks
from dextr_vos.config import Settings
from dextr_vos.datasets.instances import Concat, ObjectSet
from dextr_vos.datasets.registry import DataSettings, open_objects
from dextr_vos.errors import ConfigError
from dextr_vos.evaluation.interactive import MAX_CLICKS

DatasetKind = Literal["voc", "coco", "davis", "grabcut", "folder"]
ClickModelName = Literal["lite", "paper", "grabcut", "sam", "sam2"]

_SPLITS = {"voc": "val", "davis": "val", "coco": "val2017"}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | Path) else value


class ClickDataset(Settings):
    """One data set.

    Attributes:
        name: its name in the report.
        kind: its layout, as in `evaluate-clicks`.
        root: its folder; of a folder data set, that of its description when not given.
        split: its list, for voc, coco and davis.
        year: of DAVIS.
        every: takes one frame of DAVIS in this many.
        description: the YAML, or several, of a folder data set, relative to the settings' file.
        categories: evaluate objects of these categories alone; all when empty.
        min_area: leave out smaller objects, in pixels.
        max_objects: at most so many objects, evenly spread.
        human: clicks of people on its images (JSON); these objects alone are evaluated, with both kinds of
            clicks.
    """

    name: str = Field(min_length=1)
    kind: DatasetKind
    root: Path | None = None
    split: str | None = None
    year: Literal[2016, 2017] = 2016
    every: int = Field(default=10, ge=1)
    description: Annotated[tuple[Path, ...], BeforeValidator(_as_list)] = ()
    categories: tuple[str, ...] = ()
    min_area: int = Field(default=0, ge=0)
    max_objects: int | None = Field(default=None, ge=1)
    human: Path | None = None

    def open(self, folder: Path) -> tuple[ObjectSet, HumanClicks | None]:
        """The objects to evaluate, and the clicks of people on them.

        Args:
            folder: what the descriptions are relative to.

        Raises:
            ConfigError: a setting is missing that this kind of data set needs.
            InputError: the data set is not there, is broken, or has no such object.
        """
        objects: ObjectSet = filter_objects(self._all_objects(folder), self.categories, self.min_area)
        human = None
        if self.human is not None:
            human = read_human_clicks(self.human, objects.refs)
            objects = with_human_clicks(objects, human)
        return (objects if self.max_objects is None else spread_evenly(objects, self.max_objects)), human

    def _all_objects(self, folder: Path) -> ObjectSet:
        if self.kind == "folder":
            from dextr_vos.datasets.folder import FolderObjects

            if not self.description:
                raise ConfigError("a folder data set needs its description, a YAML as in docs/formats.md")
            # each image is read once, so nothing is gained by keeping it
            sets = [FolderObjects(folder / path, self.root, cache=False) for path in self.description]
            return Concat(sets)
        if self.root is None:
            raise ConfigError(f"the data set {self.name} of the kind {self.kind} needs its root, the folder")
        if self.kind == "grabcut":
            from dextr_vos.datasets.grabcut import GrabCutObjects

            return GrabCutObjects(self.root)
        data = DataSettings(
            kind=self.kind,
            root=self.root,
            split=self.split or _SPLITS[self.kind],
            year=self.year,
            every=self.every if self.kind == "davis" else 1,
        )
        return open_objects(data, Path(), folder)


class ClickModel(Settings):
    """What makes masks of clicks.

    Attributes:
        name: its name in the report.
        model: `lite`, `paper` (the published DEXTR), `grabcut`, `sam` or `sam2`; None is what the weights are
            for, and lite without weights.
        weights: checkpoint of a DEXTR; lite has its own.
    """

    name: str = Field(min_length=1)
    model: ClickModelName | None = None
    weights: Path | None = None


class ClickEvaluationSettings(Settings):
    """Everything about an evaluation of masks from clicks.

    Attributes:
        kind: distinguishes these settings from those of a benchmark of propagation.
        datasets: data sets.
        models: models.
        jitter_px: simulated clicks are off by up to so many pixels; each value is a cell.
        protocol: "dextr" begins with four extreme points, "ritm" with one click on the object; see
            `evaluate_clicks`.
        extra_clicks: count the clicks to 85 and 90 % IoU, too.
        max_clicks: clicks an object gets at most.
        seed: of the jitter.
        device: where to compute.
        precision: see `BenchmarkSettings`.
    """

    kind: Literal["clicks"] = "clicks"
    datasets: tuple[ClickDataset, ...] = Field(min_length=1)
    models: tuple[ClickModel, ...] = Field(min_length=1)
    jitter_px: tuple[int, ...] = Field(default=(0,), min_length=1)
    protocol: Protocol = "dextr"
    extra_clicks: bool = True
    max_clicks: int = Field(default=MAX_CLICKS, ge=4)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    precision: Literal["float32", "auto"] = "float32"

    def with_davis_root(self, davis_root: Path) -> "ClickEvaluationSettings":
        """These settings with another folder for data sets of DAVIS."""
        datasets = tuple(
            one.model_copy(update={"root": davis_root}) if one.kind == "davis" else one
            for one in self.datasets
        )
        return self.model_copy(update={"datasets": datasets})

    @model_validator(mode="after")
    def _check(self) -> "ClickEvaluationSettings":
        for names in ([one.name for one in self.datasets], [one.name for one in self.models]):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"expected names that differ, got {twice[0]} twice")
        if self.protocol == "ritm" and any(self.jitter_px):
            raise ValueError("expected jitter_px of 0 with protocol=ritm, whose click is in the middle")
        if min(self.jitter_px) < 0:
            raise ValueError(f"expected 0 or more in jitter_px, got {min(self.jitter_px)}")
        return self
