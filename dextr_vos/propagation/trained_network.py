"""A fine-tuned network as a file: what it learned, what made it, and what it remembers of its keyframes."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from torch import nn

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks import checkpoints as weights
from dextr_vos.networks.lite_tracker import MEMORY_PREFIX, Memory
from dextr_vos.propagation.models import Model, accompanied, model_named
from dextr_vos.propagation.settings import TrackingSettings
from dextr_vos.run_files import RunRecord

NETWORK = "network.safetensors"  # its file in the folder of a run


@dataclass(frozen=True)
class TrainedNetwork:
    """A network read back from a run.

    Attributes:
        network: in evaluation mode, on the CPU.
        record: of what made it.
        memory: of the keyframes, for a network that follows; N = 1.
    """

    network: nn.Module
    record: RunRecord
    memory: Memory | None = None

    @property
    def model(self) -> Model:
        """The network's kind."""
        return model_named(self.record.model)

    @property
    def following(self) -> TrackingSettings:
        """How it follows objects, if it does."""
        told = self.record.settings["following"]
        if "margin" in told.get("zoom", {}):  # a run of before, with one look
            told = told | {"zoom": told["zoom"] | {"margins": (told["zoom"]["margin"],)}}
        return TypeAdapter(TrackingSettings).validate_python(told)

    @property
    def accompanied(self) -> bool:
        """Whether the shipped lite network follows the objects beside this one, which cannot."""
        return accompanied(self.model, self.following)

    @property
    def follows(self) -> bool:
        """Whether objects are followed from frame to frame, by this network or beside it."""
        return self.model.follows or self.accompanied

    @property
    def numbers(self) -> list[int]:
        """Object numbers, one a channel."""
        return [entry.id for entry in self.record.objects]


def save_network(path: Path, network: nn.Module, record: RunRecord, memory: Memory | None = None) -> None:
    """Save a fine-tuned network with its record and what it remembers, atomically."""
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    if memory is not None:
        state |= {MEMORY_PREFIX + "keys": memory.keys.half(), MEMORY_PREFIX + "masks": memory.masks.half()}
    weights.save(path, state, {"record": record.model_dump_json()})


def load_network(path: Path) -> TrainedNetwork:
    """Read a fine-tuned network from a run folder or its `network.safetensors`.

    Raises:
        InputError: there is none at that path.
        WeightsError: the file is broken, or was not saved by `train-propagation`.
    """
    file = path / NETWORK if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"there is no trained network {file}; give the --out folder of a finished train-propagation"
        )
    record = network_record(file)
    network = model_named(record.model).build(len(record.objects))
    state = weights.read_state_dict(file)
    memory = None
    if MEMORY_PREFIX + "keys" in state:
        memory = Memory(*(state.pop(MEMORY_PREFIX + name).float() for name in ("keys", "masks")))
    weights.load_into(network, state, file)
    return TrainedNetwork(network.eval(), record, memory)


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
