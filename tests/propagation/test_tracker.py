import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE

from dextr_vos.propagation.clip_segmenter import masked_keyframe
from dextr_vos.propagation.models import build_network
from dextr_vos.propagation.object_crop import CropSettings
from dextr_vos.propagation.tracker import MaskedFrame, Tracker

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")


@pytest.fixture
def tracker():
    # a window as large as the frame, so that everything is in it
    return Tracker(
        build_network(TINY_LITE, 1, 0).eval(), CPU, False, CropSettings(margins=(9,), enlarge=1.0), 480
    )


def remember(tracker, seen):
    return tracker.remember(tracker.known_view(seen), seen.probs)


def follow(tracker, before, image_rgb, memories):
    objects = memories[0][0].masks.shape[1]
    return tracker.segment(tracker.view(before, image_rgb, objects), memories)


def two_labels(index: int) -> np.ndarray:
    labels = tiny_mask(index)
    labels[38:46, 10:50] = 2
    return labels


def keyframe(index: int, numbers=(1,), size_hw=(48, 64)) -> MaskedFrame:
    return masked_keyframe(tiny_frame(index), two_labels(index), numbers, size_hw)


@pytest.mark.parametrize("numbers", [(1,), (1, 2), (2, 1, 7)])
def test_soft_masks_are_shares_of_each_pixel(tracker, numbers):
    known = keyframe(0, numbers)
    for before in (known, None):
        probs = follow(tracker, before, tiny_frame(1), [remember(tracker, known)])
        assert (probs.shape, probs.dtype) == ((len(numbers), 48, 64), np.float32)
        assert 0 <= probs.min() <= probs.max() <= 1
        if len(numbers) > 1:  # a pixel is of one object at most
            assert probs.sum(0).max() <= 1 + 1e-5


def test_objects_are_told_apart_by_their_place_alone(tracker):
    one, other = keyframe(0, (1, 2)), keyframe(0, (2, 1))
    first = follow(tracker, one, tiny_frame(1), [remember(tracker, one)])
    swapped = follow(tracker, other, tiny_frame(1), [remember(tracker, other)])
    assert np.allclose(first, swapped[::-1], atol=1e-5)
    assert not np.allclose(first, swapped, atol=1e-3)


def test_guide_and_memory_both_matter(tracker):
    here, there = keyframe(0), keyframe(3)
    nothing = MaskedFrame(here.image_rgb, np.zeros_like(here.probs))
    usual = follow(tracker, here, tiny_frame(1), [remember(tracker, here)])
    for before, memory in ((None, here), (nothing, here), (here, nothing), (here, there)):
        # the untrained network listens little, but it listens
        assert not np.array_equal(usual, follow(tracker, before, tiny_frame(1), [remember(tracker, memory)]))


def test_what_moved_before_moves_on(tracker):
    """The guide is where the flow carries the mask, not where it was."""
    guides = []
    network = tracker._network
    network.decode = lambda features, memory, guide: guides.append(guide[0, 0]) or [guide]
    follow(tracker, keyframe(0), tiny_frame(1), [remember(tracker, keyframe(0))])
    (guide,) = guides
    carried, moved, still = guide.numpy() > 0, tiny_mask(1) == 1, tiny_mask(0) == 1
    assert (carried & moved).sum() > 1.1 * (carried & still).sum()


def test_all_that_is_remembered_can_be_read(tracker):
    given = []
    tracker._network.decode = lambda features, memory, guide: given.append(memory) or [guide]
    memories = [remember(tracker, keyframe(index)) for index in (0, 3, 5)]
    follow(tracker, keyframe(0), tiny_frame(1), memories)
    (joined,) = given
    assert torch.equal(joined.keys, torch.cat([each.keys for (each,) in memories], dim=2))
    assert torch.equal(joined.masks, torch.cat([each.masks for (each,) in memories], dim=2))


@pytest.mark.parametrize("level", [-80.0, 80.0, 0.0])
@pytest.mark.parametrize("objects", [1, 2, 6])
def test_extreme_scores_stay_numbers(tracker, level, objects):
    network = tracker._network
    network.decode = lambda features, memory, guide: [torch.full_like(guide, level)]
    known = keyframe(0, tuple(range(1, objects + 1)))
    probs = follow(tracker, known, tiny_frame(1), [remember(tracker, known)])
    assert np.isfinite(probs).all()
    if level > 0:
        assert probs.sum(0) == pytest.approx(1, abs=1e-3)
    if level < 0:
        assert probs.max() < 1e-3


