"""A fine-tuned network as a file: its weights, the record of what made it, and its memory of keyframes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import nn

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks import checkpoints
from dextr_vos.networks.lite_tracker import MEMORY_PREFIX, Memory
from dextr_vos.propagation.model import Model
from dextr_vos.propagation.models import model_named
from dextr_vos.propagation.run import network_record
from dextr_vos.propagation.settings import Recipe
from dextr_vos.run_files import RunPaths, RunRecord


@dataclass(frozen=True)
class TrainedNetwork:
    """A fine-tuned network.

    Attributes:
        network: in evaluation mode.
        record: of what made it.
        memory: of the keyframes, for a network that tracks; N = 1.
    """

    network: nn.Module
    record: RunRecord
    memory: Memory | None = None

    @property
    def model(self) -> Model:
        """The network's model."""
        return model_named(self.record.model)

    @property
    def recipe(self) -> Recipe:
        """How it was fine-tuned.

        Raises:
            WeightsError: the record was written by another version.
        """
        try:
            recipe: Recipe = TypeAdapter(Recipe).validate_python(self.record.settings)
        except ValidationError:
            raise WeightsError(
                "the settings of this network's record are of another version of dextr-vos; "
                "run dextr-vos propagate again"
            ) from None
        return recipe

    @property
    def object_ids(self) -> list[int]:
        """Object ids, one a channel."""
        return [entry.id for entry in self.record.objects]


def save_network(path: Path, trained: TrainedNetwork) -> None:
    """Save a fine-tuned network with its record and its memory, atomically."""
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in trained.network.state_dict().items()}
    if trained.memory is not None:
        memory: dict[str, Any] = {"keys": trained.memory.keys.half(), "masks": trained.memory.masks.half()}
        state |= {MEMORY_PREFIX + name: tensor for name, tensor in memory.items()}
    checkpoints.save(path, state, {"record": trained.record.model_dump_json()})


def load_network(path: Path) -> TrainedNetwork:
    """Read a fine-tuned network, in evaluation mode and on the CPU.

    Args:
        path: a run folder, or its `network.safetensors`.

    Raises:
        InputError: there is none at that path.
        WeightsError: the file is broken, or was not saved by `dextr-vos propagate`.
    """
    file = RunPaths(path).network if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"there is no fine-tuned network {file}; give the --out folder of a finished dextr-vos propagate"
        )
    record = network_record(file)
    network = model_named(record.model).build(len(record.objects))
    state = checkpoints.read_state_dict(file)
    memory = None
    if MEMORY_PREFIX + "keys" in state:
        memory = Memory(*(state.pop(MEMORY_PREFIX + name).float() for name in ("keys", "masks")))
    checkpoints.load_into(network, state, file)
    return TrainedNetwork(network.eval(), record, memory)
