"""The folder of a run: the network it learned, what it was learned from, and the masks of every frame.

```
RUN/run.json              what made it: network, keyframes, objects, settings, why training stopped
RUN/network.safetensors   the fine-tuned network; its metadata say the same
RUN/masks/00000.png       one mask a frame; keyframes are copies
RUN/training.pt           an unfinished training, to go on from; gone once it is finished
```
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.files import write_text
from dextr_vos.networks import weights
from dextr_vos.propagation.tiers import TIERS, Tier


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run."""

    path: Path

    @property
    def record(self) -> Path:
        """What made the run."""
        return self.path / "run.json"

    @property
    def network(self) -> Path:
        """The fine-tuned network."""
        return self.path / "network.safetensors"

    @property
    def checkpoint(self) -> Path:
        """An unfinished training."""
        return self.path / "training.pt"

    @property
    def masks(self) -> Path:
        """The finished masks."""
        return self.path / "masks"

    def unfinished_masks(self, fingerprint: str) -> Path:
        """Masks of the network with that fingerprint, before all are there."""
        return self.path / f".masks-{fingerprint[:16]}"

    def finish_masks(self, unfinished: Path) -> None:
        """Put the finished masks in the place of older ones, and drop what other runs left unfinished."""
        if self.masks.exists():
            shutil.rmtree(self.masks)
        unfinished.replace(self.masks)
        for leftover in self.path.glob(".masks-*"):
            shutil.rmtree(leftover)

    def drop_half_written(self, unfinished: Path) -> None:
        """Remove the temporary files of writers that were killed."""
        for path in (self.checkpoint, self.network, self.record):
            for leftover in self.path.glob(f".{path.stem}.*{path.suffix}"):
                leftover.unlink()
        for leftover in unfinished.glob(".*"):
            leftover.unlink()


class RunObject(BaseModel):
    """An object of the run: its number in the masks and its name."""

    model_config = ConfigDict(frozen=True)
    id: int
    name: str


class RunClip(BaseModel):
    """The clip a run was made on."""

    model_config = ConfigDict(frozen=True)
    path: str
    frames: int
    size_hw: tuple[int, int]


class RunTraining(BaseModel):
    """How fine-tuning went."""

    model_config = ConfigDict(frozen=True)
    steps: int
    stop: str
    loss: float
    seconds: float


class RunRecord(BaseModel):
    """What made a run: `run.json`, and the metadata of its network.

    Attributes:
        fingerprint: changes with everything that determines the network, so that a finished training is
            never repeated and an outdated one never kept.
    """

    model_config = ConfigDict(frozen=True)
    format: Literal["dextr-vos run"] = "dextr-vos run"
    version: Literal[1] = 1
    network: Literal["lite", "osvos"]
    clip: RunClip
    objects: tuple[RunObject, ...]
    keyframes: tuple[str, ...]
    longest_side: int | None
    settings: dict[str, Any]
    parent: str | None
    seed: int
    training: RunTraining
    fingerprint: str


@dataclass(frozen=True)
class TrainedNetwork:
    """A network read back from a run: in evaluation mode, on the CPU, with the record of what made it."""

    network: nn.Module
    record: RunRecord

    @property
    def tier(self) -> Tier:
        """The network's kind."""
        return TIERS[self.record.network]

    @property
    def numbers(self) -> list[int]:
        """Object numbers, one a channel."""
        return [entry.id for entry in self.record.objects]


def save_network(path: Path, network: nn.Module, record: RunRecord) -> None:
    """Save a fine-tuned network with its record, atomically."""
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    weights.save(path, state, {"record": record.model_dump_json()})


def load_network(path: Path) -> TrainedNetwork:
    """Read a fine-tuned network from a run folder or its `network.safetensors`.

    Raises:
        InputError: there is none at that path.
        WeightsError: the file is broken, or was not saved by `train-propagation`.
    """
    file = RunFolder(path).network if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"there is no trained network {file}; give the --out folder of a finished train-propagation"
        )
    record = network_record(file)
    network = TIERS[record.network].build(len(record.objects))
    weights.load_into(network, weights.read_state_dict(file), file)
    return TrainedNetwork(network.eval(), record)


def network_record(file: Path) -> RunRecord:
    """The record saved with a network.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    try:
        return RunRecord.model_validate_json(weights.read_metadata(file)["record"])
    except (KeyError, ValidationError):
        raise WeightsError(
            f"{file} is not a network saved by train-propagation (its record is missing or damaged); "
            "give the --out folder of a finished run"
        ) from None


def read_record(path: Path) -> RunRecord:
    """Read `run.json`.

    Raises:
        InputError: it is damaged.
    """
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
        raise InputError(
            f"{path} is damaged or of another release of dextr-vos; give another --out folder"
        ) from None


def write_record(path: Path, record: RunRecord) -> None:
    """Write `run.json` atomically."""
    write_text(path, record.model_dump_json(indent=1) + "\n")
