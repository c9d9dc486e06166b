"""OSVOS accompanied by the shipped lite network, which follows what it segments."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import tiny_mask
from tiny_run import TINY_OSVOS, bytes_of, stop_after, train, write_keyframes

from dextr_vos.errors import ConfigError, Interrupted
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.propagation import clip_segmenter as fill
from dextr_vos.propagation.models import LITE
from dextr_vos.propagation.settings import changed

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_osvos")

FRAMES = range(6)


def accompanied(share):
    following = replace(TINY_OSVOS.recipe.following, own_share=share)
    return replace(TINY_OSVOS, recipe=replace(TINY_OSVOS.recipe, following=following))


def mask_of(run, index):
    return run / "masks" / f"{index:05d}.png"


@pytest.fixture
def keyframes(tmp_path):
    return write_keyframes(tmp_path / "keyframes", 0, 5)


@pytest.fixture
def asked(monkeypatch):
    """Frames on which OSVOS was asked."""
    frames = []
    ask = fill.object_probs

    def noted(network, model, longest_side, image_rgb, device):
        frames.append(image_rgb.tobytes())
        return ask(network, model, longest_side, image_rgb, device)

    monkeypatch.setattr(fill, "object_probs", noted)
    return frames


def test_what_osvos_has_not_learned_is_followed(tiny_clip, keyframes, tmp_path, asked):
    train(tiny_clip, keyframes, tmp_path / "alone", TINY_OSVOS)
    asked.clear()
    record = train(tiny_clip, keyframes, tmp_path / "both", accompanied(0.3))
    assert (record.model, record.training.steps) == ("osvos", 2)
    assert len(asked) == len(set(asked)) == 4  # two passes, each frame once
    scores = {
        name: [
            region_similarity(tiny_mask(index) == 1, read_labels(mask_of(tmp_path / name, index)) == 1)
            for index in FRAMES
        ]
        for name in ("alone", "both")
    }
    assert min(scores["both"]) > 0.8
    assert np.mean(scores["alone"][1:5]) < 0.5
    assert not (tmp_path / "both" / "masks" / fill.PASSES).exists()


def test_with_a_share_of_one_it_says_what_osvos_says_where_the_object_may_be(tiny_clip, keyframes, tmp_path):
    train(tiny_clip, keyframes, tmp_path / "alone", TINY_OSVOS)
    train(tiny_clip, keyframes, tmp_path / "whole", accompanied(1.0))
    for index in range(1, 5):
        alone, whole = (read_labels(mask_of(tmp_path / out, index)) == 1 for out in ("alone", "whole"))
        assert whole.any()
        assert np.mean(whole & ~alone) < 0.02  # of 256 levels
        rows, columns = np.nonzero(tiny_mask(index))
        near = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        assert np.mean(alone[near] != whole[near]) < 0.02


def test_it_goes_on_where_it_was_stopped(tiny_clip, keyframes, tmp_path, asked):
    train(tiny_clip, keyframes, tmp_path / "whole", accompanied(0.3))
    asked.clear()
    for calls in (4, 3):
        with pytest.raises(Interrupted):
            train(tiny_clip, keyframes, tmp_path / "stopped", accompanied(0.3), stop_asked=stop_after(calls))
    train(tiny_clip, keyframes, tmp_path / "stopped", accompanied(0.3))
    assert len(asked) == len(set(asked)) == 4
    assert bytes_of(tmp_path / "whole" / "masks") == bytes_of(tmp_path / "stopped" / "masks")


def test_a_correction_starts_from_the_network_there_is(tiny_clip, keyframes, tmp_path):
    first = train(tiny_clip, keyframes, tmp_path / "out", accompanied(0.3))
    write_keyframes(keyframes, 2)
    record = train(tiny_clip, keyframes, tmp_path / "out", accompanied(0.3))
    assert record.continued_from == first.fingerprint
    for index in FRAMES:
        found = read_labels(mask_of(tmp_path / "out", index))
        assert region_similarity(tiny_mask(index) == 1, found == 1) > (0.8 if index != 2 else 0.999)


def test_two_objects_are_told_apart(tiny_clip, tmp_path):
    keyframes = tmp_path / "keyframes"
    keyframes.mkdir()
    for index in (0, 5):
        write_labels(keyframes / f"{index:05d}.png", halves(index))
    train(tiny_clip, keyframes, tmp_path / "out", accompanied(0.3))
    for index in FRAMES:
        found = read_labels(mask_of(tmp_path / "out", index))
        for number in (1, 2):
            assert region_similarity(halves(index) == number, found == number) > 0.6


def halves(index):
    """The square's upper half is object 1, its lower half object 2."""
    labels = tiny_mask(index).copy()
    labels[24:] *= 2
    return labels


def test_what_it_takes_is_told_in_two_parts(tiny_clip, keyframes, tmp_path):
    told = []
    train(tiny_clip, keyframes, tmp_path / "out", accompanied(0.3), on_plan=told.append)
    (estimate,) = told
    assert (estimate.frames, estimate.alone) == (8, 4)
    assert estimate.alone_s > 0
    assert estimate.segmenting_s == pytest.approx(1.1 * (8 * estimate.frame_s + 4 * estimate.alone_s))


def test_a_network_that_follows_needs_no_company(tiny_clip, keyframes, tmp_path):
    model = replace(LITE, recipe=changed(LITE.recipe, ["following.own_share=0.3"]))
    with pytest.raises(ConfigError, match="lite follows objects itself"):
        train(tiny_clip, keyframes, tmp_path / "out", model)
    assert not (tmp_path / "out").exists()
