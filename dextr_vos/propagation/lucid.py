"""Training pairs made of a clip's own keyframes: its objects moved over its own background.

After Khoreva et al., "Lucid Data Dreaming for Video Object Segmentation", IJCV 2019. Of several keyframes,
two real ones also make a pair.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from dextr_vos.datasets.guide import Wear
from dextr_vos.datasets.motion import Frame, draw_frames
from dextr_vos.datasets.objects import Example, ObjectRef
from dextr_vos.datasets.pairs import pair_sample
from dextr_vos.datasets.scene import Scene, draw_scene, seen
from dextr_vos.errors import InputError
from dextr_vos.masks import VOID
from dextr_vos.pictures import ImageRgb
from dextr_vos.propagation.samples import Sample

_INPAINT_PX = 5.0


class Dreams:
    """Pairs of frames by their number; each depends on the seed and the number alone.

    Args:
        samples: the keyframes at the network's size.
        numbers: object numbers.
        scene: how frames are made.
        wear: how wrong guides are.
        seed: of all that is random.
        real: share of the pairs that are two real keyframes, where there are several.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        numbers: Sequence[int],
        scene: Scene,
        wear: Wear,
        seed: int,
        real: float = 0.5,
    ) -> None:
        self._samples, self._scene, self._wear, self._seed, self._real = samples, scene, wear, seed, real
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
        return pair_sample(*self._frames(position, rng), self._wear, rng)

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
            unite=scene.unite if self._several else 0.0,
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

    def _still(self, example: Example | None, place: int, scene: Scene, rng: np.random.Generator) -> Frame:
        """A keyframe from a little nearer or farther; whole, and without object, where `example` is None."""
        if example is None:
            height, width = scene.size_hw
            image = cv2.resize(self._samples[place].image_rgb, (width, height), interpolation=cv2.INTER_AREA)
            labels = cv2.resize(
                self._samples[place].labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT
            )
            nothing = np.zeros((height, width), dtype=bool)
            return Frame(np.asarray(image, np.uint8), nothing, labels == VOID, nothing)
        layer = seen(example, scene, rng)
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