def test_outside_its_window_there_is_nothing():
    zoom = CropSettings(margins=(1.5,), least=0.1)
    tracker = Tracker(build_network(TINY_LITE, 1, 0).eval(), CPU, False, zoom, 480)
    tracker._network.decode = lambda features, memory, guide: [torch.full_like(guide, 9.0)]
    view = tracker.view(keyframe(0), tiny_frame(1), 1)
    (probs,) = tracker.segment(view, [remember(tracker, keyframe(0))])
    inside = np.zeros((48, 64), bool)
    (look,) = view.looks
    inside[look.window.rows, look.window.columns] = True
    assert 0.1 < inside.mean() < 0.9
    assert probs[inside].min() > 0.99
    assert not probs[~inside].any()


def test_a_narrow_and_a_wide_look_are_averaged():
    def answer(*margins):
        zoom = CropSettings(margins=margins, least=0.1)
        tracker = Tracker(build_network(TINY_LITE, 1, 0).eval(), CPU, False, zoom, 480)
        return follow(tracker, keyframe(0), tiny_frame(1), [remember(tracker, keyframe(0))])

    both = answer(1.2, 3.0)
    assert np.allclose(both, (answer(1.2) + answer(3.0)) / 2, atol=1e-6)
    assert not np.allclose(both, answer(3.0), atol=1e-3)


def test_windows_that_are_the_same_are_looked_at_once(tracker):
    several = Tracker(tracker._network, CPU, False, CropSettings(margins=(8, 9), enlarge=1.0), 480)
    narrow, wide = several.view(keyframe(0), tiny_frame(1), 1).looks
    assert narrow is wide
    assert np.allclose(
        follow(several, keyframe(0), tiny_frame(1), [remember(several, keyframe(0))]),
        follow(tracker, keyframe(0), tiny_frame(1), [remember(tracker, keyframe(0))]),
    )


def test_nothing_is_known_of_what_was_not_there_before(tracker):
    """Minus one would say that it is surely not there, and it could hardly come back."""
    gone = MaskedFrame(tiny_frame(0), np.stack([keyframe(0).probs[0], np.zeros((48, 64), np.float32)]))
    guides = tracker.view(gone, tiny_frame(1), 2).looks[0].guides[0]
    assert (guides[1] == 0).all()
    assert guides[0].min() < -0.9
    assert (tracker.view(None, tiny_frame(1), 2).looks[0].guides == 0).all()


def test_an_object_that_is_gone_may_come_back_far_from_the_others():
    tracker = Tracker(
        build_network(TINY_LITE, 1, 0).eval(), CPU, False, CropSettings(margins=(1.5,), least=0.1), 480
    )
    gone = MaskedFrame(tiny_frame(0), np.stack([keyframe(0).probs[0], np.zeros((48, 64), np.float32)]))
    window = tracker.view(gone, tiny_frame(1), 2).looks[0].window
    assert (window.rows, window.columns) == (slice(0, 48), slice(0, 64))


def test_no_gradients_are_kept(tracker):
    (memory,) = remember(tracker, keyframe(0))
    follow(tracker, keyframe(0), tiny_frame(1), [(memory,)])
    assert not memory.keys.requires_grad
    assert all(parameter.grad is None for parameter in tracker._network.parameters())


@pytest.mark.parametrize("size_hw", [(48, 64), (24, 32), (16, 60)])
def test_a_keyframe_is_seen_at_the_size_of_the_network(size_hw):
    seen = keyframe(2, (1, 2, 9), size_hw)
    assert seen.image_rgb.shape == (*size_hw, 3)
    assert (seen.probs.shape, seen.probs.dtype) == ((3, *size_hw), np.float32)
    scale = size_hw[0] * size_hw[1] / (48 * 64)
    for place, number in enumerate((1, 2, 9)):  # no share of any object is lost
        assert seen.probs[place].sum() == pytest.approx(scale * (two_labels(2) == number).sum(), rel=1e-3)
    assert seen.probs.sum(0).max() <= 1 + 1e-6
