"""Objects in a run: several, small, absent, gone and back."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from conftest import tiny_mask
from PIL import Image
from tiny_run import (
    TINY_LITE,
    TINY_PAPER,
    bytes_of,
    other_clip,
    train,
    write_keyframes,
)

from dextr_vos.errors import InputError
from dextr_vos.masks import read_labels, write_labels

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")
FILES = ["confidence.json", "masks", "network.safetensors", "run.json"]
NAMES = [f"{index:05d}.png" for index in range(6)]


@pytest.fixture
def keyframes(tmp_path):
    return write_keyframes(tmp_path / "keyframes", 0, 3, white=True)


def test_objects_never_overlap_and_keep_their_numbers(tiny_clip, tmp_path, out):
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in (0, 3):
        labels = tiny_mask(index)
        labels[24:] *= 3
        labels[:4] = 255
        write_labels(folder / NAMES[index], labels)
    model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, max_steps=30))
    record = train(tiny_clip, folder, out, model)
    assert [entry.id for entry in record.objects] == [1, 3]
    seen = set()
    for index in (1, 2, 4, 5):
        labels = read_labels(out / "masks" / NAMES[index])
        seen |= set(np.unique(labels).tolist())
    assert seen == {0, 1, 3}  # void is never predicted
    assert 255 in read_labels(out / "masks" / NAMES[0])  # but a copy is a copy


def test_a_keyframe_without_the_object_teaches_too(tiny_clip, tmp_path, out):
    """With one keyframe a step, as OSVOS has it, an empty one must still have a gradient."""
    folder = write_keyframes(tmp_path / "k", 0)
    write_labels(folder / "00003.png", np.zeros((48, 64), dtype=np.uint8))
    losses = []
    single = replace(TINY_PAPER, recipe=replace(TINY_PAPER.recipe, accumulate_grad=1))
    train(tiny_clip, folder, out, single, on_step=lambda done, total, loss: losses.append(loss))
    assert min(losses) > 0


def test_an_object_leaves_and_comes_back(tmp_path, out):
    """Keyframes say that it is there, gone, and there again, a mirrored way along."""
    lefts = [8, 12, 16, None, None, None, 30, 34, 38]
    clip, folder = tmp_path / "clip", tmp_path / "masks"
    clip.mkdir(), folder.mkdir()
    rng = np.random.default_rng(3)
    ground = rng.integers(0, 70, (48, 64, 3), dtype=np.uint8)
    texture = rng.integers(150, 255, (20, 18, 3), dtype=np.uint8)
    for index, left in enumerate(lefts):
        frame, labels = ground.copy(), np.zeros((48, 64), np.uint8)
        if left is not None:
            frame[14:34, left : left + 18], labels[14:34, left : left + 18] = texture, 1
        Image.fromarray(frame).save(clip / f"{index:05d}.png")
        if index in (0, 4, 8):
            write_labels(folder / f"{index:05d}.png", labels)
    model = replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, batch=2, max_steps=40, cooldown=10))
    train(clip, folder, out, model)
    for index, left in enumerate(lefts):
        found = read_labels(out / "masks" / f"{index:05d}.png") == 1
        truth = np.zeros((48, 64), bool)
        if left is None:
            assert found.mean() < 0.02, index
        else:
            truth[14:34, left : left + 18] = True
            assert (found & truth).sum() / (found | truth).sum() > 0.5, index
    assert (out / "masks" / "00004.png").read_bytes() == (folder / "00004.png").read_bytes()


@pytest.mark.parametrize("size", [(20, 17), (33, 16), (200, 16)])
def test_frames_may_be_very_small(tmp_path, out, size):
    clip = other_clip(tmp_path / "small", 4, size)
    folder = tmp_path / "masks"
    folder.mkdir()
    labels = np.zeros((size[1], size[0]), np.uint8)
    labels[4:12, 4:12] = 1
    for index in (0, 3):
        write_labels(folder / f"{index:05d}.png", labels)
    train(clip, folder, out, max_steps=2)
    assert read_labels(out / "masks" / "00001.png").shape == size[::-1]


def tiny_objects(folder, *, also_large):
    """The mask of a 640×480 frame with an object of one pixel, which vanishes at a tenth of that size."""
    labels = np.zeros((480, 640), np.uint8)
    if also_large:
        labels[100:300, 100:300] = 1
    labels[404, 513] = 2
    write_labels(folder / "00000.png", labels)
    return replace(TINY_LITE, recipe=replace(TINY_LITE.recipe, longest_side=64))


def test_an_object_too_small_to_be_seen_does_not_stop_the_others(tmp_path, out):
    clip = other_clip(tmp_path / "large", 3, (640, 480))
    model = tiny_objects(tmp_path / "masks", also_large=True)
    train(clip, tmp_path / "masks", out, model)
    assert sorted(bytes_of(out / "masks")) == NAMES[:3]


def test_only_objects_too_small_to_be_seen_are_reported_or_passed_over(tmp_path, out):
    clip = other_clip(tmp_path / "large", 3, (640, 480))
    model = tiny_objects(tmp_path / "masks", also_large=False)
    with suppress(InputError):  # one sentence would do; anything else is a crash
        train(clip, tmp_path / "masks", out, model)
