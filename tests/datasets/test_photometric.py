from dataclasses import fields

import numpy as np
import pytest

from dextr_vos.datasets.photometric import PhotometricAugmentation, change_colours, change_sharpness

STILL = PhotometricAugmentation(**{field.name: 0.0 for field in fields(PhotometricAugmentation)})


def random_image(seed=0, size_hw=(40, 56)):
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


def smooth():
    """A ramp in each channel, in another direction."""
    rows, columns = np.indices((40, 56))
    return np.dstack([columns * 4, rows * 6, 200 - rows * 2]).astype(np.uint8)


@pytest.mark.parametrize("change", [change_colours, change_sharpness])
def test_a_change_follows_from_its_generator_and_leaves_what_it_was_given(change):
    image = random_image()
    given = image.copy()
    image.flags.writeable = False  # images kept in memory are
    every = PhotometricAugmentation(blur=0.5, noise=0.5, codec=0.5)
    first, again = (change(image, every, np.random.default_rng(1)) for _ in range(2))
    others = [change(image, every, np.random.default_rng(seed)) for seed in range(2, 6)]
    assert np.array_equal(first, again)
    assert any(not np.array_equal(first, other) for other in others)
    assert np.array_equal(image, given)
    for changed in (first, *others):
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8


def test_nothing_is_changed_when_nothing_may_change():
    image = random_image()
    changed = change_colours(image, STILL, np.random.default_rng(0))
    assert np.abs(changed.astype(int) - image).max() <= 1  # rounding
    assert np.array_equal(change_sharpness(image, STILL, np.random.default_rng(0)), image)


def test_light_makes_images_lighter_and_darker_but_never_wraps_round():
    light = PhotometricAugmentation(light=0.5, tint=0.0, grey=0.0)
    image = np.full((8, 8, 3), 250, dtype=np.uint8)
    image[:4] = 128
    changed = [change_colours(image, light, np.random.default_rng(seed)) for seed in range(40)]
    means = [one[:4].mean() for one in changed]
    assert min(means) < 90
    assert max(means) > 160
    assert all(one[4:].min() >= one[:4].max() for one in changed)


def test_tint_moves_channels_against_one_another_and_grey_takes_colours_away():
    image = smooth()
    tinted = change_colours(
        np.full_like(image, 100), PhotometricAugmentation(light=0.0, tint=0.3), np.random.default_rng(0)
    )
    assert len(set(tinted[0, 0].tolist())) == 3
    grey = change_colours(
        image, PhotometricAugmentation(light=0.0, tint=0.0, grey=1.0), np.random.default_rng(0)
    )
    assert np.ptp(grey.astype(int), axis=2).max() <= 1
    assert grey.std() > 5


@pytest.mark.parametrize(
    ("kind", "sharper"), [("blur", False), ("noise", True), ("codec", None)], ids=["blur", "noise", "codec"]
)
def test_sharpness_changes_as_often_as_asked_for(kind, sharper):
    image = smooth() if kind == "noise" else random_image()
    half = PhotometricAugmentation(
        **{field.name: 0.5 if field.name == kind else 0.0 for field in fields(PhotometricAugmentation)}
    )
    changed = [change_sharpness(image, half, np.random.default_rng(seed)) for seed in range(60)]
    different = [one for one in changed if not np.array_equal(one, image)]
    assert 18 <= len(different) <= 42
    edges = np.abs(np.diff(image.astype(int), axis=1)).mean()
    for one in different:
        assert abs(one.mean() - image.mean()) < 4
        found = np.abs(np.diff(one.astype(int), axis=1)).mean()
        assert sharper is None or (found > edges) == sharper
