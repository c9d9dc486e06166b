"""The grid: each combination of clip, supervision, keyframes, model and seed is one cell, with a key."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from dextr_vos.benchmark.settings import (
    BenchmarkSettings,
    Choice,
    ClickSettings,
    Supervision,
    model_of,
)
from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import InputError
from dextr_vos.files import file_digest
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.propagation.settings import ModelName


class Cell(BaseModel):
    """One combination.

    Attributes:
        clip: name of the clip.
        supervision: where the masks of the keyframes come from.
        keyframes: number of annotated frames.
        choose: how they are chosen.
        model: of propagation.
        seed: of fine-tuning and of the clicks' jitter.
    """

    model_config = ConfigDict(frozen=True)
    clip: str
    supervision: Supervision
    keyframes: int
    choose: Choice
    model: ModelName
    seed: int

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, values: Any) -> Any:
        """Cells of older results have `network`, lite or osvos, in place of `model`."""
        if isinstance(values, dict) and "network" in values:
            network = values["network"]
            rest = {key: value for key, value in values.items() if key != "network"}
            return rest | {"model": "paper" if network == "osvos" else network}
        return values

    def __str__(self) -> str:
        many = "keyframe" if self.keyframes == 1 else "keyframes"
        how = ", as suggested" if self.choose == "suggest" else ""
        return (
            f"{self.clip}, {self.supervision}, {self.keyframes} {many}{how}, {self.model}, seed {self.seed}"
        )


def grid(settings: BenchmarkSettings, clips: Sequence[str]) -> list[Cell]:
    """All cells, in the order in which they are best run: clip after clip, few keyframes first."""
    return [
        Cell(clip=clip, supervision=supervision, keyframes=count, choose=choose, model=model, seed=seed)
        for seed, model, clip, count, choose, supervision in product(
            settings.seeds,
            settings.models,
            clips,
            sorted(settings.keyframes),
            settings.choose,
            settings.supervision,
        )
    ]


# raised with every change of the code that changes masks or scores: finished cells are then run again
ALGORITHM = 5


def key_of(cell: Cell, settings: BenchmarkSettings, davis: Davis) -> str:
    """The key of a cell: a digest of all that determines its result.

    Args:
        cell: the cell.
        settings: of the benchmark.
        davis: the data set.

    Raises:
        InputError: a file that determines the result is missing.
    """
    model = model_of(cell.model, settings)
    parent = model.parent(settings.parent.get(cell.model))
    parts = {
        "algorithm": ALGORITHM,
        # one keyframe is the first frame, evenly spaced or suggested
        "cell": cell.model_dump() | ({"choose": "even"} if cell.keyframes == 1 else {}),
        "clip": clip_digest(davis, cell.clip),
        "supervision": _supervision(cell, settings.clicks),
        "recipe": model.recipe.as_dict(),
        "parent": None if parent is None else _digest(parent),
        "precision": settings.precision,
        "threads": settings.threads,
        "year": settings.year,
        "official": settings.official,
    }
    if davis.objects_come_later:
        parts["objects"] = "from-first-appearance"
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def clicks_file(folder: Path, clip: str) -> Path:
    """The file with the clicks on a clip.

    Raises:
        InputError: the folder has none.
    """
    expected = [folder / f"{clip}.json", folder / clip / "annotations.json"]
    for path in expected:
        if path.is_file():
            return path
    raise InputError(f"there are no clicks on the clip {clip}; expected {expected[0]} or {expected[1]}")


def clip_digest(davis: Davis, clip: str) -> str:
    """A digest of every frame and every true mask of a clip."""
    return _digest_of([*davis.frame_paths(clip), *davis.annotation_paths(clip)])


def _digest(path: Path) -> str:
    """A digest of one file, which is read again only when it has changed.

    Raises:
        InputError: there is no such file.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    status = path.stat()
    return _read_digest(path, status.st_mtime_ns, status.st_size)


# every cell of a clip asks for the same files
@lru_cache(maxsize=100_000)
def _read_digest(path: Path, changed_ns: int, size: int) -> str:
    return file_digest(path)


def _digest_of(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name};".encode())
        digest.update(_digest(path).encode())
    return digest.hexdigest()


def _supervision(cell: Cell, clicks: ClickSettings) -> dict[str, Any]:
    """What determines the masks of the keyframes, besides the clip and the seed."""
    if cell.supervision == "gt":
        return {}
    parts: dict[str, Any] = {}
    if cell.supervision in ("dextr", "grabcut"):
        parts["jitter_px"] = clicks.jitter_px
    if cell.supervision in ("dextr", "clicks"):
        parts["weights"] = _digest(clicks.weights or shipped_weights("lite-clicks"))
    if cell.supervision == "clicks":
        assert clicks.files is not None
        parts["clicks"] = _digest(clicks_file(clicks.files, cell.clip))
    return parts
