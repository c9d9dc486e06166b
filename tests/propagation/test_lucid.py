from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask

from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.propagation.models import LITE
from dextr_vos.propagation.training_data import LucidPairs, Sample, stack

SCENE = replace(LITE.recipe.scene, size_hw=(48, 64), absent=0.0)
NO_CORRUPTION = MaskCorruption(absent=0.0, astray=0.0, shift=0.0, bend=0.0, loss=0.0, gain=0.0, blur=0.0)


def two_objects(index: int) -> Sample:
    """A bright square, object 1, and a red bar below it, object 3."""
    image, labels = tiny_frame(index), tiny_mask(index)
    image[38:46, 10:50], labels[38:46, 10:50] = (220, 30, 30), 3
    return Sample(image, labels)


def one_object(index: int) -> Sample:
    return Sample(tiny_frame(index), tiny_mask(index))


def nothing(index: int) -> Sample:
    """The square has left: the ground alone."""
    ground = np.random.default_rng(3).integers(0, 70, (48, 64, 3), dtype=np.uint8)
    return Sample(ground, np.zeros((48, 64), np.uint8))


def dreams(*samples: Sample, numbers=(1,), scene: SceneRecipe = SCENE, seed=0, **options) -> LucidPairs:
    return LucidPairs(samples, numbers, scene, options.pop("corruption", NO_CORRUPTION), seed, **options)


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def bright(sample: dict, key: str) -> np.ndarray:
    """Where a frame shows the square, the only thing that is bright."""
    return sample[key].float().mean(-1).numpy() > 115


def overlap(one, other) -> float:
    one, other = np.asarray(one, bool), np.asarray(other, bool)
    return float((one & other).sum() / max(1, (one | other).sum()))


def test_a_pair_is_two_frames_with_the_object_in_each():
    for position in range(12):
        sample = dreams(one_object(0), one_object(3), corruption=MaskCorruption())[position]
        assert {key: (tuple(tensor.shape), tensor.dtype) for key, tensor in sample.items()} == {
            "image": ((48, 64, 3), torch.uint8),
            "guide": ((1, 48, 64), torch.float32),
            "target": ((1, 48, 64), torch.bool),
            "void": ((1, 48, 64), torch.bool),
            "known": ((48, 64, 3), torch.uint8),
            "known_mask": ((1, 48, 64), torch.bool),
        }
        assert sample["target"].any()
        assert sample["known_mask"].any()


def test_masks_fit_what_is_seen():
    made = dreams(one_object(0), one_object(3))
    fits = [
        overlap(bright(sample, picture), sample[mask][0])
        for sample in map(made.__getitem__, range(20))
        for picture, mask in (("image", "target"), ("known", "known_mask"))
    ]
    assert np.median(fits) > 0.8
    assert np.mean(np.array(fits) > 0.5) > 0.9


def test_a_pair_follows_from_seed_and_number_alone():
    made = dreams(two_objects(0), two_objects(3), numbers=(1, 3))
    backward = [made[position] for position in reversed(range(6))][::-1]
    again = dreams(two_objects(0), two_objects(3), numbers=(1, 3))
    assert all(same(again[position], backward[position]) for position in range(6))
    assert not same(made[0], made[4])  # the same object of the same keyframe, another chance
    other = dreams(two_objects(0), two_objects(3), numbers=(1, 3), seed=1)
    assert not same(made[0], other[0])


def test_objects_and_keyframes_take_turns():
    """Object 1 is bright, 3 is red: the target's colour tells which of them it is."""
    made = dreams(two_objects(0), two_objects(3), numbers=(1, 3))
    red = []
    for position in range(8):
        sample = made[position]
        r, g, _ = sample["image"][sample["target"][0]].float().mean(0).tolist()
        red.append(r > 2 * g)
    assert red == [False, True, False, True] * 2


def test_the_ground_on_which_an_object_is_pasted_shows_none():
    """Else the network would learn that what looks like the object is not the object."""
    made = dreams(two_objects(0), numbers=(1, 3), scene=replace(SCENE, own=0.0), real=0.0)
    made._several = False  # no other objects on purpose either
    for position in range(16):
        sample = made[position]
        for picture, mask in (("image", "target"), ("known", "known_mask")):
            assert (bright(sample, picture) & ~sample[mask][0].numpy()).mean() < 0.03


def test_two_real_keyframes_make_a_pair_as_often_as_asked():
    def kinds(real):
        made = dreams(one_object(0), one_object(3), scene=replace(SCENE, own=0.0), real=real)
        return [made[position] for position in range(6)]

    assert all(not same(one, other) for one, other in zip(kinds(0.0), kinds(1.0), strict=True))
    # a single keyframe makes no such pair, whatever is asked
    alone = [dreams(one_object(0), real=real) for real in (0.0, 1.0)]
    assert all(same(alone[0][position], alone[1][position]) for position in range(4))


@pytest.mark.parametrize("empty_first", [True, False])
def test_an_object_that_is_absent_from_a_keyframe(empty_first):
    keyframes = [nothing(0), one_object(3)] if empty_first else [one_object(3), nothing(0)]
    samples = [dreams(*keyframes, real=0.5)[position] for position in range(24)]
    gone = [sample for sample in samples if not sample["target"].any()]
    assert gone  # that it can be absent is learned
    assert len(gone) < len(samples)  # and that it can be there
    for sample in gone:
        assert not bright(sample, "image").any()
        assert bright(sample, "known").any()
    # the known frame is the only one that tells what the object looks like (see `pair_sample`)
    assert all(sample["known_mask"].any() for sample in samples)


def test_void_of_a_keyframe_without_the_object_does_not_count_either():
    empty = nothing(0)
    empty.labels[:20] = 255
    samples = [dreams(one_object(3), empty, real=1.0)[position] for position in range(24)]
    gone = [sample for sample in samples if not sample["target"].any()]
    assert gone
    assert all(0.2 < sample["void"].float().mean() < 0.6 for sample in gone)


def test_an_object_that_is_in_no_sample_is_left_out():
    """A few pixels of a large frame may vanish when it is made smaller."""
    made = dreams(one_object(0), one_object(3), numbers=(1, 3))
    for position in range(8):
        assert made[position]["target"].any()


def test_a_single_object_is_its_own_only_neighbour():
    scene = replace(SCENE, own=0.0)
    for position in range(8):
        sample = dreams(one_object(0), scene=scene)[position]
        assert overlap(bright(sample, "known"), sample["known_mask"][0]) > 0.4


def test_samples_are_stacked_into_a_batch():
    samples = [dreams(one_object(0))[position] for position in range(3)]
    batch = stack(samples)
    assert batch["image"].shape == (3, 48, 64, 3)
    assert all(torch.equal(batch["guide"][number], samples[number]["guide"]) for number in range(3))
