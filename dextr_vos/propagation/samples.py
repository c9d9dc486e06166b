"""Training samples of a clip: its keyframes at the network's size, changed at random, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dextr_vos.datasets.augment import augment
from dextr_vos.frames import Clip
from dextr_vos.geometry import fit_longest_side
from dextr_vos.masks import VOID, Labels
from dextr_vos.pictures import ImageRgb
from dextr_vos.propagation.keyframes import Keyframe
from dextr_vos.propagation.recipe import Recipe
from dextr_vos.propagation.tiers import Tier

# Below this there is nothing to learn, and OpenCV's mirrored borders never end on a single row.
SHORTEST_SIDE = 16


@dataclass(frozen=True)
class Sample:
    """A keyframe as the network sees it.

    Attributes:
        image_rgb: h×w×3 uint8, the frame made smaller to the recipe's longest side.
        labels: h×w uint8, likewise.
    """

    image_rgb: ImageRgb
    labels: Labels


@dataclass(frozen=True)
class Batch:
    """What one pass learns from.

    Attributes:
        inputs: what the lessons that drew it give the network, see `Lessons.scores`.
        targets: N×K×h×w float32, 1 on object k.
        void: N×1×h×w bool, where pixels count neither way.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    void: Tensor


def network_size(size_hw: tuple[int, int], longest_side: int | None) -> tuple[int, int]:
    """Size at which frames enter the network."""
    if longest_side is None:
        return size_hw
    height, width = fit_longest_side(size_hw, longest_side)
    return max(SHORTEST_SIDE, height), max(SHORTEST_SIDE, width)


def read_samples(clip: Clip, keyframes: Sequence[Keyframe], longest_side: int | None) -> list[Sample]:
    """The keyframes' pictures and labels at the network's size, one sample a keyframe."""
    height, width = network_size(clip.size_hw, longest_side)
    samples = []
    for keyframe in keyframes:
        image = cv2.resize(clip.read(keyframe.index), (width, height), interpolation=cv2.INTER_AREA)
        # plain INTER_NEAREST takes the upper left pixel of those it replaces, which shifts the mask
        labels = cv2.resize(keyframe.labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        samples.append(Sample(image, labels))
    return samples


def draw_batch(
    samples: Sequence[Sample], numbers: Sequence[int], tier: Tier, recipe: Recipe, pass_number: int, seed: int
) -> Batch:
    """The batch of a pass; it depends on the seed and the pass number alone, so training can go on anywhere.

    Keyframes take turns: each is used once before any is used again.

    Args:
        samples: one a keyframe.
        numbers: object numbers, one a channel.
        tier: prepares the pictures.
        recipe: batch size and augmentation.
        pass_number: counted from 0 over the whole training.
        seed: of the run.
    """
    images, labels = [], []
    for position in range(pass_number * recipe.batch, (pass_number + 1) * recipe.batch):
        turn, place = divmod(position, len(samples))
        order = np.random.default_rng((seed, 0, turn)).permutation(len(samples))
        sample = samples[order[place]]
        rng = np.random.default_rng((seed, 1, position))
        image, moved = augment(sample.image_rgb, sample.labels, recipe.augmentation, rng)
        images.append(image)
        labels.append(moved)
    stacked = torch.from_numpy(np.stack(labels))[:, None]  # N×1×h×w
    targets = torch.cat([stacked == number for number in numbers], dim=1).float()
    return Batch((tier.prepare(np.stack(images)),), targets, stacked == VOID)
