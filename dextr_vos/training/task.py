"""What the loop needs to know: how long and how fast to train, and what is learned."""

from typing import Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import Dataset

from dextr_vos.config import Settings
from dextr_vos.networks.optim import Decay

NamedTensors = dict[str, Tensor]


class LoopSettings(Settings):
    """How long and how fast to train.

    Attributes:
        steps: optimizer steps.
        batch: samples a batch, in each process.
        accumulate_grad: batches whose gradients are averaged into one step.
        warmup: steps over which the learning rate rises.
        decay: how the learning rate falls, see `rate_factor`.
        precision: of the network's arithmetic; "bf16" keeps the weights in fp32, and validates in fp32.
        average: decay of the moving average of the weights; 0 keeps none.
        clip_norm: gradients longer than this are shortened to it; None leaves them.
        sync_norm: batch norms use the statistics of all processes' batches, where there are several.
        log_every: steps between lines of the log.
        validate_every: steps between validations; the last step validates, too.
        save_every: steps between checkpoints.
        workers: processes that make samples, for each that trains.
    """

    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    accumulate_grad: int = Field(default=1, ge=1)
    warmup: int = Field(default=0, ge=0)
    decay: Decay = "cosine"
    precision: Literal["fp32", "bf16"] = "fp32"
    average: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: float | None = Field(default=None, gt=0)
    sync_norm: bool = True
    log_every: int = Field(default=20, ge=1)
    validate_every: int = Field(default=500, ge=1)
    save_every: int = Field(default=200, ge=1)
    workers: int = Field(default=2, ge=0)


class Task(Protocol):
    """What is learned; the loop knows nothing of it.

    Attributes:
        network: to train.
        optimizer: of the network's parameters; its learning rates are the full ones.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer

    @property
    def samples(self) -> Dataset[NamedTensors]:
        """A sample by its position in the run."""
        ...

    def loss(self, network: nn.Module, batch: NamedTensors, done: float) -> Tensor:
        """Scalar, averaged over the batch.

        Args:
            network: to call; perhaps wrapped.
            batch: on the device.
            done: share of the training that is done, in [0, 1).
        """
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Scores by name, more is better; the first one decides which checkpoint is the best."""
        ...
