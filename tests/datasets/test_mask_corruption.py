from dataclasses import replace

import numpy as np
import pytest

from dextr_vos.datasets.mask_corruption import MaskCorruption, corrupt_guide, corrupt_mask
from dextr_vos.datasets.motion import Frame

NONE = MaskCorruption(absent=0.0, astray=0.0, shift=0.0, bend=0.0, loss=0.0, gain=0.0, blur=0.0)
SIZE_HW = (60, 90)


def disk(x, y, radius):
    rows, columns = np.indices(SIZE_HW)
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def frame(*, absent=False, alone=False):
    """A target to the left, another object to the right."""
    empty = np.zeros(SIZE_HW, bool)
    parts = np.zeros((*SIZE_HW, 3), np.uint8), empty if absent else disk(28, 30, 16), empty
    made = Frame(*parts, empty if alone else disk(70, 30, 12))
    for part in (made.image_rgb, made.mask, made.void, made.others):
        part.flags.writeable = False
    return made


def guides(corruption, made=None, count=30):
    made = made or frame()
    return [corrupt_guide(made, corruption, np.random.default_rng(seed)) for seed in range(count)]


def overlap(guide, mask):
    guess = guide > 0
    return (guess & mask).sum() / (guess | mask).sum()


@pytest.mark.parametrize(
    "corruption", [MaskCorruption(), MaskCorruption(absent=0.0, astray=1.0, loss=1.0, gain=1.0), NONE]
)
def test_guides_follow_from_the_generator_and_lie_between_minus_one_and_one(corruption):
    made = guides(corruption)
    for guide, same in zip(made, guides(corruption), strict=True):
        assert guide.shape == SIZE_HW
        assert guide.dtype == np.float32
        assert np.abs(guide).max() <= 1 + 1e-6
        assert np.array_equal(guide, same)
    assert len({guide.tobytes() for guide in made}) > 20


def test_where_nothing_is_known_the_guide_is_zero():
    assert not any(guide.any() for guide in guides(replace(NONE, absent=1.0)))
    assert all(guide.any() for guide in guides(NONE))
    assert 8 < sum(guide.any() for guide in guides(replace(NONE, absent=0.5))) < 22


def test_a_guide_without_wear_is_the_mask():
    mask = frame().mask
    for guide in guides(NONE):
        assert overlap(guide, mask) > 0.8
        assert guide[disk(28, 30, 8)].min() > 0.9
        assert guide[~disk(28, 30, 24)].max() < -0.9


def test_parts_are_missing():
    mask = frame().mask
    share = [float((guide > 0)[mask].mean()) for guide in guides(replace(NONE, loss=1.0))]
    assert min(share) < 0.85
    assert np.mean(share) < np.mean([float((guide > 0)[mask].mean()) for guide in guides(NONE)]) - 0.05


def test_parts_too_much_are_most_often_of_another_object():
    made = frame()
    gained = [guide > 0 for guide in guides(replace(NONE, gain=1.0))]
    on_other = [bool(guess[made.others].any()) for guess in gained]
    assert 0.5 < np.mean(on_other) < 1.0
    assert not any((guide > 0)[made.others].any() for guide in guides(NONE))
    # of another object alone, not of the ground about it
    only = [guess & ~disk(28, 30, 30) & ~disk(70, 30, 16) for guess in gained]
    assert not np.any(only)


def test_where_there_is_no_other_object_the_part_too_much_is_near_the_target():
    made = frame(alone=True)
    more = [(guide > 0).sum() for guide in guides(replace(NONE, gain=1.0), made)]
    assert np.mean(more) > 1.05 * np.mean([(guide > 0).sum() for guide in guides(NONE, made)])


def test_displacement_and_bend_make_guides_worse_and_going_astray_more_so():
    mask = frame().mask
    hits = [
        np.mean([overlap(guide, mask) for guide in guides(corruption)])
        for corruption in (
            NONE,
            replace(NONE, shift=0.06),
            replace(NONE, shift=0.06, astray=1.0),
        )
    ]
    assert hits[0] > hits[1] + 0.03 > hits[1] > hits[2] + 0.1
    bent = np.mean([overlap(guide, mask) for guide in guides(replace(NONE, bend=0.08))])
    assert bent < hits[0] - 0.02


def test_blur_makes_guides_soft():
    soft, sharp = (
        np.mean([(np.abs(guide) < 0.9).mean() for guide in guides(replace(NONE, blur=blur))])
        for blur in (0.2, 0.0)
    )
    assert soft > 1.5 * sharp


def test_a_target_that_is_gone_has_a_guide_that_denies_it_or_mistakes_something_for_it():
    made = frame(absent=True)
    assert all((guide < -0.9).all() for guide in guides(NONE, made))
    mistaken = [guide > 0 for guide in guides(replace(NONE, gain=1.0), made)]
    assert np.mean([guess.any() for guess in mistaken]) > 0.7
    assert np.mean([bool(guess[made.others].any()) for guess in mistaken]) > 0.5


def test_a_worn_mask_is_near_the_truth_and_never_empty():
    mask = frame().mask
    corrupted = [corrupt_mask(mask, MaskCorruption(), np.random.default_rng(seed)) for seed in range(40)]
    overlaps = [overlap(each, mask) for each in corrupted]
    assert min(overlaps) > 0.4
    assert 0.75 < np.mean(overlaps) < 0.99
    assert len({each.tobytes() for each in corrupted}) > 30
    dot = np.zeros(SIZE_HW, bool)
    dot[30, 40] = True
    assert all(corrupt_mask(dot, MaskCorruption(), np.random.default_rng(seed))[30, 40] for seed in range(40))


def test_a_worn_mask_fills_holes_or_loses_what_is_thin():
    ring = disk(45, 30, 20) & ~disk(45, 30, 2)
    ring[30, 65:85] = True
    calm = replace(NONE, known=1.0)
    corrupted = [corrupt_mask(ring, calm, np.random.default_rng(seed)) for seed in range(40)]
    assert 5 < sum(each[30, 45] for each in corrupted) < 35
    assert 5 < sum(not each[30, 78] for each in corrupted) < 35
