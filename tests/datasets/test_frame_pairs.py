from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.frame_pairs import SceneRecipe, crop_around_object, draw_scene, pair_sample
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Frame
from dextr_vos.datasets.photometric import PhotometricAugmentation

NO_LIGHT = PhotometricAugmentation(light=0.0, tint=0.0, grey=0.0, blur=0.0, noise=0.0, codec=0.0)
STIFF = CopyPaste(rotation_deg=0.0, shear=0.0, aspect=0.0, photometric=NO_LIGHT)
# a target that is pasted in, and nothing else
ALONE = SceneRecipe(size_hw=(48, 64), own=0.0, merge=0.0, others=0.0, twin=0.0, absent=0.0, sprite=STIFF)
GREEN, RED, BLUE = (20, 220, 20), (220, 20, 20), (20, 20, 220)


def example(colour=GREEN, size_hw=(80, 110), centre_xy=(50, 40), radii=(30, 16)):
    """A coloured ellipse on grey, with void around it."""
    rows, columns = np.indices(size_hw)
    away = ((columns - centre_xy[0]) / radii[0]) ** 2 + ((rows - centre_xy[1]) / radii[1]) ** 2
    mask = away <= 1
    image = np.full((*size_hw, 3), 110, dtype=np.uint8)
    image[mask] = colour
    void = (away > 1) & (away < 1.3)
    for part in (image, mask, void):
        part.flags.writeable = False
    return Example(ObjectRef("image", 0, "ellipse", int(mask.sum())), image, mask, void)


def draw(_):
    return example(RED, radii=(20, 20))


def draw_blue(_):
    return example(BLUE, radii=(20, 20))


def drawn(how, seed, behind=None):
    return draw_scene(example(), draw, how, np.random.default_rng(seed), behind)


def is_of(colour, image):
    return (np.abs(image.astype(int) - colour) < 60).all(axis=-1)


def colour_of(layer):
    return tuple(np.median(layer.image_rgb[layer.mask], axis=0).astype(int))


def longest(mask):
    return max(cv2.boundingRect(mask.view(np.uint8))[2:])


@pytest.mark.parametrize("size_hw", [(48, 64), (33, 97), (96, 32)])
def test_a_scene_has_its_size_and_follows_from_the_generator(size_hw):
    how = SceneRecipe(size_hw=size_hw, merge=0.5, absent=0.5)
    backgrounds = []
    for seed in range(6):
        (ground, sprites), (same, again) = (drawn(how, seed) for _ in range(2))
        assert ground.image_rgb.shape == (*size_hw, 3)
        assert ground.image_rgb.dtype == np.uint8
        assert ground.mask.shape == ground.void.shape == size_hw
        assert ground.mask.dtype == ground.void.dtype == np.bool_
        assert np.array_equal(ground.image_rgb, same.image_rgb)
        assert np.array_equal(ground.mask, same.mask)
        assert len(sprites) == len(again)
        for one, two in zip(sprites, again, strict=True):
            assert (one.place_xy, one.target, one.leads, one.absent) == (
                two.place_xy,
                two.target,
                two.leads,
                two.absent,
            )
            assert np.array_equal(one.layer.image_rgb, two.layer.image_rgb)
            assert np.array_equal(one.layer.mask, two.layer.mask)
        backgrounds.append(ground.image_rgb)
    assert not any(np.array_equal(backgrounds[0], other) for other in backgrounds[1:])


