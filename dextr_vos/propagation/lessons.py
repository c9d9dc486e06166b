"""What a network is taught on a clip, pass by pass: changed keyframes, or pairs of frames made of them."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from dextr_vos.datasets.guide import Wear
from dextr_vos.datasets.scene import Scene
from dextr_vos.networks.losses import class_balanced_bce, plain_bce, soft_iou_loss
from dextr_vos.propagation.lucid import Dreams, stack
from dextr_vos.propagation.samples import Batch, Sample, draw_batch
from dextr_vos.propagation.tiers import Recipe, Tier


class Lessons(Protocol):
    """Batches by the number of the pass, and their loss."""

    def draw(self, pass_number: int) -> Batch:
        """The batch of a pass, counted from 0 over the whole training; it follows from the number alone."""
        ...

    def loss(self, scores: Sequence[Tensor], batch: Batch) -> Tensor:
        """Scalar; `scores` are the network's, the last one the final score."""
        ...


def lessons_of(
    tier: Tier, recipe: Recipe, samples: Sequence[Sample], numbers: Sequence[int], seed: int
) -> Lessons:
    """The lessons that suit a tier.

    Args:
        tier: kind of network.
        recipe: how it is trained.
        samples: one a keyframe.
        numbers: object numbers.
        seed: of all that is random.
    """
    return (PairLessons if tier.follows else FrameLessons)(tier, recipe, samples, numbers, seed)


class FrameLessons:
    """Keyframes changed at random, class-balanced loss (OSVOS). Arguments as `lessons_of`."""

    def __init__(
        self, tier: Tier, recipe: Recipe, samples: Sequence[Sample], numbers: Sequence[int], seed: int
    ) -> None:
        self._tier, self._recipe, self._seed = tier, recipe, seed
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
        return class_balanced_bce(score, targets, void, self._recipe.average, self._absent_weight)


class PairLessons:
    """Pairs of frames, plain loss and soft overlap. Arguments as `lessons_of`."""

    def __init__(
        self, tier: Tier, recipe: Recipe, samples: Sequence[Sample], numbers: Sequence[int], seed: int
    ) -> None:
        self._tier, self._recipe = tier, recipe
        self._dreams = Dreams(samples, numbers, recipe.scene or Scene(), recipe.wear or Wear(), seed)

    def draw(self, pass_number: int) -> Batch:
        """Frames, guides, known frames and their masks; one object each."""
        first = pass_number * self._recipe.batch
        drawn = stack([self._dreams[position] for position in range(first, first + self._recipe.batch)])
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
