import numpy as np
import pytest
import torch

from dextr_vos.datasets.frame_pairs import pair_sample
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Frame

SIZE_HW = (30, 50)
NONE = MaskCorruption(absent=0.0, astray=0.0, shift=0.0, bend=0.0, loss=0.0, gain=0.0, blur=0.0)


def frame(grey, left, width=14):
    """All of one grey; the target on the left or the right, void below it."""
    mask, void = np.zeros(SIZE_HW, bool), np.zeros(SIZE_HW, bool)
    mask[5:20, left : left + width] = True
    void[20:24, left : left + width] = True
    return Frame(np.full((*SIZE_HW, 3), grey, np.uint8), mask, void, np.zeros(SIZE_HW, bool))


FIRST, SECOND, EMPTY = frame(10, 4), frame(200, 30), frame(200, 30, width=0)


def samples(first, second, corruption=NONE, count=20):
    return [pair_sample(first, second, corruption, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("corruption", [NONE, MaskCorruption()])
def test_a_pair_is_a_frame_with_a_guide_and_another_with_its_mask(corruption):
    for sample, same in zip(
        samples(FIRST, SECOND, corruption), samples(FIRST, SECOND, corruption), strict=True
    ):
        assert {key: (tuple(tensor.shape), tensor.dtype) for key, tensor in sample.items()} == {
            "image": ((*SIZE_HW, 3), torch.uint8),
            "guide": ((1, *SIZE_HW), torch.float32),
            "target": ((1, *SIZE_HW), torch.bool),
            "void": ((1, *SIZE_HW), torch.bool),
            "known": ((*SIZE_HW, 3), torch.uint8),
            "known_mask": ((1, *SIZE_HW), torch.bool),
        }
        assert all(torch.equal(sample[key], same[key]) for key in sample)


def test_either_frame_may_be_the_known_one_and_each_keeps_what_is_its_own():
    by_grey = {10: FIRST, 200: SECOND}
    orders = []
    for sample in samples(FIRST, SECOND):
        grey, known_grey = int(sample["image"][0, 0, 0]), int(sample["known"][0, 0, 0])
        assert {grey, known_grey} == {10, 200}
        shown, known = by_grey[grey], by_grey[known_grey]
        assert np.array_equal(sample["target"][0].numpy(), shown.mask)
        assert np.array_equal(sample["void"][0].numpy(), shown.void)
        assert np.array_equal(sample["known_mask"][0].numpy(), known.mask)
        guess = sample["guide"][0].numpy() > 0
        assert guess[shown.mask].mean() > 0.7
        assert not guess[known.mask].any()
        orders.append(grey)
    assert 4 < orders.count(10) < 16


@pytest.mark.parametrize(
    ("first", "second"), [(FIRST, EMPTY), (EMPTY, FIRST)], ids=["left", "hidden at first"]
)
def test_a_frame_without_the_target_is_never_the_known_one(first, second):
    for sample in samples(first, second):
        assert int(sample["known"][0, 0, 0]) == 10
        assert sample["known_mask"].any()
        assert not sample["target"].any()