@pytest.mark.parametrize("scale", [0.2, 0.8])
def test_mask_void_and_image_move_together(scale):
    how = replace(ALONE, size=(scale, scale))
    for seed in range(12):
        layer = crop_around_object(example(), how, np.random.default_rng(seed))
        green = layer.image_rgb[..., 1].astype(int) - layer.image_rgb[..., 0] > 60
        assert layer.mask.any()
        assert layer.void.any()
        assert not (layer.mask & layer.void).any()
        assert (green != layer.mask)[~layer.void].mean() < 0.03
        around = cv2.dilate(layer.mask.view(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert (layer.void & around).sum() > 0.8 * layer.void.sum()


def test_an_object_in_its_own_image_gets_the_size_asked_for():
    how = replace(ALONE, size=(0.5, 0.5))
    for seed in range(12):
        assert 28 <= longest(crop_around_object(example(), how, np.random.default_rng(seed)).mask) <= 36


def test_a_frame_never_shows_much_beyond_its_image():
    # as small as asked for, the image would be a stamp and its mirror images would fill the frame
    how = replace(ALONE, size=(0.02, 0.02))
    for seed in range(12):
        mask = crop_around_object(example(), how, np.random.default_rng(seed)).mask
        _, _, parts, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
        assert parts[1:, cv2.CC_STAT_WIDTH].max() > 20


@pytest.mark.parametrize("centre_xy", [(14, 12), (96, 12), (14, 68), (96, 68)])
def test_an_object_in_a_corner_of_its_image_stays_in_sight(centre_xy):
    one = example(centre_xy=centre_xy, radii=(12, 10))
    for share in (0.2, 0.6):
        how = replace(ALONE, size=(share, share))
        expected = np.pi * 12 * 10 * (64 * share / 25) ** 2
        for seed in range(6):
            assert crop_around_object(one, how, np.random.default_rng(seed)).mask.sum() > 0.6 * expected


def test_the_target_is_in_the_ground_or_a_sprite():
    for seed in range(6):
        ground, sprites = drawn(replace(ALONE, own=1.0), seed)
        assert not sprites
        assert is_of(GREEN, ground.image_rgb)[ground.mask].mean() > 0.9
        ground, (sprite,) = drawn(ALONE, seed)
        assert not ground.mask.any()
        assert not ground.void.any()
        assert not is_of(GREEN, ground.image_rgb).any()
        assert sprite.target
        assert colour_of(sprite.layer) == GREEN
        assert 0 < sprite.place_xy[0] < 64
        assert 0 < sprite.place_xy[1] < 48


def test_a_pasted_target_gets_the_sizes_asked_for():
    sides = [longest(drawn(replace(ALONE, size=(0.4, 0.8)), seed)[1][0].layer.mask) for seed in range(40)]
    assert 0.4 * 64 - 3 <= min(sides) < 0.5 * 64
    assert 0.7 * 64 < max(sides) <= 0.8 * 64 + 3


def test_backbackgrounds_come_from_draw_or_from_behind_where_it_is_given():
    for seed in range(4):
        ground, _ = drawn(ALONE, seed)
        assert is_of(RED, ground.image_rgb).any()
        ground, sprites = drawn(replace(ALONE, others=0.6), seed, behind=draw_blue)
        assert is_of(BLUE, ground.image_rgb).any()
        assert not any(is_of(BLUE, sprite.layer.image_rgb).any() for sprite in sprites)


def test_other_objects_stand_before_and_behind_the_target_and_never_belong_to_it():
    scenes = [drawn(replace(ALONE, others=0.6, absent=1.0), seed)[1] for seed in range(30)]
    places = []
    for sprites in scenes:
        (number,) = (index for index, sprite in enumerate(sprites) if sprite.target)
        places.append((number, len(sprites) - 1 - number))
        others = [sprite for sprite in sprites if not sprite.target]
        assert all(colour_of(other.layer) == RED for other in others)
        assert not any(other.absent or other.leads is not None for other in others)
    assert any(behind for behind, _ in places)
    assert any(before for _, before in places)
    assert (
        0.8 < np.mean([behind + before for behind, before in places]) < 2.2
    )  # 1.5 where one follows another


def test_other_objects_come_before_a_target_in_its_own_image_too():
    scenes = [drawn(replace(ALONE, own=1.0, others=0.6), seed) for seed in range(10)]
    assert any(sprites for _, sprites in scenes)
    assert all(ground.mask.any() for ground, _ in scenes)
    assert not any(sprite.target for _, sprites in scenes for sprite in sprites)


def test_a_twin_is_the_target_once_more_and_no_target():
    scenes = [drawn(replace(ALONE, others=0.6, twin=1.0), seed)[1] for seed in range(10)]
    twins = [sprite for sprites in scenes for sprite in sprites if not sprite.target]
    assert len(twins) > 3
    assert all(colour_of(twin.layer) == GREEN for twin in twins)


def test_a_second_object_of_the_target_moves_along_with_the_first_wherever_others_stand():
    behind = 0
    for seed in range(20):
        _, sprites = drawn(replace(ALONE, merge=1.0, others=0.5), seed)
        first, second = (number for number, sprite in enumerate(sprites) if sprite.target)
        assert second == first + 1
        assert sprites[second].leads == first
        assert sprites[first].leads is None
        assert colour_of(sprites[first].layer) == GREEN
        assert colour_of(sprites[second].layer) == RED
        behind += first
    assert behind > 5


@pytest.mark.parametrize("absent", [0.0, 1.0])
def test_a_target_that_has_left_has_left_with_all_its_objects(absent):
    for seed in range(6):
        _, sprites = drawn(replace(ALONE, merge=1.0, absent=absent), seed)
        assert [sprite.absent for sprite in sprites] == [bool(absent)] * 2


PAIR_HW = (30, 50)
NO_CORRUPTION = MaskCorruption(absent=0.0, astray=0.0, shift=0.0, bend=0.0, loss=0.0, gain=0.0, blur=0.0)


def frame(grey, left, width=14):
    """All of one grey; the target on the left or the right, void below it."""
    mask, void = np.zeros(PAIR_HW, bool), np.zeros(PAIR_HW, bool)
    mask[5:20, left : left + width] = True
    void[20:24, left : left + width] = True
    return Frame(np.full((*PAIR_HW, 3), grey, np.uint8), mask, void, np.zeros(PAIR_HW, bool))


FIRST, SECOND, EMPTY = frame(10, 4), frame(200, 30), frame(200, 30, width=0)


def pairs(first, second, corruption=NO_CORRUPTION, count=20):
    return [pair_sample(first, second, corruption, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("corruption", [NO_CORRUPTION, MaskCorruption()])
def test_a_pair_is_a_frame_with_a_guide_and_another_with_its_mask(corruption):
    for sample, same in zip(pairs(FIRST, SECOND, corruption), pairs(FIRST, SECOND, corruption), strict=True):
        assert {key: (tuple(tensor.shape), tensor.dtype) for key, tensor in sample.items()} == {
            "image": ((*PAIR_HW, 3), torch.uint8),
            "guide": ((1, *PAIR_HW), torch.float32),
            "target": ((1, *PAIR_HW), torch.bool),
            "void": ((1, *PAIR_HW), torch.bool),
            "known": ((*PAIR_HW, 3), torch.uint8),
            "known_mask": ((1, *PAIR_HW), torch.bool),
        }
        assert all(torch.equal(sample[key], same[key]) for key in sample)


def test_either_frame_may_be_the_known_one_and_each_keeps_its_own_mask():
    by_grey = {10: FIRST, 200: SECOND}
    orders = []
    for sample in pairs(FIRST, SECOND):
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
    for sample in pairs(first, second):
        assert int(sample["known"][0, 0, 0]) == 10
        assert sample["known_mask"].any()
        assert not sample["target"].any()
