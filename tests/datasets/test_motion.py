from dataclasses import replace

import cv2
import numpy as np
import pytest

from dextr_vos.datasets.copy_paste import Layer
from dextr_vos.datasets.motion import Motion, Pose, Sprite, draw_clip, draw_frames, warp
from dextr_vos.datasets.photometric import PhotometricAugmentation

NO_LIGHT = PhotometricAugmentation(light=0.0, tint=0.0, grey=0.0, blur=0.0, noise=0.0, codec=0.0)
STILL = Motion(
    shift=0.0,
    rotation_deg=0.0,
    scale=0.0,
    bend=0.0,
    camera_shift=0.0,
    camera_deg=0.0,
    camera_scale=0.0,
    light=0.0,
    photometric=NO_LIGHT,
)
GREEN, RED = (20, 220, 20), (220, 20, 20)


def ground(size_hw=(48, 64), colour=None):
    """A soft texture, with void below; with a colour also an ellipse that is the target."""
    rng = np.random.default_rng(2)
    coarse = rng.integers(80, 140, (size_hw[0] // 8, size_hw[1] // 8, 1), dtype=np.uint8).repeat(3, axis=2)
    image = cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    mask, void = np.zeros(size_hw, bool), np.zeros(size_hw, bool)
    void[-10:] = True
    if colour is not None:
        rows, columns = np.indices(size_hw)
        mask = ((columns - size_hw[1] / 2) / 18) ** 2 + ((rows - 18) / 9) ** 2 <= 1
        image[mask] = colour
    return Layer(image, mask, void)


def bar(colour, place_xy, target, width=21, height=11, **more):
    """A rectangle off the middle of an image of its own, in a colour that ends where the mask ends."""
    image = np.full((40, 50, 3), 5, np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[6 : 6 + height, 4 : 4 + width] = True
    image[mask] = colour
    return Sprite(Layer(image, mask, np.zeros_like(mask)), place_xy, target, **more)


def frames(sprites, motion=STILL, seed=0, behind=None):
    return draw_frames(behind or ground(), sprites, motion, np.random.default_rng(seed))


def is_of(colour, image):
    return (np.abs(image.astype(int) - colour) < 70).all(axis=-1)


def box(mask):
    return cv2.boundingRect(mask.view(np.uint8))


def centre(mask):
    ys, xs = np.nonzero(mask)
    return np.array([xs.mean(), ys.mean()])


def inner(mask):
    return cv2.erode(mask.view(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0


def test_frames_follow_from_the_generator_and_leave_the_scene_alone():
    behind = ground(colour=GREEN)
    sprites = [bar(RED, (20, 30), False), bar(GREEN, (40, 30), True)]
    for layer in (behind, *(sprite.layer for sprite in sprites)):
        for part in (layer.image_rgb, layer.mask, layer.void):
            part.flags.writeable = False
    pairs = [frames(sprites, Motion(), seed, behind) for seed in (1, 1, 2)]
    for number in (0, 1):
        one, same, other = (pair[number] for pair in pairs)
        assert one.image_rgb.shape == (48, 64, 3)
        assert one.image_rgb.dtype == np.uint8
        for name in ("mask", "void", "others"):
            assert getattr(one, name).shape == (48, 64)
            assert getattr(one, name).dtype == np.bool_
            assert np.array_equal(getattr(one, name), getattr(same, name))
        assert np.array_equal(one.image_rgb, same.image_rgb)
        assert not np.array_equal(one.image_rgb, other.image_rgb)


def test_the_first_frame_shows_the_scene_as_it_is_given():
    behind = ground(colour=GREEN)
    moving = Motion(photometric=NO_LIGHT)
    first, second = frames([], moving, behind=behind)
    for name in ("image_rgb", "mask", "void"):
        assert np.array_equal(getattr(first, name), getattr(behind, name))
        assert not np.array_equal(getattr(second, name), getattr(behind, name))
    first, _ = frames([bar(RED, (30, 20), True)], moving)
    assert box(first.mask) == (20, 15, 21, 11)  # around its place
    assert first.mask.sum() == 21 * 11
    assert np.array_equal(first.image_rgb[20, 30], RED)


def test_a_scene_in_which_nothing_moves_stays_as_it_is():
    first, second = frames([], behind=ground(colour=GREEN))
    assert np.abs(first.image_rgb.astype(int) - second.image_rgb).max() <= 1
    first, second = frames([bar(RED, (30, 20), False)], behind=ground(colour=GREEN))
    for name in ("mask", "void", "others"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


SHAKEN = replace(STILL, camera_shift=0.1)


@pytest.mark.parametrize(
    ("changes", "base"),
    [
        ({"shift": 0.3}, STILL),
        ({"rotation_deg": 20.0}, STILL),
        ({"scale": 0.2}, STILL),
        ({"bend": 0.1}, STILL),
        ({"light": 0.3}, STILL),
        ({"camera_shift": 0.1}, STILL),
        ({"camera_deg": 10.0}, SHAKEN),
        ({"camera_scale": 0.2}, SHAKEN),
        ({"photometric": replace(NO_LIGHT, noise=1.0)}, STILL),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_every_amount_matters_by_itself(changes, base):
    scene, behind = [bar(RED, (16, 36), False)], ground(colour=GREEN)
    without, changed = (
        frames(scene, how, behind=behind)[1].image_rgb for how in (base, replace(base, **changes))
    )
    assert np.abs(changed.astype(int) - without).max() > 15


@pytest.mark.parametrize("in_ground", [True, False])
def test_mask_and_pixels_move_together(in_ground):
    scene = [] if in_ground else [bar(GREEN, (32, 22), True, 30, 20)]
    motion = Motion(light=0.0, photometric=NO_LIGHT)
    moved = 0
    for seed in range(10):
        first, second = frames(scene, motion, seed, ground(colour=GREEN if in_ground else None))
        for frame in (first, second):
            assert is_of(GREEN, frame.image_rgb)[inner(frame.mask)].all()
            around = cv2.dilate(frame.mask.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
            assert not is_of(GREEN, frame.image_rgb)[~around].any()
        moved += not np.array_equal(first.mask, second.mask)
    assert moved == 10


def test_void_moves_with_the_camera():
    behind = ground()
    behind.image_rgb[behind.void] = GREEN
    for seed in range(5):
        _, second = frames([], replace(STILL, camera_shift=0.1), seed, behind)
        assert (is_of(GREEN, second.image_rgb) != second.void).mean() < 0.05


@pytest.mark.parametrize("target_first", [True, False])
def test_what_is_before_hides_what_is_behind(target_first):
    target, other = bar(GREEN, (28, 20), True), bar(RED, (36, 24), False)
    sprites = [target, other] if target_first else [other, target]
    whole, alone = frames([target])[0].mask, frames([replace(other, target=True)])[0].mask
    both = whole & alone
    assert both.sum() > 50
    for frame in frames(sprites):
        assert np.array_equal(frame.mask, whole & ~alone if target_first else whole)
        assert np.array_equal(frame.others, alone if target_first else alone & ~whole)
        assert is_of(RED if target_first else GREEN, frame.image_rgb)[inner(both)].all()


def test_a_sprite_before_the_ground_takes_pixels_from_the_ground_s_target():
    behind = ground(colour=GREEN)
    first, _ = frames([bar(RED, (32, 18), False)], behind=behind)
    assert 0 < first.mask.sum() < behind.mask.sum()
    assert not is_of(RED, first.image_rgb)[inner(first.mask)].any()
    first, _ = frames([bar(RED, (60, 18), True)], behind=behind)
    assert first.mask[behind.mask].all()
    assert is_of(RED, first.image_rgb)[inner(first.mask & ~behind.mask)].all()


def test_target_void_and_others_have_no_pixel_in_common():
    sprites = [bar(RED, (20, 36), False), bar(GREEN, (32, 40), True), bar(RED, (40, 42), False)]
    for seed in range(10):
        for frame in frames(sprites, Motion(), seed, ground(colour=GREEN)):
            assert frame.void.any()
            assert not (frame.mask & frame.void).any()
            assert not (frame.others & frame.void).any()
            assert not (frame.mask & frame.others).any()


def test_a_target_that_is_gone_leaves_no_pixel_and_uncovers_what_it_hid():
    other = bar(RED, (34, 20), False)
    first, second = frames([other, bar(GREEN, (30, 20), True, absent=True)])
    assert first.mask.sum() == 21 * 11
    assert not second.mask.any()
    assert not is_of(GREEN, second.image_rgb).any()
    assert first.others.sum() < second.others.sum() == 21 * 11


def test_poses_stay_with_their_sprites_where_one_is_gone():
    """The one behind the sprite that has left moves as it would if all had stayed."""
    led = bar(RED, (40, 30), True, leads=1)
    stays, left = (
        [bar(RED, (20, 10), False, absent=absent), bar(GREEN, (30, 30), True), led]
        for absent in (False, True)
    )
    motion = replace(STILL, shift=0.2)
    assert np.array_equal(frames(stays, motion, 3)[1].mask, frames(left, motion, 3)[1].mask)


def test_a_sprite_moves_along_with_the_one_that_leads_it():
    motion = replace(STILL, shift=0.4, scale=0.3)
    apart = {None: [], 0: []}
    grown = {None: [], 0: []}
    for leads in apart:
        for seed in range(8):
            sprites = [bar(GREEN, (60, 30), True), bar(RED, (60, 66), False, leads=leads)]
            first, second = frames(sprites, motion, seed, ground((96, 128)))
            moves = [centre(second.mask) - centre(first.mask), centre(second.others) - centre(first.others)]
            apart[leads].append(np.abs(moves[0] - moves[1]).max())
            sizes = [second.mask.sum() / first.mask.sum(), second.others.sum() / first.others.sum()]
            grown[leads].append(abs(np.log(sizes[0] / sizes[1])))
    assert np.median(apart[0]) < 3 < 5 < np.median(apart[None])
    assert np.median(grown[0]) < 0.1 < 0.2 < np.median(grown[None])


def test_objects_move_in_proportion_to_their_size():
    motion, moves = replace(STILL, shift=0.15), []
    for seed in range(8):
        sprites = [bar(GREEN, (64, 24), True, 40, 30), bar(RED, (64, 72), False, 5, 5)]
        first, second = frames(sprites, motion, seed, ground((96, 128)))
        pairs = (first.mask, second.mask), (first.others, second.others)
        moves.append([np.abs(centre(after) - centre(before)).max() for before, after in pairs])
    large, small = np.median(moves, axis=0)
    assert 3 < large < 12
    assert small < 2


def test_what_leaves_the_frame_is_cut_off():
    first, _ = frames([bar(GREEN, (0, 20), True)])
    assert box(first.mask) == (0, 15, 11, 11)
    first, second = frames([bar(GREEN, (-50, 20), True)])
    assert not first.mask.any()
    assert not second.mask.any()


def test_a_warp_moves_and_turns_about_its_centre():
    values = np.zeros((40, 40), np.float32)
    values[12, 25] = 1
    flat = np.zeros((4, 5, 2), np.float32)
    moved = warp(values, Pose(np.eye(2, dtype=np.float32), np.array([3, -2], np.float32), flat), (20, 20))
    assert np.argwhere(moved > 0.5).tolist() == [[10, 28]]
    quarter = np.array([[0, -1], [1, 0]], np.float32)  # x to y, y to -x
    turned = warp(values, Pose(quarter, np.zeros(2, np.float32), flat), (20, 18), cv2.INTER_NEAREST)
    assert np.argwhere(turned > 0.5).tolist() == [[18 + 5, 20 + 6]]
    assert np.array_equal(warp(values, Pose.still(), (3, 7)), values)


def test_a_bend_moves_pixels_by_what_it_says():
    values = np.tile(np.arange(60, dtype=np.float32), (40, 1))
    bend = np.zeros((4, 5, 2), np.float32)
    bend[..., 0] = 4
    bent = warp(
        values, Pose(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), bend), (30, 20), cv2.INTER_LINEAR
    )
    assert np.allclose(bent[:, 10:50], values[:, 10:50] + 4, atol=1e-3)


def clip(sprites, times, motion=STILL, seed=0, behind=None):
    return draw_clip(behind or ground(), sprites, motion, times, np.random.default_rng(seed))


def test_things_move_steadily_and_go_on_after_the_last_time():
    motion, behind = replace(STILL, shift=0.3), ground((96, 128))
    moved = []
    for seed in range(6):
        shown = clip([bar(GREEN, (64, 48), True)], (0.0, 0.5, 1.0, 1.5), motion, seed, behind)
        start, *later = (centre(frame.mask) for frame in shown)
        halves = [place - start for place in later]
        assert np.abs(halves[1] - 2 * halves[0]).max() < 1.6
        assert np.abs(halves[2] - 3 * halves[0]).max() < 2.1
        moved.append(np.abs(halves[1]).max())
    assert max(moved) > 6


def test_the_camera_moves_steadily_too():
    shaken, behind = replace(STILL, camera_shift=0.03), ground((96, 128), colour=GREEN)
    behind = replace(behind, mask=np.roll(behind.mask, 30, axis=0))
    moved = []
    for seed in range(6):
        start, half, whole = (centre(frame.mask) for frame in clip([], (0.0, 0.5, 1.0), shaken, seed, behind))
        assert np.abs((whole - start) - 2 * (half - start)).max() < 1.6
        moved.append(np.abs(whole - start).max())
    assert max(moved) > 4


def test_what_is_absent_leaves_half_way():
    shown = clip([bar(GREEN, (30, 20), True, absent=True)], (0.0, 0.4, 0.5, 1.0))
    assert [bool(frame.mask.any()) for frame in shown] == [True, True, False, False]
    assert not any(is_of(GREEN, frame.image_rgb).any() for frame in shown[2:])


def test_two_frames_are_a_clip_from_its_start_to_its_end():
    sprites = [bar(RED, (20, 30), False), bar(GREEN, (40, 30), True, absent=True)]
    for one, two in zip(frames(sprites, Motion(), 4), clip(sprites, (0.0, 1.0), Motion(), 4), strict=True):
        assert np.array_equal(one.image_rgb, two.image_rgb)
        assert np.array_equal(one.mask, two.mask)


def test_the_light_changes_in_every_frame_but_the_first():
    lit = replace(STILL, light=0.5)
    first, *later = (
        float(np.mean(frame.image_rgb))
        for frame in clip([], (0.0, 0.3, 0.6, 0.9), lit, behind=ground(colour=GREEN))
    )
    assert first == pytest.approx(float(np.mean(ground(colour=GREEN).image_rgb)))
    assert len({round(brightness) for brightness in (first, *later)}) > 2


def test_a_pose_is_done_in_parts():
    pose = Pose.draw(10.0, 20.0, 0.2, 3.0, np.random.default_rng(0))
    before, half, whole = (pose.at(time) for time in (0.0, 0.5, 1.0))
    assert np.array_equal(before.linear, np.eye(2))
    assert not before.shift_xy.any()
    assert not before.bend.any()
    assert np.allclose(half.shift_xy, pose.shift_xy / 2)
    assert np.allclose(half.bend, pose.bend / 2)
    assert np.allclose(half.linear, (pose.linear + np.eye(2)) / 2, atol=1e-6)
    for name in ("linear", "shift_xy", "bend"):
        assert np.allclose(getattr(whole, name), getattr(pose, name), atol=1e-6)
