"""What a network is taught on a clip, pass by pass: changed keyframes, or pairs of frames made of them."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.datasets.frame_pairs import SceneRecipe, known_and_target, pair_masks
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Frame
from dextr_vos.errors import Interrupted
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.networks.losses import class_balanced_bce, plain_bce, soft_iou_loss
from dextr_vos.propagation.models import Model
from dextr_vos.propagation.settings import Recipe
from dextr_vos.propagation.training_data import Batch, LucidPairs, Sample, draw_batch, stack
from dextr_vos.runtime import autocast

_PAIRS_BETWEEN_STOPS = 8  # about a second on a slow machine


class BatchSource(Protocol):
    """Batches by the number of the pass, and their loss."""

    def begin(self, network: nn.Module, device: torch.device, stop_asked: StopAsked = never) -> None:
        """Do once what training does not change, before scores are asked for.

        Args:
            network: the one to be trained, or a copy, on `device`; always the same one.
            device: where to compute.
            stop_asked: asked now and then.

        Raises:
            Interrupted: a stop was asked for.
        """
        ...

    def draw(self, pass_number: int) -> Batch:
        """The batch of a pass, counted from 0 over the whole training; it follows from the number alone."""
        ...

    def scores(self, network: nn.Module, batch: Batch, device: torch.device) -> list[Tensor]:
        """The network's logits of a batch, the last one the final score."""
        ...

    def loss(self, scores: Sequence[Tensor], batch: Batch) -> Tensor:
        """Scalar; `scores` are the network's, the last one the final score."""
        ...


def batch_source(
    model: Model, recipe: Recipe, samples: Sequence[Sample], numbers: Sequence[int], seed: int
) -> BatchSource:
    """The lessons that suit a model.

    Args:
        model: kind of network.
        recipe: how it is trained.
        samples: one a keyframe.
        numbers: object numbers.
        seed: of all that is random.
    """
    if not model.follows:
        return FrameBatches(model, recipe, samples, numbers, seed)
    return (PoolBatches if recipe.pool else PairBatches)(model, recipe, samples, numbers, seed)


class _Plain:
    """Batches that the network takes as they are."""

    def begin(self, network: nn.Module, device: torch.device, stop_asked: StopAsked = never) -> None:
        """Nothing is to be done."""

    def scores(self, network: nn.Module, batch: Batch, device: torch.device) -> list[Tensor]:
        """See `BatchSource.scores`."""
        scores: list[Tensor] = network(*(tensor.to(device) for tensor in batch.inputs))
        return scores


class FrameBatches(_Plain):
    """Keyframes changed at random, class-balanced loss (OSVOS). Arguments as `batch_source`."""

    def __init__(
        self, model: Model, recipe: Recipe, samples: Sequence[Sample], numbers: Sequence[int], seed: int
    ) -> None:
        self._tier, self._recipe, self._seed = model, recipe, seed
        self._samples, self._numbers = samples, numbers
        self._absent_weight = _typical_share(samples, numbers)

    def draw(self, pass_number: int) -> Batch:
        """See `draw_batch`."""
        return draw_batch(self._samples, self._numbers, self._tier, self._recipe, pass_number, self._seed)

    def loss(self, scores: Sequence[Tensor], batch: Batch) -> Tensor:
        """That of the final score and, if the recipe says so, of the sides."""
        return _weighted(scores, self._recipe.side_weight, lambda score: self._one_loss(score, batch))

    def _one_loss(self, score: Tensor, batch: Batch) -> Tensor:
        targets, void = batch.targets.to(score.device), batch.void.to(score.device)
        return class_balanced_bce(score.float(), targets, void, self._recipe.average, self._absent_weight)


class PairBatches(_Plain):
    """Pairs of frames, plain loss and soft overlap. Arguments as `batch_source`."""

    def __init__(
        self, model: Model, recipe: Recipe, samples: Sequence[Sample], numbers: Sequence[int], seed: int
    ) -> None:
        self._tier, self._recipe, self._corruption = model, recipe, recipe.mask_corruption or MaskCorruption()
        self._dreams = LucidPairs(samples, numbers, recipe.scene or SceneRecipe(), self._corruption, seed)

    def draw(self, pass_number: int) -> Batch:
        """Frames, guides, known frames and their masks; one object each."""
        drawn = stack([self._dreams[position] for position in _positions(pass_number, self._recipe)])
        frames, known = (self._tier.prepare(np.asarray(drawn[key])) for key in ("image", "known"))
        inputs = frames, drawn["guide"], known, drawn["known_mask"].float()
        return Batch(inputs, drawn["target"].float(), drawn["void"])

    def loss(self, scores: Sequence[Tensor], batch: Batch) -> Tensor:
        """That of the final score and of the sides."""
        return _weighted(scores, self._recipe.side_weight, lambda score: self._one_loss(score, batch))

    def _one_loss(self, score: Tensor, batch: Batch) -> Tensor:
        targets, void = batch.targets.to(score.device), batch.void.to(score.device)
        score = score.float()
        return plain_bce(score, targets, void, "size") + soft_iou_loss(score, targets, void)


