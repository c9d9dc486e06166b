from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from moving_square import FRAME_HW, GREEN, NO_LIGHT, PLAIN, SIZE_HW, Clip, centre_x, drawn

from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.frame_sequences import (
    FrameSequence,
    SequenceRecipe,
    clip_sequence,
    rendered_sequence,
    sequence_sample,
    tracks,
)
from dextr_vos.datasets.instances import ObjectRef
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Frame, Motion
from dextr_vos.networks.lite_tracker import warped_guide

NO_CORRUPTION = MaskCorruption(absent=0.0, astray=0.0, shift=0.0, bend=0.0, loss=0.0, gain=0.0, blur=0.0)
BLIND = replace(NO_CORRUPTION, absent=1.0)


def number(frame):
    """Which frame of the clip it is."""
    return round(float(np.median(frame.image_rgb[..., 2])) / 10)


def numbers(sequence):
    before = [] if sequence.before is None else [sequence.before]
    return [number(frame) for frame in (*before, *sequence.frames)]


def test_a_track_is_one_object_of_one_clip_in_order():
    objects = Clip(0)
    named = [("a/2", 0), ("a/2", 1), ("b/1", 0), ("a/1", 0), ("a/10", 7), ("b/0", 0), ("a/1", 1), ("c/0", 0)]
    objects.refs = [ObjectRef(image, object_id, "object", 1) for image, object_id in named]
    assert sorted(tracks(objects)) == [[3, 0], [5, 2], [6, 1]]


def test_a_sequence_follows_from_the_generator():
    recipe = SequenceRecipe()
    for one, same in zip(drawn(recipe=recipe, count=5), drawn(recipe=recipe, count=5), strict=True):
        for first, second in zip((one.known, *one.frames), (same.known, *same.frames), strict=True):
            assert np.array_equal(first.image_rgb, second.image_rgb)
            assert np.array_equal(first.mask, second.mask)
    images = {sequence.frames[0].image_rgb.tobytes() for sequence in drawn(recipe=recipe, count=5)}
    assert len(images) == 5


def test_frames_follow_one_another_in_either_direction_by_small_steps():
    directions, steps, known = [], [], []
    for sequence in drawn():
        assert len(sequence.frames) == PLAIN.length
        apart = np.diff(numbers(sequence))
        assert (np.abs(apart) <= PLAIN.gap).all()
        assert (apart >= 0).all() or (apart <= 0).all()
        directions.append(np.sign(apart.sum()))
        steps += np.abs(apart).tolist()
        known.append(number(sequence.known))
    assert {-1, 1} <= set(directions)
    assert {1, 2, 3} <= set(steps)
    # the known frame may be any
    assert {0, 11} <= set(known)


def test_where_a_clip_ends_its_last_frame_stays():
    ended = 0
    for sequence in drawn(8, replace(PLAIN, length=7, gap=4)):
        apart = np.abs(np.diff(numbers(sequence)))
        assert len(sequence.frames) == 7
        assert all(not later for now, later in pairwise(apart) if not now)
        ended += not apart[-1]
    assert ended > 20


def test_frames_of_a_clip_of_a_few_frames_come_in_any_order_and_have_none_before():
    orders = set()
    for sequence in drawn(3):
        assert sequence.before is None
        assert len(sequence.frames) == PLAIN.length
        orders.add(tuple(numbers(sequence)))
    assert len(orders) > 10


def test_masks_and_void_are_cut_out_with_the_image_and_show_the_object():
    flipped = set()
    for sequence in drawn():
        for frame in (sequence.known, sequence.before, *sequence.frames):
            assert frame.image_rgb.shape == (*SIZE_HW, 3)
            assert frame.mask.shape == frame.void.shape == SIZE_HW
            assert not (frame.mask & frame.void).any()
            green = frame.image_rgb[..., 1] > GREEN / 2
            assert (green != frame.mask).mean() < 0.02
            assert frame.mask.any()
        moves = (centre_x(sequence.frames[-1]) - centre_x(sequence.before)) * np.sign(
            number(sequence.frames[-1]) - number(sequence.before)
        )
        assert abs(moves) > 1
        flipped.add(bool(moves < 0))
    assert flipped == {False, True}


