from dataclasses import replace

import numpy as np
import torch

from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Motion
from dextr_vos.datasets.photometric import PhotometricAugmentation
from dextr_vos.training.loader import SampleOrder
from dextr_vos.training.parent_tasks import PairSamples

NO_LIGHT = PhotometricAugmentation(light=0.0, tint=0.0, grey=0.0, blur=0.0, noise=0.0, codec=0.0)
# the image itself, at a distance
PLAIN = SceneRecipe(
    size_hw=(32, 48),
    own=1.0,
    others=0.0,
    sprite=CopyPaste(photometric=NO_LIGHT),
    motion=Motion(light=0.0, photometric=NO_LIGHT),
)
SIZE_HW = PLAIN.size_hw


class Squares:
    """Images with one green square each; the red of the background says which it is."""

    def __init__(self, count: int) -> None:
        self.refs = [ObjectRef(str(index), 0, "square", 400) for index in range(count)]

    def read(self, index: int) -> Example:
        image = np.full((50, 70, 3), (20 * index, 0, 40), np.uint8)
        mask = np.zeros((50, 70), dtype=bool)
        mask[15:35, 25:45] = True
        image[mask] = (0, 220, 0)
        return Example(self.refs[index], image, mask, np.zeros_like(mask))


def samples_of(
    scene: SceneRecipe, seed: int = 3, count: int = 5, corruption: MaskCorruption | None = None
) -> PairSamples:
    return PairSamples(
        Squares(count), SampleOrder([count], [1.0], seed), seed, scene, corruption or MaskCorruption()
    )


def test_a_sample_is_a_function_of_seed_and_position() -> None:
    scene = SceneRecipe(size_hw=SIZE_HW, own=0.5)
    samples, again, other = (samples_of(scene, seed) for seed in (3, 3, 4))
    backwards = [again[position] for position in reversed(range(12))][::-1]
    for position in range(12):
        sample, same = samples[position], backwards[position]
        assert all(torch.equal(sample[key], same[key]) for key in sample)
        assert {key: tuple(tensor.shape) for key, tensor in sample.items()} == {
            "image": (*SIZE_HW, 3),
            "known": (*SIZE_HW, 3),
            "guide": (1, *SIZE_HW),
            "target": (1, *SIZE_HW),
            "void": (1, *SIZE_HW),
            "known_mask": (1, *SIZE_HW),
        }
        assert not torch.equal(sample["image"], other[position]["image"])
    assert len({samples[position]["image"].numpy().tobytes() for position in range(12)}) == 12


def test_both_frames_show_the_object_that_is_its_turn() -> None:
    samples, order = samples_of(PLAIN), SampleOrder([5], [1.0], 3)
    for position in range(10):
        sample = {key: tensor.numpy() for key, tensor in samples[position].items()}
        for image, mask in (("image", "target"), ("known", "known_mask")):
            shown, target = sample[image].astype(int), sample[mask][0]
            assert target.any()
            green = shown[..., 1] > 110
            assert (green != target).mean() < 0.03
            assert abs(np.median(shown[..., 0][~green]) - 20 * order.at(position)) <= 2
        assert not np.array_equal(sample["image"], sample["known"])


def test_backgrounds_come_from_all_objects() -> None:
    samples = samples_of(replace(PLAIN, own=0.0, merge=0.0, absent=0.0), count=4)
    reds = []
    for position in range(25):
        image = samples[position]["image"].numpy().astype(int)
        reds.append(round(np.median(image[..., 0][image[..., 1] < 40]) / 20))
    assert set(reds) == set(range(4))


def test_guides_are_corrupted_as_asked_for() -> None:
    blind, seeing = (samples_of(PLAIN, corruption=MaskCorruption(absent=absent)) for absent in (1.0, 0.0))
    for position in range(5):
        assert not blind[position]["guide"].any()
        assert seeing[position]["guide"].any()
