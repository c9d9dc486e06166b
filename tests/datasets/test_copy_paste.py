from dataclasses import replace

import cv2
import numpy as np
import pytest

from dextr_vos.datasets.copy_paste import CopyPaste, Layer, blend, compose, moved, placed
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.photometric import PhotometricAugmentation

NO_LIGHT = PhotometricAugmentation(light=0.0, tint=0.0, grey=0.0, blur=0.0, noise=0.0, codec=0.0)
ALONE = CopyPaste(paste=0.0, occlude=0.0, merge=0.0, photometric=NO_LIGHT)
GREEN, RED = (20, 220, 20), (220, 20, 20)


def example(colour=GREEN, size_hw=(80, 110), centre_xy=(50, 40), radii=(30, 16), void=True):
    """A coloured ellipse on grey, with void around it."""
    rows, columns = np.indices(size_hw)
    away = ((columns - centre_xy[0]) / radii[0]) ** 2 + ((rows - centre_xy[1]) / radii[1]) ** 2
    mask = away <= 1
    image = np.full((*size_hw, 3), 110, dtype=np.uint8)
    image[mask] = colour
    around = (away > 1) & (away < 1.3) & void
    return Example(ObjectRef("image", 0, "ellipse", int(mask.sum())), image, mask, around)


def draw(rng):
    return example(RED, centre_xy=(int(rng.integers(35, 75)), 40), radii=(25, 25))


def greenness(image):
    return image[..., 1].astype(int) - image[..., 0]


@pytest.mark.parametrize("how", [CopyPaste(), replace(ALONE, paste=1.0, neighbour=1.0, retexture=1.0)])
def test_a_sample_follows_from_its_generator_and_leaves_its_examples_alone(how):
    one = example()
    given = [part.copy() for part in (one.image_rgb, one.mask, one.void)]
    for part in (one.image_rgb, one.mask, one.void):
        part.flags.writeable = False
    for seed in range(20):
        first, again = (compose(one, draw, how, 64, np.random.default_rng(seed)) for _ in range(2))
        for part, same in zip(
            (first.image_rgb, first.mask, first.void), (again.image_rgb, again.mask, again.void), strict=True
        ):
            assert np.array_equal(part, same)
        assert first.image_rgb.dtype == np.uint8
        assert first.image_rgb.shape == (*first.mask.shape, 3)
        assert first.mask.dtype == first.void.dtype == np.bool_
        assert first.mask.any()
        assert not (first.mask & first.void).any()
    assert all(
        np.array_equal(part, before)
        for part, before in zip((one.image_rgb, one.mask, one.void), given, strict=True)
    )


