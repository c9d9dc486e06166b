"""Batches for fine-tuning on one clip, and their loss: augmented keyframes, or pairs made of them."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.datasets.frame_pairs import SceneRecipe, known_and_target, pair_masks
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Frame
from dextr_vos.errors import Interrupted
from dextr_vos.geometry import fit_longest_side
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.lite_tracker import LiteTracker, lite_input
from dextr_vos.networks.losses import class_balanced_bce, plain_bce, soft_iou_loss
from dextr_vos.networks.osvos import osvos_input
from dextr_vos.networks.tiny_vit import fold_constants
from dextr_vos.propagation.settings import Recipe
from dextr_vos.propagation.training_data import ClipBatch, LucidPairs, Sample, augmented_batch, stack
from dextr_vos.runtime import autocast, cast_weights

_PAIRS_BETWEEN_STOPS = 8  # about a second on a slow machine
_COARSEST_STRIDE = 16  # of the encoder's maps


OnPair = Callable[[int, int], None]


class BatchSource(Protocol):
    """Batches by their position in the training, and their loss."""

    def prepare(
        self,
        network: nn.Module,
        device: torch.device,
        stop_asked: StopAsked = never,
        on_pair: OnPair = lambda done, total: None,
    ) -> None:
        """Compute what training does not change, before logits are asked for.

        Args:
            network: the one to be trained, or a copy, on `device`; always the same one.
            device: where to compute.
            stop_asked: asked now and then.
            on_pair: called with pairs of frames done and in all, where there are any; may raise to stop.

        Raises:
            Interrupted: a stop was asked for.
        """
        ...

    def batch(self, index: int) -> ClipBatch:
        """The batch at an index, counted from 0 over the whole training; it depends on the index alone."""
        ...

    def logits(self, network: nn.Module, batch: ClipBatch, device: torch.device) -> list[Tensor]:
        """The network's logits of a batch, N×K×h×w each, the final output last."""
        ...

    def loss(self, logits: Sequence[Tensor], batch: ClipBatch) -> Tensor:
        """Scalar loss of the network's logits, the final output last."""
        ...


class FrameBatches:
    """Randomly changed keyframes and the class-balanced loss of OSVOS (Caelles et al., CVPR 2017).

    Args:
        recipe: batch size, augmentation and loss.
        samples: one a keyframe.
        object_ids: one a channel.
        seed: of all that is random.
    """

    def __init__(
        self, recipe: Recipe, samples: Sequence[Sample], object_ids: Sequence[int], seed: int
    ) -> None:
        self._recipe, self._seed = recipe, seed
        self._samples, self._object_ids = samples, object_ids
        self._absent_weight = _typical_share(samples, object_ids)

    def batch(self, index: int) -> ClipBatch:
        """See `augmented_batch`."""
        positions = _positions(index, self._recipe.batch)
        images, targets, void = augmented_batch(
            self._samples, self._object_ids, self._recipe.augmentation, positions, self._seed
        )
        return ClipBatch((osvos_input(images),), targets, void)

    def prepare(
        self,
        network: nn.Module,
        device: torch.device,
        stop_asked: StopAsked = never,
        on_pair: OnPair = lambda done, total: None,
    ) -> None:
        """There is nothing to compute."""

    def logits(self, network: nn.Module, batch: ClipBatch, device: torch.device) -> list[Tensor]:
        """See `BatchSource.logits`."""
        logits: list[Tensor] = network(*(tensor.to(device) for tensor in batch.inputs))
        return logits

    def loss(self, logits: Sequence[Tensor], batch: ClipBatch) -> Tensor:
        """That of the final output."""
        output = logits[-1]
        targets, void = batch.targets.to(output.device), batch.void.to(output.device)
        return class_balanced_bce(output.float(), targets, void, self._recipe.average, self._absent_weight)


class PairBatches:
    """Pairs of frames, binary cross-entropy and soft IoU loss.

    Args:
        recipe: batch size, scene, corruption of guides and loss.
        samples: one a keyframe.
        object_ids: one a channel.
        seed: of all that is random.
    """

    def __init__(
        self, recipe: Recipe, samples: Sequence[Sample], object_ids: Sequence[int], seed: int
    ) -> None:
        self._corruption = recipe.mask_corruption or MaskCorruption()
        scene = _within(recipe.scene or SceneRecipe(), recipe.longest_side)
        self._pairs = LucidPairs(samples, object_ids, scene, self._corruption, seed)
        # pairs of one mask are so alike that a second one in a step teaches little
        self._batch = min(recipe.batch, self._pairs.places)

    def prepare(
        self,
        network: nn.Module,
        device: torch.device,
        stop_asked: StopAsked = never,
        on_pair: OnPair = lambda done, total: None,
    ) -> None:
        """There is nothing to compute."""

    def logits(self, network: nn.Module, batch: ClipBatch, device: torch.device) -> list[Tensor]:
        """See `BatchSource.logits`."""
        frames, guides, known, masks = (tensor.to(device) for tensor in batch.inputs)
        tracker = cast(LiteTracker, network)
        maps = tracker.encoder(torch.cat([frames, known]).contiguous(memory_format=torch.channels_last))
        count = len(frames)
        first, second = [each[:count] for each in maps], [each[count:] for each in maps]
        return [tracker.decode_pairs(first, guides, second, masks)]

    def batch(self, index: int) -> ClipBatch:
        """Frames, guides, known frames and their masks; one object each."""
        stacked = stack([self._pairs[position] for position in _positions(index, self._batch)])
        frames, known = (lite_input(np.asarray(stacked[key])) for key in ("image", "known"))
        inputs = frames, stacked["guide"], known, stacked["known_mask"].float()
        return ClipBatch(inputs, stacked["target"].float(), stacked["void"])

    def loss(self, logits: Sequence[Tensor], batch: ClipBatch) -> Tensor:
        """See `BatchSource.loss`."""
        output = logits[-1].float()
        targets, void = batch.targets.to(output.device), batch.void.to(output.device)
        return plain_bce(output, targets, void, "size") + soft_iou_loss(output, targets, void)


