"""Training samples of a clip: its keyframes at the network's size, changed at random, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from dextr_vos.clip import Clip
from dextr_vos.datasets.augment import augment
from dextr_vos.datasets.frame_pairs import SceneRecipe, crop_around_object, draw_scene, pair_sample
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Frame, draw_frames
from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb
from dextr_vos.masks import VOID, Labels
from dextr_vos.propagation.keyframes import Keyframe
from dextr_vos.propagation.models import Model, network_size
from dextr_vos.propagation.settings import Recipe


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
        inputs: what the lessons that drew it give the network, see `BatchSource.scores`.
        targets: N×K×h×w float32, 1 on object k.
        void: N×1×h×w bool, where pixels count neither way.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    void: Tensor


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
    samples: Sequence[Sample],
    numbers: Sequence[int],
    model: Model,
    recipe: Recipe,
    pass_number: int,
    seed: int,
) -> Batch:
    """The batch of a pass; it depends on the seed and the pass number alone, so training can go on anywhere.

    Keyframes take turns: each is used once before any is used again.

    Args:
        samples: one a keyframe.
        numbers: object numbers, one a channel.
        model: prepares the pictures.
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
    return Batch((model.prepare(np.stack(images)),), targets, stacked == VOID)


_INPAINT_PX = 5.0


class LucidPairs:
    """Pairs of frames by their number; each depends on the seed and the number alone.

    Args:
        samples: the keyframes at the network's size.
        numbers: object numbers.
        scene: how frames are made.
        corruption: how wrong guides are.
        seed: of all that is random.
        real: share of the pairs that are two real keyframes, where there are several.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        numbers: Sequence[int],
        scene: SceneRecipe,
        corruption: MaskCorruption,
        seed: int,
        real: float = 0.5,
    ) -> None:
        self._samples, self._scene, self._corruption, self._seed, self._real = (
            samples,
            scene,
            corruption,
            seed,
            real,
        )
        self._examples = {
            (place, number): example
            for place, sample in enumerate(samples)
            for number in numbers
            if (example := _example(sample, number)) is not None
        }
        if not self._examples:
            height, width = samples[0].labels.shape
            raise InputError(
                f"the objects of the keyframes are too small: no pixel of them is left at {width}×{height}; "
                "annotate frames in which they are larger"
            )
        self._grounds = [_background(sample) for sample in samples]
        self._several = len({number for _, number in self._examples}) > 1

    @property
    def places(self) -> int:
        """Objects of keyframes, which take turns."""
        return len(self._examples)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """See `pair_sample`."""
        rng = np.random.default_rng((self._seed, position))
        return pair_sample(*self._frames(position, rng), self._corruption, rng)

    def frames(self, position: int) -> tuple[Frame, Frame]:
        """The two frames of a pair, in no order."""
        return self._frames(position, np.random.default_rng((self._seed, position)))

    def _frames(self, position: int, rng: np.random.Generator) -> tuple[Frame, Frame]:
        # objects and keyframes take turns
        places = sorted(self._examples)
        place, number = places[position % len(places)]
        example = self._examples[place, number]
        scene = self._scene
        others = [each for each in range(len(self._samples)) if each != place]
        if others and rng.random() < self._real:
            other = int(rng.choice(others))
            first = self._still(self._examples.get((other, number)), other, scene, rng)
            second = self._still(example, place, scene, rng)
            return first, second
        scene = replace(
            scene,
            others=0.3 if self._several else 0.0,
            merge=scene.merge if self._several else 0.0,
            twin=0.0,
        )
        ground, sprites = draw_scene(
            example,
            lambda rng: self._other(place, number, rng),
            scene,
            rng,
            lambda _: replace(example, image_rgb=self._grounds[place]),
        )
        return draw_frames(ground, sprites, scene.motion, rng)

    def _other(self, place: int, number: int, rng: np.random.Generator) -> Example:
        rest = [key for key in self._examples if key[1] != number]
        return self._examples[rest[int(rng.integers(len(rest)))]]

    def _still(
        self, example: Example | None, place: int, scene: SceneRecipe, rng: np.random.Generator
    ) -> Frame:
        """A keyframe from a little nearer or farther; whole, and without object, where `example` is None."""
        if example is None:
            height, width = scene.size_hw
            image = cv2.resize(self._samples[place].image_rgb, (width, height), interpolation=cv2.INTER_AREA)
            labels = cv2.resize(
                self._samples[place].labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT
            )
            nothing = np.zeros((height, width), dtype=bool)
            return Frame(np.asarray(image, np.uint8), nothing, labels == VOID, nothing)
        layer = crop_around_object(example, scene, rng)
        return Frame(layer.image_rgb, layer.mask, layer.void, np.zeros_like(layer.mask))


def stack(samples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of samples."""
    return {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}


def _example(sample: Sample, number: int) -> Example | None:
    mask = sample.labels == number
    if not mask.any():
        return None
    return Example(
        ObjectRef("", number, "object", int(mask.sum())), sample.image_rgb, mask, sample.labels == VOID
    )


def _background(sample: Sample) -> ImageRgb:
    """The frame with its objects painted over."""
    hole = cv2.dilate((sample.labels > 0).astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.asarray(cv2.inpaint(sample.image_rgb, hole, _INPAINT_PX, cv2.INPAINT_TELEA), dtype=np.uint8)
