"""The folder of a run: the network it learned, what it was learned from, and the masks of every frame.

```
RUN/run.json              what made it: network, keyframes, objects, settings, why training stopped
RUN/network.safetensors   the fine-tuned network; its metadata say the same
RUN/masks/00000.png       one mask a frame; keyframes are copies
RUN/training.pt           an unfinished training, to go on from; gone once it is finished
```
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError
from torch import nn

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.frames import Clip
from dextr_vos.networks import weights
from dextr_vos.propagation.tiers import Tier, tier_named
from dextr_vos.record import RunClip, RunRecord, read_record

log = logging.getLogger(__name__)


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

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Make the folder and keep it to this process while the block runs.

        Raises:
            InputError: it is a file, or another process works in it.
            OSError: it cannot be written; told now, not after a long training.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--out {self.path} is a file; expected a folder")
        self.path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.path):
            pass
        try:
            with FileLock(self.path / ".lock", timeout=0):
                yield
        except Timeout:
            raise InputError(
                f"another train-propagation is at work in {self.path}; wait for it, "
                "or give another --out folder"
            ) from None

    def check(self, clip: Clip, keyframe_folder: Path) -> None:
        """Refuse a folder in which something would be lost.

        Raises:
            InputError: it holds a run on another clip, masks of other origin, or the keyframes themselves.
        """
        folder = keyframe_folder.resolve()
        if self.masks.resolve() in (folder, *folder.parents):
            raise InputError(
                f"the keyframes {folder} are in {self.masks}, which this run would replace; "
                "copy them to another folder"
            )
        if self.record.exists():
            made_on, here = read_record(self.record).clip, RunClip.of(clip)
            if made_on.identity != here.identity:
                raise InputError(
                    f"{self.path} holds a run on {made_on}, not on {here}; give another --out folder"
                )
        elif self.masks.exists() and not self.network.exists():
            raise InputError(
                f"{self.masks} is there and was not made by train-propagation, which would replace it; "
                "give another --out folder"
            )

    def is_trained(self, fingerprint: str) -> bool:
        """Whether the network is whole and was made of the same things."""
        if not self.network.exists():
            return False
        try:
            if network_record(self.network).fingerprint == fingerprint:
                return True
            log.info("keyframes or settings have changed since %s; training starts anew", self.network)
        except WeightsError:
            log.warning("%s is damaged; training starts anew", self.network)
        return False

    def is_segmented(self, fingerprint: str, clip: Clip) -> bool:
        """Whether every mask is there and was made by the network with that fingerprint."""
        return (
            self.record.exists()
            and read_record(self.record).fingerprint == fingerprint
            and all((self.masks / f"{name}.png").exists() for name in clip.names)
        )

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


@dataclass(frozen=True)
class TrainedNetwork:
    """A network read back from a run: in evaluation mode, on the CPU, with the record of what made it."""

    network: nn.Module
    record: RunRecord

    @property
    def tier(self) -> Tier:
        """The network's kind."""
        return tier_named(self.record.network)

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
    network = tier_named(record.network).build(len(record.objects))
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
