from collections.abc import Sequence

import numpy as np
import torch

from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.objects import Example, ObjectRef
from dextr_vos.datasets.scene import Scene
from dextr_vos.training.order import SampleOrder
from dextr_vos.training.scene_samples import Pictures, SceneSamples


class Squares:
    """Two squares a picture, told apart by their number; a void line below."""

    def __init__(self, names: Sequence[str]) -> None:
        self.refs = [ObjectRef(name, number, "square", 100) for name in names for number in (0, 1)]

    def read(self, index: int) -> Example:
        mask = np.zeros((40, 60), dtype=bool)
        left = 5 + 30 * (index % 2)
        mask[10:20, left : left + 10] = True
        void = np.zeros_like(mask)
        void[35] = True
        return Example(self.refs[index], np.full((40, 60, 3), 100, np.uint8), mask, void)


def test_a_picture_is_the_union_of_its_objects() -> None:
    pictures = Pictures([Squares(["a", "b"]), Squares(["a"])])
    assert len(pictures) == 3
    assert pictures.counts == [2, 1]
    layer = pictures.read(1)
    assert layer.mask.sum() == 200
    assert layer.void.sum() == 60
    numbers = {pictures.draw_object(2, np.random.default_rng(seed)).ref.number for seed in range(20)}
    assert numbers == {0, 1}


def test_samples_follow_from_seed_and_position() -> None:
    pictures = Pictures([Squares(["a", "b", "c"])])
    order = SampleOrder(pictures.counts, [1.0], seed=1)
    for kind in ({"scene": Scene(size_hw=(32, 48))}, {"augmentation": Augmentation()}):
        first, again = (SceneSamples(pictures, order, 1, **kind) for _ in range(2))
        for position in (0, 5, 99):
            one, two = first[position], again[position]
            assert all(torch.equal(one[key], two[key]) for key in one)
        size = (32, 48) if "scene" in kind else (40, 60)
        assert one["image"].shape == (*size, 3)
        assert one["image"].dtype == torch.uint8
        assert one["target"].shape == one["void"].shape == (1, *size)
        assert one["target"].dtype == one["void"].dtype == torch.bool


def test_whole_pictures_stay_as_they_are() -> None:
    pictures = Pictures([Squares(["a"])])
    sample = SceneSamples(pictures, SampleOrder([1], [1.0], 0), 0)[3]
    assert np.array_equal(sample["target"][0].numpy(), pictures.read(0).mask)
    assert np.array_equal(sample["void"][0].numpy(), pictures.read(0).void)