def test_frames_that_follow_one_another_are_cut_out_at_one_place():
    """So what moves in the crops is what moves in the clip."""
    for sequence in drawn():
        pixels = [
            (centre_x(now) - centre_x(before)) / (number(now) - number(before))
            for before, now in zip((sequence.before, *sequence.frames), sequence.frames, strict=False)
            if number(now) != number(before)
        ]
        assert np.ptp(pixels) < 1.5


def test_all_of_the_object_is_seen_at_sizes_between_the_margins():
    small, large = (
        [
            np.count_nonzero(sequence.known.mask)
            for sequence in drawn(recipe=replace(PLAIN, margin=(margin, margin)))
        ]
        for margin in (3.0, 1.4)
    )
    assert np.median(large) > 1.5 * np.median(small)
    for sequence in drawn(recipe=replace(PLAIN, margin=(1.5, 1.5))):
        for frame in (sequence.known, sequence.before, *sequence.frames):
            assert not at_the_border(frame.mask)


def at_the_border(mask):
    return mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()


def test_an_object_too_wide_for_the_shape_of_a_crop_is_squashed_and_not_cut_off():
    class Wide(Clip):
        def read(self, index):
            mask = np.zeros(FRAME_HW, bool)
            mask[24:34, 5:95] = True
            return replace(super().read(index), mask=mask)

    clip = Wide(9)
    (track,) = tracks(clip)
    for seed in range(10):
        sequence = clip_sequence(clip, track, (64, 48), PLAIN, np.random.default_rng(seed))
        for frame in (sequence.known, *sequence.frames):
            assert frame.mask.shape == (64, 48)
            assert frame.mask.any()
            assert not at_the_border(frame.mask)


def test_colours_change_for_a_sequence_and_sharpness_for_a_frame():
    bright = replace(PLAIN, photometric=replace(NO_LIGHT, light=0.4))
    noisy = replace(PLAIN, sharpness=replace(NO_LIGHT, noise=0.2))
    plain = drawn(2, count=12)
    spread, noise = [], []
    for one, brighter, noisier in zip(plain, drawn(2, bright, 12), drawn(2, noisy, 12), strict=True):
        shifts = [
            np.mean(changed.image_rgb[frame.mask, 1].astype(float) - frame.image_rgb[frame.mask, 1])
            for frame, changed in zip(one.frames, brighter.frames, strict=True)
        ]
        assert np.ptp(shifts) < 12
        spread.append(shifts[0])
        noise.append(not np.array_equal(one.known.image_rgb, noisier.known.image_rgb))
    assert np.std(spread) > 8
    assert any(noise)


SCENE = SceneRecipe(
    size_hw=SIZE_HW,
    own=0.0,
    merge=0.0,
    others=0.0,
    absent=0.0,
    sprite=CopyPaste(photometric=NO_LIGHT),
    motion=Motion(light=0.0, photometric=NO_LIGHT),
)


def rendered(scene, count=20):
    clip = Clip()
    return [
        rendered_sequence(clip.read(3), lambda _: clip.read(0), scene, PLAIN, np.random.default_rng(seed))
        for seed in range(count)
    ]


def test_rendered_sequences_move_steadily_away_from_the_known_frame():
    still = [0.0]
    for sequence in rendered(replace(SCENE, motion=replace(SCENE.motion, shift=0.3))):
        assert sequence.before is None
        assert len(sequence.frames) == PLAIN.length
        for frame in (sequence.known, *sequence.frames):
            assert frame.image_rgb.shape == (*SIZE_HW, 3)
        if all(frame.mask.sum() > 0.8 * sequence.known.mask.sum() for frame in sequence.frames):
            away = [abs(centre_x(frame) - centre_x(sequence.known)) for frame in sequence.frames]
            still.append(away[-1] - away[0])
    assert min(still) > -1.5
    assert max(still) > 0.5


def test_an_object_that_leaves_is_known_from_the_frame_that_shows_it():
    gone = 0
    for sequence in rendered(replace(SCENE, absent=1.0)):
        assert sequence.known.mask.any()
        gone += not sequence.frames[-1].mask.any()
    assert gone == 20


def sample_of(sequence, recipe=PLAIN, corruption=NO_CORRUPTION, seed=0):
    return sequence_sample(sequence, recipe, corruption, np.random.default_rng(seed))


