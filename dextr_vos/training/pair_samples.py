"""Training samples of the lite propagation network: a frame, a guide, and another frame with its mask."""

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from dextr_vos.datasets.guide import Wear
from dextr_vos.datasets.motion import draw_frames
from dextr_vos.datasets.objects import Example, ObjectSet
from dextr_vos.datasets.pairs import pair_sample
from dextr_vos.datasets.scene import Scene, draw_scene
from dextr_vos.training.order import SampleOrder


class PairSamples(Dataset[dict[str, Tensor]]):
    """Samples by their position in the run; a pure function of the seed and the position.

    Args:
        objects: the sets joined.
        order: which object comes where.
        seed: of all that is random.
        scene: how frames are made of pictures.
        wear: how wrong guides are.
    """

    def __init__(self, objects: ObjectSet, order: SampleOrder, seed: int, scene: Scene, wear: Wear) -> None:
        self._objects, self._order, self._seed = objects, order, seed
        self._scene, self._wear = scene, wear

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """The sample at a position, see `pair_sample`."""
        rng = np.random.default_rng((self._seed, position))
        example = self._objects.read(self._order.at(position))
        ground, sprites = draw_scene(example, self._draw, self._scene, rng)
        return pair_sample(*draw_frames(ground, sprites, self._scene.motion, rng), self._wear, rng)

    def _draw(self, rng: np.random.Generator) -> Example:
        return self._objects.read(self._order.at(int(rng.integers(self._order.epoch_length))))
