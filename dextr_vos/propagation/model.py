"""The interface of a propagation model: its network, how that is fine-tuned, and how it segments a clip."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from dextr_vos.errors import InputError
from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.networks.checkpoints import load_into
from dextr_vos.networks.lite_tracker import Memory
from dextr_vos.networks.optim import Optimizer
from dextr_vos.propagation.batch_source import BatchSource
from dextr_vos.propagation.keyframes import AnnotatedClip, FramePrediction, OnFrameDone, SpanPart
from dextr_vos.propagation.recipes import ModelConfig
from dextr_vos.propagation.settings import Recipe
from dextr_vos.propagation.training_data import Sample

log = logging.getLogger(__name__)


class Propagator(Protocol):
    """Predicts the frames between keyframes with a fine-tuned network."""

    def steps(self, part: SpanPart) -> int:
        """How many frames are segmented for a part of a span; one that two passes go through counts twice."""
        ...

    def propagate(
        self, part: SpanPart, on_step: OnFrameDone, on_known: OnFrameDone = lambda: None
    ) -> Iterator[FramePrediction]:
        """The frames of a part in order, see `BidirectionalPropagator.propagate`."""
        ...

    def repeat(self, index: int) -> FramePrediction:
        """A keyframe predicted as if its mask were not known."""
        ...

    def memory(self) -> Memory | None:
        """What the network needs to find the objects in other clips."""
        ...

    def forget(self) -> None:
        """Drop what was computed with the network, once it has changed."""
        ...

    def segment_once(self, index: int) -> None:
        """Segment one frame, for timing; `index` is a keyframe's."""
        ...


@dataclass(frozen=True)
class Model(ModelConfig, ABC):
    """A propagation network with all that is needed to fine-tune it and to segment with it."""

    @abstractmethod
    def build(self, num_objects: int) -> nn.Module:
        """An untrained network for K objects."""

    @abstractmethod
    def load_parent(self, network: nn.Module, parent: Path, num_objects: int) -> None:
        """Load a checkpoint to start from.

        Args:
            network: changed in place.
            parent: the checkpoint; its one object becomes K.
            num_objects: K.

        Raises:
            WeightsError: it is broken or does not fit.
        """

    @abstractmethod
    def optimizer(self, network: nn.Module) -> Optimizer:
        """The optimizer for fine-tuning."""

    @abstractmethod
    def batch_source(
        self, recipe: Recipe, samples: Sequence[Sample], object_ids: Sequence[int], seed: int
    ) -> BatchSource:
        """What the network learns from.

        Args:
            recipe: how it is trained.
            samples: one a keyframe, see `sample_side`.
            object_ids: one a channel.
            seed: of all that is random.
        """

    def load_trained(self, network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
        """Load what was fine-tuned on a clip, to be applied or to be trained further.

        Args:
            network: as it was built, changed in place.
            state: its weights.
            path: where they come from, for messages.

        Raises:
            WeightsError: they do not fit.
        """
        load_into(network, state, path)

    @abstractmethod
    def sample_side(self, recipe: Recipe) -> int | None:
        """Longest side of the samples, in pixels; None keeps the frames' size."""

    @abstractmethod
    def propagator(
        self, network: nn.Module, recipe: Recipe, annotated: AnnotatedClip, device: torch.device, folder: Path
    ) -> Propagator:
        """The propagator of a network.

        Args:
            network: on `device`; in evaluation mode when the propagator is used.
            recipe: longest side and tracking.
            annotated: the clip and its keyframes.
            device: where to compute.
            folder: for soft masks in progress.
        """

    @abstractmethod
    def sequence_segmenter(
        self,
        network: nn.Module,
        recipe: Recipe,
        memory: Memory | None,
        num_objects: int,
        size_hw: tuple[int, int],
        device: torch.device,
    ) -> Callable[[ImageRgb], FloatArray]:
        """A function from the frames of a clip without keyframes, in order, to soft masks K×h×w.

        Args:
            network: in evaluation mode, on `device`.
            recipe: longest side and tracking.
            memory: what the network knows of the objects, from the clip it was fine-tuned on.
            num_objects: K.
            size_hw: height and width of the frames, in pixels.
            device: where to compute.
        """

    @abstractmethod
    def memory_format(self, device: torch.device) -> torch.memory_format:
        """How the network's weights lie in memory while it is trained."""

    def any_objects(self) -> bool:
        """Whether a network fine-tuned for some objects can go on with others."""
        return False

    def start(self, num_objects: int, seed: int, parent: Path | None) -> nn.Module:
        """A network ready to be fine-tuned.

        Args:
            num_objects: K.
            seed: of the initial weights.
            parent: checkpoint to start from; None starts from random weights.

        Raises:
            InputError: there is no such file.
            WeightsError: the parent is broken or does not fit.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.build(num_objects)
        if parent is None:
            log.warning(
                "the %s model without a parent starts from random weights and learns little", self.name
            )
            return network
        if not parent.is_file():
            raise InputError(f"there is no checkpoint {parent}")
        self.load_parent(network, parent, num_objects)
        return network
