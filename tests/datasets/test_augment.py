import numpy as np
import pytest

from dextr_vos.datasets.augment import Augmentation, augment, augment_with_points

STILL = Augmentation(flip=False, rotation_deg=0, scale=(1, 1))
WILD = Augmentation(shift=0.2, brightness=0.3)


def scene(size_hw=(60, 80)):
    """A bright object on a dark ground, with a void stripe through both."""
    image = np.full((*size_hw, 3), 30, dtype=np.uint8)
    labels = np.zeros(size_hw, dtype=np.uint8)
    image[20:40, 20:50], labels[20:40, 20:50] = 220, 3
    labels[30:32] = 255
    return image, labels


def test_nothing_is_changed_when_nothing_may_change():
    image, labels = scene()
    moved_image, moved = augment(image, labels, STILL, np.random.default_rng(0))
    assert np.array_equal(moved_image, image)
    assert np.array_equal(moved, labels)


@pytest.mark.parametrize("size_hw", [(60, 80), (61, 81), (33, 64)])
def test_flip_alone_is_exact_and_happens_half_of_the_time(size_hw):
    image, labels = scene(size_hw)
    flips = 0
    for seed in range(60):
        only_flip = Augmentation(flip=True, rotation_deg=0, scale=(1, 1))
        moved_image, moved = augment(image, labels, only_flip, np.random.default_rng(seed))
        if np.array_equal(moved, labels):
            assert np.array_equal(moved_image, image)
            continue
        assert np.array_equal(moved, labels[:, ::-1])
        assert np.array_equal(moved_image, image[:, ::-1])
        flips += 1
    assert 18 <= flips <= 42


@pytest.mark.parametrize("seed", range(12))
def test_image_and_mask_move_together(seed):
    image, labels = scene()
    given = image.copy(), labels.copy()
    moved_image, moved = augment(image, labels, WILD, np.random.default_rng(seed))
    assert moved_image.shape == image.shape
    assert (moved_image.dtype, moved.dtype) == (np.uint8, np.uint8)
    assert set(np.unique(moved)) <= {0, 3, 255}
    bright = moved_image.mean(axis=2) > (float(moved_image.min()) + float(moved_image.max())) / 2
    disagree = (bright != (moved == 3)) & (moved != 255)
    assert disagree.mean() < 0.02
    assert np.array_equal(image, given[0])
    assert np.array_equal(labels, given[1])


def test_only_the_generator_is_a_source_of_chance():
    image, labels = scene()
    first, again, other = (augment(image, labels, WILD, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_invented_pixels_are_void_and_given_ones_are_not():
    image, labels = scene()
    shrunk = Augmentation(flip=False, rotation_deg=0, scale=(0.5, 0.5))
    _, moved = augment(image, np.where(labels == 255, 0, labels), shrunk, np.random.default_rng(0))
    inside = moved != 255
    rows, columns = np.nonzero(inside)
    assert inside.sum() == pytest.approx(60 * 80 / 4, rel=0.1)
    assert inside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_colour_changes_the_image_alone_and_stays_in_range():
    image, labels = scene()
    colour = Augmentation(flip=False, rotation_deg=0, scale=(1, 1), brightness=0.5)
    changed = [augment(image, labels, colour, np.random.default_rng(seed)) for seed in range(8)]
    assert all(np.array_equal(moved, labels) for _, moved in changed)
    assert all(not np.array_equal(changed_image, image) for changed_image, _ in changed)
    means = [changed_image.mean() for changed_image, _ in changed]
    assert min(means) < image.mean() < max(means)
    white = np.full((8, 8, 3), 255, dtype=np.uint8)
    for seed in range(8):  # values beyond white do not wrap round to black
        changed_image, _ = augment(white, np.zeros((8, 8), np.uint8), colour, np.random.default_rng(seed))
        assert changed_image.min() > 100


@pytest.mark.parametrize("seed", range(12))
def test_points_move_with_the_image_and_those_that_leave_it_are_dropped(seed):
    labels = np.zeros((60, 80), dtype=np.uint8)
    points = np.array([(30, 20), (50, 35), (1, 1), (78, 58)])
    for number, (x, y) in enumerate(points, start=1):
        labels[y - 1 : y + 2, x - 1 : x + 2] = number
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    turned = Augmentation(rotation_deg=20, scale=(0.9, 1.25))
    _, moved, moved_xy = augment_with_points(image, labels, points, turned, np.random.default_rng(seed))
    assert np.array_equal(moved, augment(image, labels, turned, np.random.default_rng(seed))[1])
    found = [int(moved[y, x]) for x, y in moved_xy]
    assert found == sorted(found)
    assert found[:2] == [1, 2]
    for number in {3, 4} - set(found):  # of these at most an edge is left
        rows, columns = np.nonzero(moved == number)
        assert all(x in (0, 79) or y in (0, 59) for x, y in zip(columns, rows, strict=True)) or len(rows) < 6


def test_beyond_the_border_there_may_be_black_background():
    image, labels = scene()
    shrunk = Augmentation(flip=False, rotation_deg=0, scale=(0.5, 0.5), beyond="black")
    moved_image, moved = augment(image, np.where(labels == 255, 0, labels), shrunk, np.random.default_rng(0))
    assert not moved_image[:10].any()
    assert not moved[:10].any()
    assert set(np.unique(moved)) == {0, 3}
