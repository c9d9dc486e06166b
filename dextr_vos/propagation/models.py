"""The models of propagation behind one interface; `recipes` has what fine-tunes them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.networks import osvos
from dextr_vos.networks.checkpoint_file import is_lite_clicks
from dextr_vos.networks.checkpoints import load_into, read_state_dict, repeat_objects
from dextr_vos.networks.imagenet import load_caffe_vgg, load_torchvision_vgg
from dextr_vos.networks.lite_tracker import MEMORY_PREFIX, LiteTracker, Memory, state_from_click_network
from dextr_vos.networks.optim import Optimizer, QuickAdamW
from dextr_vos.propagation.batch_source import BatchSource, FrameBatches, PairBatches, PoolBatches
from dextr_vos.propagation.bidirectional import BidirectionalPropagator
from dextr_vos.propagation.keyframes import AnnotatedClip, FramePrediction, OnFrameDone, SpanPart
from dextr_vos.propagation.model import Model, Propagator
from dextr_vos.propagation.recipes import LITE_CONFIG, PAPER_CONFIG, SAM2_CONFIG, ModelConfig, config_named
from dextr_vos.propagation.sam2 import NothingToLearn, Sam2Network, Sam2Propagator
from dextr_vos.propagation.settings import Recipe, TrackingSettings
from dextr_vos.propagation.tracker import SequenceSegmenter, Tracker
from dextr_vos.propagation.training_data import Sample, network_size
from dextr_vos.runtime import autocast, bf16_is_faster

Preprocess = Callable[[npt.NDArray[np.uint8]], Tensor]
# learning rates of the lite model, for a trained tracker and for one that is not; how a tracker tells an
# object from others like it is in its attention, and learning a keyframe by heart would undo that
_RATE, _RATE_OF_ATTENTION, _RATE_UNTRAINED = 3e-4, 1.5e-4, 2e-3
# the parts that draw outlines: convolutions from stride 8 on, and the weights of their last sum
_PIXELS = tuple(f"decoder.{part}" for part in ("refine_", "to_", "add_", "detail", "weights"))


class FrameSegmenter:
    """Soft masks of frames, each on its own.

    Args:
        network: in evaluation mode, on `device`; frames in, list of logits N×K×h×w out, the final one last.
        preprocess: N×H×W×3 uint8 RGB to the network's input.
        longest_side: longest side of the frame that enters the network, in pixels; None keeps its size.
        device: where to compute.
        bf16: compute in bf16 where that is faster.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocess: Preprocess,
        longest_side: int | None,
        device: torch.device,
        bf16: bool,
    ) -> None:
        self._network, self._preprocess, self._longest_side = network, preprocess, longest_side
        self._device, self._bf16 = device, bf16

    @torch.inference_mode()
    def segment(self, image_rgb: ImageRgb) -> FloatArray:
        """Soft masks of one frame, K×H×W float32 in [0, 1].

        Args:
            image_rgb: H×W×3 uint8.
        """
        size_hw = (image_rgb.shape[0], image_rgb.shape[1])
        height, width = network_size(size_hw, self._longest_side)
        small = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA)
        with autocast(self._device, self._bf16):
            logits = self._network(self._preprocess(small[None]).to(self._device))[-1].float()
        if (height, width) != size_hw:
            logits = nn.functional.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)
        probs: FloatArray = torch.sigmoid(logits[0]).float().cpu().numpy()
        return probs


class SingleFramePropagator:
    """The frames of a clip's spans, each segmented on its own.

    Args:
        annotated: the clip and its keyframes.
        segmenter: of single frames.
    """

    def __init__(self, annotated: AnnotatedClip, segmenter: FrameSegmenter) -> None:
        self._annotated, self._segmenter = annotated, segmenter
        self._certain = np.ones(len(annotated.object_ids), np.float32)

    def steps(self, part: SpanPart) -> int:
        """Each frame wanted is segmented once, and no other."""
        return part.end + 1 - part.begin

    def propagate(
        self, part: SpanPart, on_step: OnFrameDone, on_known: OnFrameDone = lambda: None
    ) -> Iterator[FramePrediction]:
        """The frames of a part in order; `on_step` is called after each."""
        for index in range(part.begin, part.end + 1):
            yield self.repeat(index)
            on_step()

    def repeat(self, index: int) -> FramePrediction:
        """The prediction for any frame; keyframes are frames like others here."""
        image = self._annotated.read(index)
        return FramePrediction(index, image, self._segmenter.segment(image), self._certain)

    def memory(self) -> Memory | None:
        """Such a network has no memory."""
        return None

    def forget(self) -> None:
        """Nothing is kept."""

    def segment_once(self, index: int) -> None:
        """Segment a frame, for timing."""
        self.repeat(index)