class PoolBatches(PairBatches):
    """Pairs of frames drawn once, for a network whose encoder learns no more. Arguments as `batch_source`."""

    def __init__(
        self, model: Model, recipe: Recipe, samples: Sequence[Sample], numbers: Sequence[int], seed: int
    ) -> None:
        super().__init__(model, recipe, samples, numbers, seed)
        self._seed = seed
        places, needed = self._dreams.places, recipe.max_steps * recipe.batch
        # every keyframe's object as often as the others
        self._count = min(max(1, needed), places * -(-recipe.pool // places))
        self._maps: list[tuple[list[Tensor], list[Tensor]]] = []

    @cached_property
    def _pairs(self) -> list[tuple[Frame, Frame]]:
        return [self._dreams.frames(position) for position in range(self._count)]

    @torch.no_grad()
    def begin(self, network: nn.Module, device: torch.device, stop_asked: StopAsked = never) -> None:
        """Let the encoder, which learns no more, see the frames; those it has seen are not shown again."""
        assert isinstance(network, LiteTracker)
        for number, pair in enumerate(self._pairs[len(self._maps) :], start=1):
            if number % _PAIRS_BETWEEN_STOPS == 0 and stop_asked():
                raise Interrupted("stopped before the first step; the same command begins again")
            frames = self._tier.prepare(np.stack([frame.image_rgb for frame in pair])).to(device)
            with autocast(device, self._tier.bf16):
                maps = network.encoder(frames.contiguous(memory_format=torch.channels_last))
            self._maps.append(([each[:1] for each in maps], [each[1:] for each in maps]))

    def draw(self, pass_number: int) -> Batch:
        """Guides, masks of known frames, and the places of frames and known frames in the pool."""
        drawn, places = [], []
        for position in _positions(pass_number, self._recipe):
            rng = np.random.default_rng((self._seed, position, 1))
            number = position % len(self._pairs)
            first, second = self._pairs[number]
            known, target = known_and_target(first, second, rng)
            places.append((number, int(target is second), int(known is second)))
            drawn.append(pair_masks(known, target, self._corruption, rng))
        batch = stack(drawn)
        inputs = batch["guide"], batch["known_mask"].float(), torch.tensor(places)
        return Batch(inputs, batch["target"].float(), batch["void"])

    def scores(self, network: nn.Module, batch: Batch, device: torch.device) -> list[Tensor]:
        """See `BatchSource.scores`."""
        assert isinstance(network, LiteTracker)
        guides, masks, places = batch.inputs
        frames = _batched([self._maps[number][target] for number, target, _ in places.tolist()])
        known = _batched([self._maps[number][known] for number, _, known in places.tolist()])
        return network.decode_pairs(frames, guides.to(device), known, masks.to(device))


def _batched(frames: Sequence[list[Tensor]]) -> list[Tensor]:
    """The maps of several frames, stride by stride."""
    return [torch.cat(maps) for maps in zip(*frames, strict=True)]


def _positions(pass_number: int, recipe: Recipe) -> range:
    return range(pass_number * recipe.batch, (pass_number + 1) * recipe.batch)


def _weighted(scores: Sequence[Tensor], side_weight: float, one_loss: Callable[[Tensor], Tensor]) -> Tensor:
    loss = one_loss(scores[-1])
    if side_weight:
        for side in scores[:-1]:
            loss = loss + side_weight * one_loss(side)
    return loss


def _typical_share(samples: Sequence[Sample], numbers: Sequence[int]) -> float:
    """Mean share of a picture that an object covers where it is: what a negative weighs in balanced loss."""
    shares = [(sample.labels == number).mean() for sample in samples for number in numbers]
    return float(np.mean([share for share in shares if share > 0] or [0]))
