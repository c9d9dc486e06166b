from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.errors import InputError
from dextr_vos.propagation.keyframes import AnnotatedClip, read_keyframes
from dextr_vos.propagation.models import LITE
from dextr_vos.propagation.training_data import (
    LucidPairs,
    Sample,
    augmented_batch,
    network_size,
    read_samples,
    stack,
)

UNCHANGED = Augmentation(flip=False, rotation_deg=0, scale=(1, 1))
SCENE = replace(LITE.recipe.scene, size_hw=(48, 64), absent=0.0)
NO_CORRUPTION = MaskCorruption(absent=0.0, astray=0.0, shift=0.0, bend=0.0, loss=0.0, gain=0.0, blur=0.0)


def flat_sample(value: int) -> Sample:
    """A sample that can be recognized by its grey value."""
    labels = np.zeros((48, 64), dtype=np.uint8)
    labels[10:20, 10:20] = 1
    return Sample(np.full((48, 64, 3), value, dtype=np.uint8), labels)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_keyframes_take_turns(batch, count):
    samples = [flat_sample(40 * place) for place in range(count)]
    used = []
    for index in range(3 * count):
        positions = range(index * batch, (index + 1) * batch)
        images, _, _ = augmented_batch(samples, [1], UNCHANGED, positions, seed=0)
        assert len(images) == batch
        used += [int(image[2, 0, 0]) // 40 for image in images]
    for turn in range(0, len(used), count):
        assert sorted(used[turn : turn + count]) == list(range(count))


def test_order_and_changes_depend_on_seed_and_position_alone():
    samples = [flat_sample(value) for value in (10, 90, 170)]

    def batch(position, seed):
        images, targets, void = augmented_batch(samples, [1], Augmentation(), [position], seed)
        return torch.from_numpy(images), targets, void

    batch(0, 0)
    for one, other in zip(batch(5, 0), batch(5, 0), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(batch(5, 0)[1], batch(5, 1)[1])
    assert not torch.equal(batch(5, 0)[1], batch(6, 0)[1])


def test_several_objects_keep_their_channels_and_void_is_in_none():
    labels = np.zeros((48, 64), dtype=np.uint8)
    labels[5:10, 5:10], labels[20:30, 20:30], labels[40:44, 40:44] = 3, 1, 255
    sample = Sample(np.zeros((48, 64, 3), dtype=np.uint8), labels)
    _, targets, void = augmented_batch([sample], [1, 3, 7], UNCHANGED, [0], seed=0)
    assert targets.shape == (1, 3, 48, 64)
    assert (targets.dtype, void.dtype) == (torch.float32, torch.bool)
    assert [int(channel.sum()) for channel in targets[0]] == [100, 25, 0]
    assert torch.equal(targets[0, 0].bool(), torch.from_numpy(labels == 1))
    assert torch.equal(void[0, 0], torch.from_numpy(labels == 255))


def test_pixels_from_outside_the_frame_are_void():
    _, targets, void = augmented_batch([flat_sample(9)], [1], Augmentation(scale=(0.5, 0.5)), [0], seed=0)
    assert 0.7 < float(void.float().mean()) < 0.8
    assert not (targets.bool() & void).any()


@pytest.mark.parametrize(
    ("size_hw", "longest", "expected"),
    [
        ((480, 854), 480, (270, 480)),
        ((854, 480), 480, (480, 270)),
        ((48, 64), 480, (48, 64)),
        ((481, 853), None, (481, 853)),
        ((20, 3000), 480, (16, 480)),
    ],
)
def test_network_size(size_hw, longest, expected):
    assert network_size(size_hw, longest) == expected


def test_samples_are_the_resized_keyframes(tiny_clip, tmp_path):
    clip = open_clip(tiny_clip)
    annotated = AnnotatedClip(clip, read_keyframes(write_keyframes(tmp_path / "masks", 0, 3), clip))
    whole, small = read_samples(annotated, None), read_samples(annotated, 32)
    assert [sample.labels.shape for sample in whole + small] == [(48, 64)] * 2 + [(24, 32)] * 2
    assert np.array_equal(whole[1].image_rgb, clip.read(3))
    assert np.array_equal(whole[1].labels, tiny_mask(3))
    for sample in small:  # the object is bright
        assert sample.image_rgb.shape == (24, 32, 3)
        assert sample.image_rgb[sample.labels == 1].mean() > sample.image_rgb[sample.labels == 0].mean() + 100


@pytest.mark.parametrize("longest", [21, 24, 36, 45])
def test_labels_do_not_shift_when_they_shrink(tiny_clip, tmp_path, longest):
    clip = open_clip(tiny_clip)
    (keyframe,) = read_keyframes(write_keyframes(tmp_path / "masks", 2), clip)
    (sample,) = read_samples(AnnotatedClip(clip, [keyframe]), longest)
    height, width = sample.labels.shape
    soft = cv2.resize(keyframe.labels.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)

    def centre(weights):
        return (np.indices(weights.shape) * weights).sum((1, 2)) / weights.sum()

    assert np.abs(centre(sample.labels.astype(float)) - centre(soft)).max() < 0.26


def two_objects(index: int) -> Sample:
    """A bright square, object 1, and a red bar below it, object 3."""
    image, labels = tiny_frame(index), tiny_mask(index)
    image[38:46, 10:50], labels[38:46, 10:50] = (220, 30, 30), 3
    return Sample(image, labels)


def one_object(index: int) -> Sample:
    return Sample(tiny_frame(index), tiny_mask(index))


def background_alone(index: int) -> Sample:
    """The square has left: the background alone."""
    background = np.random.default_rng(3).integers(0, 70, (48, 64, 3), dtype=np.uint8)
    return Sample(background, np.zeros((48, 64), np.uint8))


def lucid_pairs(
    *samples: Sample, object_ids=(1,), scene: SceneRecipe = SCENE, seed=0, **options
) -> LucidPairs:
    return LucidPairs(samples, object_ids, scene, options.pop("corruption", NO_CORRUPTION), seed, **options)


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def bright(sample: dict, key: str) -> np.ndarray:
    """Where a frame shows the square, the only thing that is bright."""
    return sample[key].float().mean(-1).numpy() > 115


def iou(one, other) -> float:
    one, other = np.asarray(one, bool), np.asarray(other, bool)
    return float((one & other).sum() / max(1, (one | other).sum()))


def test_a_pair_is_two_frames_with_the_object_in_each():
    for position in range(12):
        sample = lucid_pairs(one_object(0), one_object(3), corruption=MaskCorruption())[position]
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


def test_masks_fit_the_frames():
    pairs = lucid_pairs(one_object(0), one_object(3))
    fits = [
        iou(bright(sample, image), sample[mask][0])
        for sample in map(pairs.__getitem__, range(20))
        for image, mask in (("image", "target"), ("known", "known_mask"))
    ]
    assert np.median(fits) > 0.8
    assert np.mean(np.array(fits) > 0.5) > 0.9


def test_a_pair_depends_on_seed_and_position_alone():
    pairs = lucid_pairs(two_objects(0), two_objects(3), object_ids=(1, 3))
    backward = [pairs[position] for position in reversed(range(6))][::-1]
    again = lucid_pairs(two_objects(0), two_objects(3), object_ids=(1, 3))
    assert all(same(again[position], backward[position]) for position in range(6))
    assert not same(pairs[0], pairs[4])  # the same object of the same keyframe, other random numbers
    other = lucid_pairs(two_objects(0), two_objects(3), object_ids=(1, 3), seed=1)
    assert not same(pairs[0], other[0])


def test_objects_and_keyframes_take_turns():
    """Object 1 is bright, 3 is red: the target's colour shows which of them it is."""
    pairs = lucid_pairs(two_objects(0), two_objects(3), object_ids=(1, 3))
    red = []
    for position in range(8):
        sample = pairs[position]
        r, g, _ = sample["image"][sample["target"][0]].float().mean(0).tolist()
        red.append(r > 2 * g)
    assert red == [False, True, False, True] * 2


def test_the_background_of_a_pasted_object_shows_no_object():
    """Otherwise the network would learn that something like the object is background."""
    pairs = lucid_pairs(two_objects(0), object_ids=(1, 3), scene=replace(SCENE, own=0.0), real=0.0)
    pairs._several = False  # no other objects on purpose either
    for position in range(16):
        sample = pairs[position]
        for image, mask in (("image", "target"), ("known", "known_mask")):
            assert (bright(sample, image) & ~sample[mask][0].numpy()).mean() < 0.03


def test_two_real_keyframes_make_a_pair_as_often_as_asked():
    def kinds(real):
        pairs = lucid_pairs(one_object(0), one_object(3), scene=replace(SCENE, own=0.0), real=real)
        return [pairs[position] for position in range(6)]

    assert all(not same(one, other) for one, other in zip(kinds(0.0), kinds(1.0), strict=True))
    # a single keyframe makes no such pair, whatever is asked
    alone = [lucid_pairs(one_object(0), real=real) for real in (0.0, 1.0)]
    assert all(same(alone[0][position], alone[1][position]) for position in range(4))


@pytest.mark.parametrize("empty_first", [True, False])
def test_an_object_that_is_absent_from_a_keyframe(empty_first):
    keyframes = [background_alone(0), one_object(3)] if empty_first else [one_object(3), background_alone(0)]
    samples = [lucid_pairs(*keyframes, real=0.5)[position] for position in range(24)]
    absent = [sample for sample in samples if not sample["target"].any()]
    assert absent  # the network learns that it can be absent
    assert len(absent) < len(samples)  # and that it can be present
    for sample in absent:
        assert not bright(sample, "image").any()
        assert bright(sample, "known").any()
    # the known frame is the only one that shows what the object looks like (see `pair_sample`)
    assert all(sample["known_mask"].any() for sample in samples)


def test_void_of_a_keyframe_without_the_object_stays_void():
    empty = background_alone(0)
    empty.labels[:20] = 255
    samples = [lucid_pairs(one_object(3), empty, real=1.0)[position] for position in range(24)]
    absent = [sample for sample in samples if not sample["target"].any()]
    assert absent
    assert all(0.2 < sample["void"].float().mean() < 0.6 for sample in absent)


def test_an_object_in_no_sample_is_left_out():
    """A few pixels of a large frame may vanish when it is made smaller."""
    pairs = lucid_pairs(one_object(0), one_object(3), object_ids=(1, 3))
    for position in range(8):
        assert pairs[position]["target"].any()


def test_a_single_object_has_no_other_objects_around_it():
    scene = replace(SCENE, own=0.0)
    for position in range(8):
        sample = lucid_pairs(one_object(0), scene=scene)[position]
        assert iou(bright(sample, "known"), sample["known_mask"][0]) > 0.4


def test_samples_are_stacked_into_a_batch():
    samples = [lucid_pairs(one_object(0))[position] for position in range(3)]
    batch = stack(samples)
    assert batch["image"].shape == (3, 48, 64, 3)
    assert all(torch.equal(batch["guide"][place], samples[place]["guide"]) for place in range(3))


def test_frames_of_a_pair_are_those_of_its_sample():
    pairs = lucid_pairs(one_object(0), one_object(3))
    for position in range(4):
        frames = {frame.image_rgb.tobytes() for frame in pairs.frames(position)}
        sample = pairs[position]
        assert {sample[key].numpy().tobytes() for key in ("image", "known")} == frames


def test_keyframes_without_a_pixel_of_any_object_are_refused():
    with pytest.raises(InputError, match="are too small: no pixel of them is left at 64×48; annotate frames"):
        lucid_pairs(background_alone(0))