class PoolBatches(PairBatches):
    """Pairs of frames rendered and encoded once, for a network whose encoder is frozen.

    Args:
        recipe: as for `PairBatches`, and the size of the pool.
        samples: one a keyframe.
        object_ids: one a channel.
        seed: of all that is random.
        bf16: encode in bf16 where that is faster.
    """

    def __init__(
        self, recipe: Recipe, samples: Sequence[Sample], object_ids: Sequence[int], seed: int, bf16: bool
    ) -> None:
        super().__init__(recipe, samples, object_ids, seed)
        self._seed, self._bf16 = seed, bf16
        places, needed = self._pairs.places, recipe.max_steps * self._batch
        # every keyframe's object as often as the others
        self._count = min(max(1, needed), places * -(-recipe.pool // places))
        self._pool: list[tuple[Frame, Frame]] = []
        self._maps: list[tuple[list[Tensor], list[Tensor]]] = []

    @torch.no_grad()
    def prepare(
        self,
        network: nn.Module,
        device: torch.device,
        stop_asked: StopAsked = never,
        on_pair: OnPair = lambda done, total: None,
    ) -> None:
        """Render and encode the pool; what was encoded before is not encoded again."""
        if len(self._maps) == self._count:
            return
        encoder = copy.deepcopy(cast(LiteTracker, network).encoder)
        fold_constants(encoder)
        cast_weights(encoder, device, self._bf16)
        for place in range(len(self._maps), self._count):
            if place % _PAIRS_BETWEEN_STOPS == _PAIRS_BETWEEN_STOPS - 1 and stop_asked():
                raise Interrupted("stopped before the first step; the same command starts again")
            frames = lite_input(np.stack([frame.image_rgb for frame in self._pair(place)])).to(device)
            with autocast(device, self._bf16):
                maps = encoder(frames.contiguous(memory_format=torch.channels_last))
            self._maps.append(([each[:1] for each in maps], [each[1:] for each in maps]))
            on_pair(place + 1, self._count)

    def _pair(self, place: int) -> tuple[Frame, Frame]:
        """The frames of a pair, rendered once."""
        while len(self._pool) <= place:
            self._pool.append(self._pairs.frames(len(self._pool)))
        return self._pool[place]

    def batch(self, index: int) -> ClipBatch:
        """Guides, masks of known frames, and the places of frames and known frames in the pool."""
        masks, places = [], []
        for position in _positions(index, self._batch):
            rng = np.random.default_rng((self._seed, position, 1))
            place = position % self._count
            first, second = self._pair(place)
            known, target = known_and_target(first, second, rng)
            places.append((place, int(target is second), int(known is second)))
            masks.append(pair_masks(known, target, self._corruption, rng))
        stacked = stack(masks)
        inputs = stacked["guide"], stacked["known_mask"].float(), torch.tensor(places)
        return ClipBatch(inputs, stacked["target"].float(), stacked["void"])

    def logits(self, network: nn.Module, batch: ClipBatch, device: torch.device) -> list[Tensor]:
        """See `BatchSource.logits`."""
        guides, masks, places = batch.inputs
        frames = _joined([self._maps[place][target] for place, target, _ in places.tolist()])
        known = _joined([self._maps[place][known] for place, _, known in places.tolist()])
        tracker = cast(LiteTracker, network)
        return [tracker.decode_pairs(frames, guides.to(device), known, masks.to(device))]


def _within(scene: SceneRecipe, longest_side: int | None) -> SceneRecipe:
    """A scene no larger than the frames that enter the network."""
    if longest_side is None:
        return scene
    return replace(scene, size_hw=fit_longest_side(scene.size_hw, longest_side, _COARSEST_STRIDE))


def _joined(frames: Sequence[list[Tensor]]) -> list[Tensor]:
    """The feature maps of several frames as batches, stride by stride."""
    return [torch.cat(maps) for maps in zip(*frames, strict=True)]


def _positions(index: int, batch: int) -> range:
    return range(index * batch, (index + 1) * batch)


def _typical_share(samples: Sequence[Sample], object_ids: Sequence[int]) -> float:
    """Mean share of an image that an object covers where it is present: the weight of images without it."""
    shares = [(sample.labels == object_id).mean() for sample in samples for object_id in object_ids]
    return float(np.mean([share for share in shares if share > 0] or [0]))
