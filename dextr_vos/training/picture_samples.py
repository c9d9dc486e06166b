"""Training samples of the OSVOS parent: whole pictures in which every object is foreground."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dextr_vos.datasets.augment import Augmentation, augment
from dextr_vos.datasets.compose import Layer
from dextr_vos.datasets.objects import JoinedObjects, ObjectSet
from dextr_vos.masks import VOID
from dextr_vos.training.order import SampleOrder


class Pictures:
    """The pictures of sets of objects, one set after the other, each with the union of its objects.

    Args:
        sets: a picture that two of them have counts twice.
    """

    def __init__(self, sets: Sequence[ObjectSet]) -> None:
        self._objects = JoinedObjects(sets)
        by_picture: dict[tuple[int, str], list[int]] = defaultdict(list)
        places = [(number, ref.picture) for number, part in enumerate(sets) for ref in part.refs]
        for index, place in enumerate(places):
            by_picture[place].append(index)
        self._indices = list(by_picture.values())
        self.counts = [sum(number == place[0] for place in by_picture) for number in range(len(sets))]

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, number: int) -> Layer:
        """A picture with all its objects as one mask."""
        examples = [self._objects.read(index) for index in self._indices[number]]
        mask = np.logical_or.reduce([example.mask for example in examples])
        return Layer(examples[0].image_rgb, mask, examples[0].void & ~mask)


class PictureSamples(Dataset[dict[str, Tensor]]):
    """Samples by their position in the run; a pure function of the seed and the position.

    Args:
        pictures: of all sets.
        order: which picture comes where.
        seed: of all that is random.
        augmentation: None leaves pictures as they are.
    """

    def __init__(
        self,
        pictures: Pictures,
        order: SampleOrder,
        seed: int,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._pictures, self._order, self._seed = pictures, order, seed
        self._augmentation = augmentation

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """The sample at a position.

        Returns:
            "image" H×W×3 uint8; "target" and "void" 1×H×W bool.
        """
        rng = np.random.default_rng((self._seed, position))
        layer = self._pictures.read(self._order.at(position))
        if self._augmentation is not None:
            layer = _augmented(layer, self._augmentation, rng)
        return {
            "image": torch.from_numpy(layer.image_rgb.copy()),
            "target": torch.from_numpy(layer.mask)[None],
            "void": torch.from_numpy(layer.void)[None],
        }


def _augmented(layer: Layer, augmentation: Augmentation, rng: np.random.Generator) -> Layer:
    labels = layer.mask.astype(np.uint8)
    labels[layer.void] = VOID
    image_rgb, changed = augment(layer.image_rgb, labels, augmentation, rng)
    return Layer(image_rgb, changed == 1, changed == VOID)
