from collections.abc import Sequence

import numpy as np
import torch

from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.training.loader import SampleOrder
from dextr_vos.training.osvos_task import ImageSamples, WholeImages

GREEN = (0, 200, 0)


class Squares:
    """Two green squares an image, distinguished by their ids; a void line below, which is white."""

    def __init__(self, names: Sequence[str]) -> None:
        self.refs = [ObjectRef(name, number, "square", 100) for name in names for number in (0, 1)]

    def read(self, index: int) -> Example:
        image = np.full((40, 60, 3), 100 + index, np.uint8)
        image[10:20, 5:15] = image[10:20, 35:45] = GREEN
        image[35] = 255
        mask, void = np.zeros((40, 60), dtype=bool), np.zeros((40, 60), dtype=bool)
        left = 5 + 30 * (index % 2)
        mask[10:20, left : left + 10] = True
        void[35] = True
        return Example(self.refs[index], image, mask, void)


def test_an_image_is_the_union_of_its_objects() -> None:
    images = WholeImages([Squares(["a", "b"]), Squares(["a"])])
    assert len(images) == 3
    assert images.counts == [2, 1]
    for number in range(3):
        layer = images.read(number)
        assert np.array_equal(layer.mask, (layer.image_rgb == GREEN).all(axis=2))
        assert layer.mask.sum() == 200
        assert layer.void.sum() == 60
        # of its own set and image
        assert layer.image_rgb[0, 0, 0] == 100 + (0, 2, 0)[number]


def test_what_is_void_for_one_object_and_another_object_is_that_object() -> None:
    squares = Squares(["a"])
    first = squares.read(0)
    first.void[10:20, 35:45] = True
    squares.read = lambda index: first if index == 0 else Squares(["a"]).read(index)
    layer = WholeImages([squares]).read(0)
    assert layer.mask.sum() == 200
    assert not (layer.mask & layer.void).any()
    assert layer.void[35].all()


def test_samples_follow_from_seed_and_position() -> None:
    images = WholeImages([Squares(["a", "b", "c"])])
    order = SampleOrder(images.counts, [1.0], seed=1)
    first, again, other = (ImageSamples(images, order, seed, Augmentation()) for seed in (1, 1, 2))
    for position in (5, 0, 99):
        one, two = first[position], again[position]
        assert all(torch.equal(one[key], two[key]) for key in one)
        assert not torch.equal(one["image"], other[position]["image"])
        assert one["image"].shape == (40, 60, 3)
        assert one["image"].dtype == torch.uint8
        assert one["target"].shape == one["void"].shape == (1, 40, 60)
        assert one["target"].dtype == one["void"].dtype == torch.bool
    greys = [int(ImageSamples(images, order, 1)[position]["image"][0, 0, 0]) for position in range(6)]
    assert sorted(greys[:3]) == sorted(greys[3:]) == [100, 102, 104]


def test_whole_images_stay_as_they_are() -> None:
    images = WholeImages([Squares(["a"])])
    sample, layer = ImageSamples(images, SampleOrder([1], [1.0], 0), 0)[3], images.read(0)
    assert np.array_equal(sample["image"].numpy(), layer.image_rgb)
    assert np.array_equal(sample["target"][0].numpy(), layer.mask)
    assert np.array_equal(sample["void"][0].numpy(), layer.void)


def test_target_void_and_image_are_changed_together() -> None:
    images = WholeImages([Squares(["a"])])
    turned = Augmentation(rotation_deg=20.0, scale=(1.0, 1.3), beyond="black")
    samples = ImageSamples(images, SampleOrder([1], [1.0], 0), 0, turned)
    still = images.read(0)
    for position in range(8):
        sample = {key: tensor.numpy() for key, tensor in samples[position].items()}
        target, void, image = sample["target"][0], sample["void"][0], sample["image"].astype(int)
        assert target.any()
        assert not (target & void).any()
        assert not np.array_equal(target, still.mask)
        green = image[..., 1] - image[..., 0] > 50
        assert (green != target).mean() < 0.05
        white = image.min(axis=2) > 200
        assert void[white].mean() > 0.6
    assert len({samples[position]["image"].numpy().tobytes() for position in range(8)}) == 8