@pytest.mark.parametrize("paste", [0.0, 1.0])
def test_mask_and_image_move_together(paste):
    how = replace(ALONE, paste=paste, neighbour=0.0, retexture=0.0)
    for seed in range(20):
        layer = compose(example(), draw, how, 64, np.random.default_rng(seed))
        is_green = greenness(layer.image_rgb) > 60
        assert (is_green != layer.mask)[~layer.void].mean() < 0.03
        inner = cv2.erode(layer.mask.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert is_green[inner].all()


def test_objects_get_the_sizes_asked_for():
    how = replace(ALONE, size=(0.5, 1.0), rotation_deg=0.0, shear=0.0, aspect=0.0)
    sides = []
    for seed in range(40):
        mask = compose(example(), draw, how, 64, np.random.default_rng(seed)).mask
        sides.append(max(cv2.boundingRect(mask.view(np.uint8))[2:]))
    assert 29 <= min(sides) < 40
    assert 56 < max(sides) <= 67


def test_a_pasted_object_has_new_ground_and_no_void():
    how = replace(ALONE, paste=1.0, neighbour=0.0, retexture=0.0)
    layers = [compose(example(), draw, how, 64, np.random.default_rng(seed)) for seed in range(10)]
    assert not any(layer.void.any() for layer in layers)
    assert any((greenness(layer.image_rgb)[~layer.mask] < -60).any() for layer in layers)  # of a red one


def test_a_retextured_object_does_not_look_like_itself():
    how = replace(ALONE, paste=1.0, neighbour=0.0, retexture=1.0)
    for seed in range(10):
        layer = compose(example(), draw, how, 64, np.random.default_rng(seed))
        assert (greenness(layer.image_rgb) < 60).all()


def test_an_object_before_the_target_takes_pixels_from_it_but_never_most():
    whole, part = [
        [compose(example(), draw, how, 64, np.random.default_rng(seed)) for seed in range(30)]
        for how in (ALONE, replace(ALONE, occlude=1.0))
    ]
    shares = [hidden.mask.sum() / full.mask.sum() for hidden, full in zip(part, whole, strict=True)]
    assert min(shares) >= 0.5
    assert sum(share < 0.95 for share in shares) > 5
    for hidden in part:
        inner = cv2.erode(hidden.mask.view(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert (greenness(hidden.image_rgb)[inner] > 60).all()


def test_two_united_objects_are_one_target():
    layers = [
        compose(example(), draw, replace(ALONE, merge=1.0), 64, np.random.default_rng(s)) for s in range(20)
    ]
    united = [layer for layer in layers if (greenness(layer.image_rgb) < -60).sum() > 30]
    assert len(united) > 10
    for layer in united:
        assert layer.mask[greenness(layer.image_rgb) < -60].mean() > 0.9


def test_a_tiny_object_is_left_as_it_is():
    tiny = example(radii=(2, 1), void=False)
    layer = moved(tiny, replace(ALONE, size=(0.01, 0.02)), 64, np.random.default_rng(0))
    assert np.array_equal(layer.mask, tiny.mask)


@pytest.mark.parametrize("seed", range(8))
def test_a_layer_is_placed_by_moving_it_whole_pixels(seed):
    rng = np.random.default_rng(seed)
    layer = Layer(
        rng.integers(1, 256, (50, 70, 3), dtype=np.uint8),
        rng.random((50, 70)) < 0.2,
        np.zeros((50, 70), bool),
    )
    mask = np.zeros((80, 60), dtype=bool)
    mask[20:50, 10:40] = True
    found = placed(layer, mask, np.random.default_rng(seed))
    assert found.image_rgb.shape == (80, 60, 3)
    assert found.mask.shape == found.void.shape == (80, 60)
    seen = found.image_rgb.any(axis=2)
    rows, columns = np.nonzero(seen)
    shown = found.image_rgb[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scores = [
        (top, left)
        for top in range(50 - shown.shape[0] + 1)
        for left in range(70 - shown.shape[1] + 1)
        if np.array_equal(layer.image_rgb[top : top + shown.shape[0], left : left + shown.shape[1]], shown)
    ]
    assert len(scores) == 1
    (top, left), (height, width) = scores[0], shown.shape[:2]
    assert np.array_equal(
        found.mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1],
        layer.mask[top : top + height, left : left + width],
    )
    assert not found.mask[~seen].any()


@pytest.mark.parametrize("centre_xy", [(50, 40), (0, 0), (109, 79), (50, 2)])
def test_blending_changes_the_object_and_a_soft_edge_alone(centre_xy):
    layer_of = example(centre_xy=centre_xy, void=False)
    layer = Layer(layer_of.image_rgb, layer_of.mask, layer_of.void)
    ground = np.random.default_rng(0).integers(0, 256, layer.image_rgb.shape, dtype=np.uint8)
    blended = blend(ground, layer, np.random.default_rng(3))
    # the formula, over the whole image
    alpha = cv2.GaussianBlur(
        layer.mask.astype(np.float32), (0, 0), np.random.default_rng(3).uniform(0.4, 1.2)
    )[..., None]
    expected = ground + alpha * (layer.image_rgb.astype(np.float32) - ground) + np.float32(0.5)
    assert np.array_equal(blended, expected.astype(np.uint8))
    inner = cv2.erode(layer.mask.view(np.uint8), np.ones((13, 13), np.uint8)) > 0
    assert np.array_equal(blended[inner], layer.image_rgb[inner])
    outer = cv2.dilate(layer.mask.view(np.uint8), np.ones((13, 13), np.uint8)) == 0
    assert np.array_equal(blended[outer], ground[outer])