class LiteModel(Model):
    """The small network that tracks objects from frame to frame; its parent is shipped."""

    def build(self, num_objects: int) -> nn.Module:
        """A `LiteTracker`, which takes any number of objects."""
        return LiteTracker()

    def load_parent(self, network: nn.Module, parent: Path, num_objects: int) -> None:
        """Load a tracker, a fine-tuned one too, or what a network for clicks shares with one."""
        # a fine-tuned network is saved with its memory
        state = {
            key: tensor
            for key, tensor in read_state_dict(parent).items()
            if not key.startswith(MEMORY_PREFIX)
        }
        tracker = cast(LiteTracker, network)
        tracker.pretrained = not is_lite_clicks(state)
        load_into(network, state if tracker.pretrained else state_from_click_network(tracker, state), parent)

    def load_trained(self, network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
        """See `Model.load_trained`; it goes on with small steps."""
        super().load_trained(network, state, path)
        cast(LiteTracker, network).pretrained = True

    def optimizer(self, network: nn.Module) -> Optimizer:
        """AdamW; with small steps where a parent would be forgotten, and smaller ones for its attention."""
        learning = {name: each for name, each in network.named_parameters() if each.requires_grad}
        if not cast(LiteTracker, network).pretrained:
            return QuickAdamW([(learning.values(), _RATE_UNTRAINED)], weight_decay=1e-4)
        pixels = [each for name, each in learning.items() if name.startswith(_PIXELS)]
        rest = [each for name, each in learning.items() if not name.startswith(_PIXELS)]
        return QuickAdamW([(pixels, _RATE), (rest, _RATE_OF_ATTENTION)], weight_decay=1e-4)

    def batch_source(
        self, recipe: Recipe, samples: Sequence[Sample], object_ids: Sequence[int], seed: int
    ) -> BatchSource:
        """Pairs of frames made of the keyframes; from a pool where the encoder is frozen."""
        if recipe.pool:
            return PoolBatches(recipe, samples, object_ids, seed, self.bf16)
        return PairBatches(recipe, samples, object_ids, seed)

    def sample_side(self, recipe: Recipe) -> int | None:
        """Samples have the size at which masks are propagated."""
        return recipe.tracking.longest_side

    def propagator(
        self, network: nn.Module, recipe: Recipe, annotated: AnnotatedClip, device: torch.device, folder: Path
    ) -> Propagator:
        """See `BidirectionalPropagator`."""
        size_hw = network_size(annotated.size_hw, recipe.tracking.longest_side)
        tracker = self.tracker(network, recipe.tracking, recipe.longest_side, device)
        return BidirectionalPropagator(annotated, size_hw, tracker, recipe.tracking, folder)

    def tracker(
        self, network: nn.Module, tracking: TrackingSettings, longest_side: int | None, device: torch.device
    ) -> Tracker:
        """The tracker of a network, see `Tracker`."""
        side = longest_side or tracking.longest_side
        return Tracker(cast(LiteTracker, network), device, self.bf16, tracking.crops, side)

    def sequence_segmenter(
        self,
        network: nn.Module,
        recipe: Recipe,
        memory: Memory | None,
        num_objects: int,
        size_hw: tuple[int, int],
        device: torch.device,
    ) -> Callable[[ImageRgb], FloatArray]:
        """See `SequenceSegmenter`.

        Raises:
            WeightsError: the network was saved without its memory.
        """
        if memory is None:
            raise WeightsError(
                "the network was saved without its memory of keyframes; run dextr-vos propagate again"
            )
        known = memory.to(device)
        tracker = self.tracker(network, recipe.tracking, recipe.longest_side, device)
        small_hw = network_size(size_hw, recipe.tracking.longest_side)
        memories = (known,) * len(recipe.tracking.crops.margins)
        return SequenceSegmenter(tracker, memories, small_hw, num_objects).segment

    def memory_format(self, device: torch.device) -> torch.memory_format:
        """Channels last, which is faster everywhere."""
        return torch.channels_last

    def any_objects(self) -> bool:
        """Objects share all weights."""
        return True


class PaperModel(Model):
    """OSVOS (Caelles et al., CVPR 2017): VGG-16 on single frames; its parent is the published network."""

    def build(self, num_objects: int) -> nn.Module:
        """An `Osvos` with K outputs."""
        return osvos.Osvos(num_objects)

    def load_parent(self, network: nn.Module, parent: Path, num_objects: int) -> None:
        """Load a parent network, or VGG-16 of ImageNet: torchvision's (`.pth`) or `vgg_caffe.mat`."""
        paper_network = cast(osvos.Osvos, network)
        if parent.suffix == ".mat":
            load_caffe_vgg(paper_network, parent)
            return
        state = read_state_dict(parent)
        if any(key.startswith("features.") for key in state):
            load_torchvision_vgg(paper_network, state)
        else:
            load_into(network, repeat_objects(state, num_objects), parent)

    def optimizer(self, network: nn.Module) -> Optimizer:
        """That of the published online training."""
        return osvos.online_optimizer(cast(osvos.Osvos, network))

    def batch_source(
        self, recipe: Recipe, samples: Sequence[Sample], object_ids: Sequence[int], seed: int
    ) -> BatchSource:
        """Randomly changed keyframes."""
        return FrameBatches(recipe, samples, object_ids, seed)

    def sample_side(self, recipe: Recipe) -> int | None:
        """Samples are the network's input."""
        return recipe.longest_side

    def propagator(
        self, network: nn.Module, recipe: Recipe, annotated: AnnotatedClip, device: torch.device, folder: Path
    ) -> Propagator:
        """See `SingleFramePropagator`."""
        return SingleFramePropagator(annotated, self.segmenter(network, recipe.longest_side, device))

    def segmenter(self, network: nn.Module, longest_side: int | None, device: torch.device) -> FrameSegmenter:
        """The segmenter of single frames, see `FrameSegmenter`."""
        return FrameSegmenter(network, osvos.osvos_input, longest_side, device, self.bf16)

    def sequence_segmenter(
        self,
        network: nn.Module,
        recipe: Recipe,
        memory: Memory | None,
        num_objects: int,
        size_hw: tuple[int, int],
        device: torch.device,
    ) -> Callable[[ImageRgb], FloatArray]:
        """See `FrameSegmenter`."""
        return self.segmenter(network, recipe.longest_side, device).segment

    def memory_format(self, device: torch.device) -> torch.memory_format:
        """PyTorch's default on a CPU that computes in fp32, else channels last.

        On AVX2 a pass takes 27 s so, and 43 s with channels last, whose backward convolutions are slow there.
        """
        plain = device.type == "cpu" and not bf16_is_faster(device)
        return torch.contiguous_format if plain else torch.channels_last


class Sam2Model(Model):
    """SAM 2 or 2.1 of any published size, by its checkpoint."""

    def build(self, num_objects: int) -> nn.Module:
        """A network without its weights, which tell its size."""
        return Sam2Network()

    def start(self, num_objects: int, seed: int, parent: Path | None) -> nn.Module:
        """See `Model.start`.

        Raises:
            InputError: there is no checkpoint.
            WeightsError: it does not fit.
        """
        if parent is None:
            raise InputError(
                "the model sam2 is not fine-tuned, and needs a published checkpoint as its parent"
            )
        return super().start(num_objects, seed, parent)

    def load_parent(self, network: nn.Module, parent: Path, num_objects: int) -> None:
        """Load a published checkpoint."""
        cast(Sam2Network, network).load(parent)

    def load_trained(self, network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
        """Load the checkpoint that a run was made with."""
        cast(Sam2Network, network).load_of_run(state, path)

    def optimizer(self, network: nn.Module) -> Optimizer:
        """An optimizer of nothing."""
        return torch.optim.SGD([{"params": []}], lr=0.0)

    def batch_source(
        self, recipe: Recipe, samples: Sequence[Sample], object_ids: Sequence[int], seed: int
    ) -> BatchSource:
        """There is nothing to learn."""
        return NothingToLearn()

    def sample_side(self, recipe: Recipe) -> int | None:
        """Samples are not used."""
        return None

    def propagator(
        self, network: nn.Module, recipe: Recipe, annotated: AnnotatedClip, device: torch.device, folder: Path
    ) -> Propagator:
        """See `Sam2Propagator`."""
        sam2 = cast(Sam2Network, network).on(device)
        return Sam2Propagator(annotated, sam2, device, self.bf16, recipe.tracking.across_cuts, folder)

    def sequence_segmenter(
        self,
        network: nn.Module,
        recipe: Recipe,
        memory: Memory | None,
        num_objects: int,
        size_hw: tuple[int, int],
        device: torch.device,
    ) -> Callable[[ImageRgb], FloatArray]:
        """Refused: the objects are known by the keyframes of their clip only.

        Raises:
            InputError: always.
        """
        raise InputError(
            "the model sam2 finds objects in the clip of its keyframes only; run dextr-vos propagate on the "
            "other clip, with a keyframe of its own"
        )

    def memory_format(self, device: torch.device) -> torch.memory_format:
        """PyTorch's default."""
        return torch.contiguous_format

    def any_objects(self) -> bool:
        """Objects share all weights."""
        return True


LITE = LiteModel(**vars(LITE_CONFIG))
PAPER = PaperModel(**vars(PAPER_CONFIG))
SAM2 = Sam2Model(**vars(SAM2_CONFIG))

MODELS_BY_NAME: dict[str, Model] = {model.name: model for model in (LITE, PAPER, SAM2)}


def model_named(name: str) -> Model:
    """The model called `name`.

    Raises:
        InputError: there is none.
    """
    return MODELS_BY_NAME[config_named(name).name]


def model_of(config: ModelConfig) -> Model:
    """The model of a configuration, with its recipe."""
    return config if isinstance(config, Model) else replace(model_named(config.name), **vars(config))
