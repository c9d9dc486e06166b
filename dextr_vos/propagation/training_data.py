"""Training samples of a clip: its keyframes, changed at random, or pairs of frames made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dextr_vos.datasets.augment import Augmentation, augment
from dextr_vos.datasets.frame_pairs import SceneRecipe, crop_around_object, draw_scene, pair_sample
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Frame, draw_frames
from dextr_vos.errors import InputError
from dextr_vos.geometry import fit_longest_side
from dextr_vos.images import ImageRgb
from dextr_vos.masks import VOID, Labels
from dextr_vos.propagation.keyframes import SHORTEST_SIDE, AnnotatedClip

_INPAINT_PX = 5.0

ImagesRgb = npt.NDArray[np.uint8]  # N×H×W×3


@dataclass(frozen=True)
class Sample:
    """A keyframe as the network sees it.

    Attributes:
        image_rgb: h×w×3 uint8, the resized frame.
        labels: h×w uint8, likewise.
    """

    image_rgb: ImageRgb
    labels: Labels


@dataclass(frozen=True)
class ClipBatch:
    """What one forward pass learns from.

    Attributes:
        inputs: see `BatchSource.logits`.
        targets: N×K×h×w float32, 1 on object k.
        void: N×1×h×w bool, where pixels count neither way.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    void: Tensor


def network_size(size_hw: tuple[int, int], longest_side: int | None) -> tuple[int, int]:
    """Size at which frames enter the network.

    Args:
        size_hw: height and width of the frame, in pixels.
        longest_side: longest side of the result, in pixels; None leaves the frame as it is.
    """
    if longest_side is None:
        return size_hw
    height, width = fit_longest_side(size_hw, longest_side)
    return max(SHORTEST_SIDE, height), max(SHORTEST_SIDE, width)


def read_samples(annotated: AnnotatedClip, longest_side: int | None) -> list[Sample]:
    """Images and labels of the keyframes, resized, one sample a keyframe.

    Args:
        annotated: the clip and its keyframes.
        longest_side: see `network_size`.

    Raises:
        InputError: a frame cannot be read.
    """
    height, width = network_size(annotated.size_hw, longest_side)
    samples = []
    for keyframe in annotated.keyframes.values():
        image = cv2.resize(annotated.read(keyframe.index), (width, height), interpolation=cv2.INTER_AREA)
        # plain INTER_NEAREST takes the upper left pixel of those it replaces, which shifts the mask
        labels = cv2.resize(keyframe.labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        samples.append(Sample(image, labels))
    return samples


def augmented_batch(
    samples: Sequence[Sample],
    object_ids: Sequence[int],
    augmentation: Augmentation,
    positions: Sequence[int],
    seed: int,
) -> tuple[ImagesRgb, Tensor, Tensor]:
    """Randomly changed keyframes; they depend on the seed and the positions alone, so training can resume.

    Keyframes take turns: each is used once before any is used again.

    Args:
        samples: one a keyframe.
        object_ids: one a channel.
        augmentation: how keyframes are changed.
        positions: of the samples, counted from 0 over the whole training.
        seed: of the run.

    Returns:
        Images N×h×w×3 uint8, targets N×K×h×w float32, void pixels N×1×h×w bool.
    """
    images, labels = [], []
    for position in positions:
        turn, place = divmod(position, len(samples))
        order = np.random.default_rng((seed, 0, turn)).permutation(len(samples))
        sample = samples[order[place]]
        rng = np.random.default_rng((seed, 1, position))
        image, moved = augment(sample.image_rgb, sample.labels, augmentation, rng)
        images.append(image)
        labels.append(moved)
    stacked = torch.from_numpy(np.stack(labels))[:, None]  # N×1×h×w
    targets = torch.cat([stacked == object_id for object_id in object_ids], dim=1).float()
    return np.stack(images), targets, stacked == VOID


class LucidPairs:
    """Pairs of frames rendered from keyframes: their objects moved over their own background.

    After Khoreva et al., "Lucid Data Dreaming for Video Object Segmentation", IJCV 2019. Of several
    keyframes, two real ones also make a pair. A pair depends on the seed and its position alone.

    Args:
        samples: the keyframes at the network's size.
        object_ids: one a channel.
        scene: how frames are made.
        corruption: how wrong guides are.
        seed: of all that is random.
        real: share of the pairs that are two real keyframes, where there are several.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        object_ids: Sequence[int],
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
            (place, object_id): example
            for place, sample in enumerate(samples)
            for object_id in object_ids
            if (example := _example(sample, object_id)) is not None
        }
        if not self._examples:
            height, width = samples[0].labels.shape
            raise InputError(
                f"the objects of the keyframes are too small: no pixel of them is left at {width}×{height}; "
                "annotate frames in which they are larger"
            )
        self._backgrounds: dict[int, ImageRgb] = {}
        self._several = len({object_id for _, object_id in self._examples}) > 1

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
        place, object_id = places[position % len(places)]
        example = self._examples[place, object_id]
        scene = self._scene
        others = [each for each in range(len(self._samples)) if each != place]
        if others and rng.random() < self._real:
            other = int(rng.choice(others))
            first = self._still(self._examples.get((other, object_id)), other, scene, rng)
            second = self._still(example, place, scene, rng)
            return first, second
        scene = replace(
            scene,
            others=0.3 if self._several else 0.0,
            merge=scene.merge if self._several else 0.0,
            twin=0.0,
        )
        background, sprites = draw_scene(
            example,
            lambda rng: self._other(place, object_id, rng),
            scene,
            rng,
            lambda _: replace(example, image_rgb=self._background(place)),
        )
        return draw_frames(background, sprites, scene.motion, rng)

    def _background(self, place: int) -> ImageRgb:
        """The frame of a keyframe with its objects painted over; large ones take a second."""
        if place not in self._backgrounds:
            self._backgrounds[place] = _background(self._samples[place])
        return self._backgrounds[place]

    def _other(self, place: int, object_id: int, rng: np.random.Generator) -> Example:
        rest = [key for key in self._examples if key[1] != object_id]
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


def _example(sample: Sample, object_id: int) -> Example | None:
    mask = sample.labels == object_id
    if not mask.any():
        return None
    return Example(
        ObjectRef("", object_id, "object", int(mask.sum())), sample.image_rgb, mask, sample.labels == VOID
    )


def _background(sample: Sample) -> ImageRgb:
    """The frame with its objects painted over."""
    hole = cv2.dilate((sample.labels > 0).astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.asarray(cv2.inpaint(sample.image_rgb, hole, _INPAINT_PX, cv2.INPAINT_TELEA), dtype=np.uint8)
