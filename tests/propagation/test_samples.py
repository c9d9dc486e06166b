from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from conftest import tiny_mask
from tiny_run import TINY_LITE, TINY_OSVOS, write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.propagation.keyframes import read_keyframes
from dextr_vos.propagation.models import network_size
from dextr_vos.propagation.training_data import Sample, draw_batch, read_samples

STILL = Augmentation(flip=False, rotation_deg=0, scale=(1, 1))


def flat_sample(value: int) -> Sample:
    """A sample that can be told by its grey value."""
    labels = np.zeros((48, 64), dtype=np.uint8)
    labels[10:20, 10:20] = 1
    return Sample(np.full((48, 64, 3), value, dtype=np.uint8), labels)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_keyframe_is_used_in_turns(batch, count):
    samples = [flat_sample(40 * number) for number in range(count)]
    recipe = replace(TINY_OSVOS.recipe, batch=batch, augmentation=STILL)
    seen = []
    for number in range(3 * count):
        frames = draw_batch(samples, [1], TINY_OSVOS, recipe, number, seed=0).inputs[0]
        assert len(frames) == batch
        seen += [round(float(frame[2, 0, 0]) + 122.67892) // 40 for frame in frames]
    for turn in range(0, len(seen), count):
        assert sorted(seen[turn : turn + count]) == list(range(count))


def test_order_and_changes_follow_from_seed_and_pass_alone():
    samples = [flat_sample(value) for value in (10, 90, 170)]

    def draw(number, seed):
        return draw_batch(samples, [1], TINY_LITE, TINY_LITE.recipe, number, seed)

    draw(0, 0)
    assert torch.equal(draw(5, 0).inputs[0], draw(5, 0).inputs[0])
    assert torch.equal(draw(5, 0).targets, draw(5, 0).targets)
    assert not torch.equal(draw(5, 0).inputs[0], draw(5, 1).inputs[0])
    assert not torch.equal(draw(5, 0).inputs[0], draw(6, 0).inputs[0])


def test_several_objects_keep_their_channels_and_void_is_in_none():
    labels = np.zeros((48, 64), dtype=np.uint8)
    labels[5:10, 5:10], labels[20:30, 20:30], labels[40:44, 40:44] = 3, 1, 255
    sample = Sample(np.zeros((48, 64, 3), dtype=np.uint8), labels)
    recipe = replace(TINY_LITE.recipe, batch=1, augmentation=STILL)
    batch = draw_batch([sample], [1, 3, 7], TINY_LITE, recipe, 0, seed=0)
    assert batch.targets.shape == (1, 3, 48, 64)
    assert batch.targets.dtype == torch.float32
    assert [int(channel.sum()) for channel in batch.targets[0]] == [100, 25, 0]
    assert torch.equal(batch.targets[0, 0].bool(), torch.from_numpy(labels == 1))
    assert torch.equal(batch.void[0, 0], torch.from_numpy(labels == 255))


def test_what_turns_in_from_outside_is_void():
    recipe = replace(TINY_LITE.recipe, batch=1, augmentation=Augmentation(scale=(0.5, 0.5)))
    batch = draw_batch([flat_sample(9)], [1], TINY_LITE, recipe, 0, seed=0)
    assert 0.7 < float(batch.void.float().mean()) < 0.8
    assert not (batch.targets.bool() & batch.void).any()


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


def test_samples_are_the_keyframes_at_the_networks_size(tiny_clip, tmp_path):
    clip = open_clip(tiny_clip)
    keyframes = read_keyframes(write_keyframes(tmp_path / "masks", 0, 3), clip)
    whole, small = read_samples(clip, keyframes, None), read_samples(clip, keyframes, 32)
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
    (sample,) = read_samples(clip, [keyframe], longest)
    height, width = sample.labels.shape
    soft = cv2.resize(keyframe.labels.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)

    def centre(weights):
        return (np.indices(weights.shape) * weights).sum((1, 2)) / weights.sum()

    assert np.abs(centre(sample.labels.astype(float)) - centre(soft)).max() < 0.26