@pytest.mark.parametrize("corruption", [NO_CORRUPTION, MaskCorruption()])
def test_a_sample_has_all_that_the_network_takes(corruption):
    for seed, sequence in enumerate(drawn(count=8)):
        sample, same = (sample_of(sequence, PLAIN, corruption, seed) for _ in range(2))
        assert {key: (tuple(tensor.shape), tensor.dtype) for key, tensor in sample.items()} == {
            "frames": ((4, *SIZE_HW, 3), torch.uint8),
            "known_mask": ((1, *SIZE_HW), torch.bool),
            "guide": ((1, *SIZE_HW), torch.float32),
            "flows": ((2, 2, 24, 32), torch.float16),
            "target": ((3, *SIZE_HW), torch.bool),
            "void": ((3, *SIZE_HW), torch.bool),
        }
        assert all(torch.equal(sample[key], same[key]) for key in sample)
        for place, frame in enumerate((sequence.known, *sequence.frames)):
            assert np.array_equal(sample["frames"][place].numpy(), frame.image_rgb)
        assert np.array_equal(sample["target"].numpy(), [frame.mask for frame in sequence.frames])
        assert np.array_equal(sample["void"].numpy(), [frame.void for frame in sequence.frames])


def textured(left):
    """A frame of a sequence; the object is at a place and all around it is still."""
    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.integers(0, 120, (96, 128, 3), dtype=np.uint8), (0, 0), 1.0)
    mask = np.zeros((96, 128), bool)
    mask[30:70, left : left + 40] = True
    patch = cv2.GaussianBlur(rng.integers(60, 255, (40, 40, 3), dtype=np.uint8), (0, 0), 1.0)
    image[30:70, left : left + 40] = patch
    nothing = np.zeros_like(mask)
    return Frame(image, mask, nothing, nothing)


MOVING = FrameSequence(textured(20), textured(32), [textured(left) for left in (40, 48, 56)])


def overlap(guess, mask):
    return np.count_nonzero(guess & mask) / np.count_nonzero(guess | mask)


def test_flows_move_a_mask_to_where_the_object_is_in_the_next_frame():
    sample = sample_of(MOVING)
    for place in range(2):
        before = sample["target"][place][None, None].float()
        guide = warped_guide(before, sample["flows"][place][None])
        assert overlap(guide[0, 0].numpy() > 0, MOVING.frames[place + 1].mask) > 0.9
        # and not by standing still
        assert overlap(before[0, 0].numpy() > 0, MOVING.frames[place + 1].mask) < 0.7


def test_a_first_guide_is_the_mask_before_moved_by_the_flow_or_the_frame_s_own():
    warped, own = (
        sample_of(MOVING, replace(PLAIN, warped=chance, correct=1.0))["guide"][0].numpy()
        for chance in (1.0, 0.0)
    )
    truth = MOVING.frames[0].mask
    assert np.array_equal(own, np.where(truth, 1, -1))
    assert not np.array_equal(warped, own)
    assert overlap(warped > 0, truth) > 0.9
    assert overlap(MOVING.before.mask, truth) < 0.7
    without = sample_of(replace(MOVING, before=None), replace(PLAIN, warped=1.0, correct=1.0))["guide"][0]
    assert np.array_equal(without.numpy(), own)


def test_guides_have_errors_unless_they_are_to_be_correct():
    assert not sample_of(MOVING, replace(PLAIN, correct=0.0), BLIND)["guide"].any()
    assert sample_of(MOVING, replace(PLAIN, correct=1.0), BLIND)["guide"].any()
    some = [sample_of(MOVING, replace(PLAIN, correct=0.5), BLIND, seed)["guide"].any() for seed in range(30)]
    assert 5 < sum(some) < 25


def test_known_masks_have_errors_as_often_as_asked_for():
    corruption = replace(NO_CORRUPTION, loss=1.0)

    def wrong(chance):
        return [
            not np.array_equal(
                sample_of(MOVING, replace(PLAIN, known=chance), corruption, seed)["known_mask"][0].numpy(),
                MOVING.known.mask,
            )
            for seed in range(20)
        ]

    assert not any(wrong(0.0))
    assert all(wrong(1.0))


def test_an_object_that_is_nowhere_is_taken_as_it_is():
    nothing = replace(textured(20), mask=np.zeros((96, 128), bool))
    sequence = FrameSequence(nothing, None, [nothing, nothing])
    for seed in range(10):
        sample = sample_of(sequence, replace(PLAIN, known=1.0), MaskCorruption(gain=0.0), seed)
        assert not sample["known_mask"].any()
        assert sample["guide"].max() <= 0
