import cv2
import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE

from dextr_vos.networks.lite_tracker import lite_input
from dextr_vos.propagation.bidirectional import masked_frame
from dextr_vos.propagation.settings import CropSettings
from dextr_vos.propagation.tracker import (
    MaskedFrame,
    SequenceSegmenter,
    Tracker,
    resized_frame,
)

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")


@pytest.fixture
def tracker():
    # a crop as large as the frame, so that everything is in it
    return Tracker(
        TINY_LITE.start(1, 0, None).eval(), CPU, False, CropSettings(margins=(9,), enlarge=1.0), 480
    )


def memorize(tracker, frame):
    return tracker.memorize(tracker.encode_known(frame), frame.probs)


def track(tracker, before, image_rgb, memories):
    objects = memories[0][0].masks.shape[1]
    return tracker.segment(tracker.encode_next(before, image_rgb, objects), memories)


def answer(logits, quality=0.5):
    """What `LiteTracker.decode` gives."""
    return logits, torch.full(logits.shape[:2], quality)


def two_labels(index: int) -> np.ndarray:
    labels = tiny_mask(index)
    labels[38:46, 10:50] = 2
    return labels


def keyframe(index: int, object_ids=(1,), size_hw=(48, 64)) -> MaskedFrame:
    return masked_frame(tiny_frame(index), two_labels(index), object_ids, size_hw)


@pytest.mark.parametrize("object_ids", [(1,), (1, 2), (2, 1, 7)])
def test_soft_masks_are_shares_of_each_pixel(tracker, object_ids):
    known = keyframe(0, object_ids)
    for before in (known, None):
        found = track(tracker, before, tiny_frame(1), [memorize(tracker, known)])
        probs, quality = found.probs, found.iou_estimate
        assert (quality.shape, quality.dtype) == ((len(object_ids),), torch.float32)
        assert 0 <= quality.min() <= quality.max() <= 1
        assert (probs.shape, probs.dtype) == ((len(object_ids), 48, 64), torch.float32)
        assert 0 <= probs.min() <= probs.max() <= 1
        if len(object_ids) > 1:  # a pixel is of one object at most
            assert probs.sum(0).max() <= 1 + 1e-5


def test_objects_differ_by_their_channel_alone(tracker):
    one, other = keyframe(0, (1, 2)), keyframe(0, (2, 1))
    first = track(tracker, one, tiny_frame(1), [memorize(tracker, one)])
    swapped = track(tracker, other, tiny_frame(1), [memorize(tracker, other)])
    assert torch.allclose(first.probs, swapped.probs.flip(0), atol=1e-5)
    assert torch.allclose(first.iou_estimate, swapped.iou_estimate.flip(0), atol=1e-5)
    assert not torch.allclose(first.probs, swapped.probs, atol=1e-3)


def test_guide_and_memory_both_matter(tracker):
    here, there = keyframe(0), keyframe(3)
    nothing = MaskedFrame(here.image_rgb, torch.zeros_like(here.probs))
    usual = track(tracker, here, tiny_frame(1), [memorize(tracker, here)]).probs
    for before, memory in ((None, here), (nothing, here), (here, nothing), (here, there)):
        # little in an untrained network, but not nothing
        other = track(tracker, before, tiny_frame(1), [memorize(tracker, memory)]).probs
        assert not torch.equal(usual, other)


def test_the_guide_follows_the_flow(tracker):
    """It is where the flow moves the mask, not where the mask was."""
    guides = []
    tracker._network.decode = lambda features, memory, guide, windows: (
        guides.append(guide[0, 0]) or answer(guide)
    )
    track(tracker, keyframe(0), tiny_frame(1), [memorize(tracker, keyframe(0))])
    (guide,) = guides
    size_wh = guide.shape[1], guide.shape[0]
    moved, still = (
        cv2.resize(tiny_mask(index), size_wh, interpolation=cv2.INTER_AREA) == 1 for index in (1, 0)
    )
    warped = guide.numpy() > 0
    assert (warped & moved).sum() > 1.1 * (warped & still).sum()


def test_all_memories_are_read(tracker):
    given = []
    tracker._network.decode = lambda features, memory, guide, windows: given.append(memory) or answer(guide)
    memories = [memorize(tracker, keyframe(index)) for index in (0, 3, 5)]
    track(tracker, keyframe(0), tiny_frame(1), memories)
    (joined,) = given
    for name, tensor in vars(joined).items():
        entries = 1 if name == "counts" else 2
        assert torch.equal(tensor, torch.cat([getattr(each, name) for (each,) in memories], dim=entries))


@pytest.mark.parametrize("level", [-80.0, 80.0, 0.0])
@pytest.mark.parametrize("objects", [1, 2, 6])
def test_extreme_logits_give_finite_probabilities(tracker, level, objects):
    tracker._network.decode = lambda features, memory, guide, windows: answer(
        torch.full_like(guide, level), level
    )
    known = keyframe(0, tuple(range(1, objects + 1)))
    found = track(tracker, known, tiny_frame(1), [memorize(tracker, known)])
    assert found.iou_estimate.tolist() == [float(level > 0)] * objects
    probs = found.probs
    assert probs.isfinite().all()
    if level > 0:
        assert probs.sum(0).numpy() == pytest.approx(1, abs=1e-3)
    if level < 0:
        assert probs.max() < 1e-3


def test_nothing_is_found_outside_the_crop():
    crops = CropSettings(margins=(1.5,), least=0.1)
    tracker = Tracker(TINY_LITE.start(1, 0, None).eval(), CPU, False, crops, 480)
    tracker._network.decode = lambda features, memory, guide, windows: answer(torch.full_like(guide, 9.0))
    features = tracker.encode_next(keyframe(0), tiny_frame(1), 1)
    (probs,) = tracker.segment(features, [memorize(tracker, keyframe(0))]).probs
    inside = np.zeros((48, 64), bool)
    (crop,) = features.crops
    inside[crop.region.rows, crop.region.columns] = True
    assert 0.1 < inside.mean() < 0.9
    assert probs[inside].min() > 0.99
    assert not probs[~inside].any()


def test_each_of_several_objects_is_found_around_its_guide_alone(monkeypatch):
    crops = CropSettings(margins=(1.0,), least=0.05)
    tracker = Tracker(TINY_LITE.start(1, 0, None).eval(), CPU, False, crops, 480)

    def everywhere(maps, guide, cues, summaries):
        return torch.full((len(guide), 1, *maps[0].shape[-2:]), 9.0), torch.ones(len(guide))

    monkeypatch.setattr(tracker._network.decoder, "forward", everywhere)
    image = cv2.resize(tiny_frame(0), (320, 240))
    probs = torch.zeros((3, 240, 320))
    probs[0, 20:60, 20:60] = 1
    probs[1, 170:220, 250:310] = 1
    known = MaskedFrame(image, probs)
    features = tracker.encode_next(known, image, 3)
    found = tracker.segment(features, [memorize(tracker, known)]).probs > 0.25
    assert found[0, 20:60, 20:60].all()
    assert found[1, 170:220, 250:310].all()
    assert not found[0, :, 200:].any()
    assert not found[1, :, :100].any()
    assert found[2].any()  # nothing is known of its place
    assert found[2, 120, 160]


def test_a_narrow_and_a_wide_crop_are_averaged():
    def found(*margins):
        crops = CropSettings(margins=margins, least=0.1)
        tracker = Tracker(TINY_LITE.start(1, 0, None).eval(), CPU, False, crops, 480)
        return track(tracker, keyframe(0), tiny_frame(1), [memorize(tracker, keyframe(0))])

    both, narrow, wide = found(1.2, 3.0), found(1.2), found(3.0)
    assert torch.allclose(both.probs, (narrow.probs + wide.probs) / 2, atol=1e-6)
    assert torch.allclose(both.iou_estimate, (narrow.iou_estimate + wide.iou_estimate) / 2, atol=1e-6)
    assert not torch.allclose(both.probs, wide.probs, atol=1e-3)


def test_equal_crops_are_encoded_once(tracker):
    several = Tracker(tracker._network, CPU, False, CropSettings(margins=(8, 9), enlarge=1.0), 480)
    narrow, wide = several.encode_next(keyframe(0), tiny_frame(1), 1).crops
    assert narrow is wide
    assert torch.allclose(
        track(several, keyframe(0), tiny_frame(1), [memorize(several, keyframe(0))]).probs,
        track(tracker, keyframe(0), tiny_frame(1), [memorize(tracker, keyframe(0))]).probs,
    )


def test_nothing_is_known_of_an_object_that_was_absent(tracker):
    """A guide of minus one would say that it is surely absent, and it could hardly come back."""
    absent = MaskedFrame(tiny_frame(0), torch.stack([keyframe(0).probs[0], torch.zeros((48, 64))]))
    guides = tracker.encode_next(absent, tiny_frame(1), 2).crops[0].guides[0]
    assert (guides[1] == 0).all()
    assert guides[0].min() < -0.9
    assert (tracker.encode_next(None, tiny_frame(1), 2).crops[0].guides == 0).all()


def test_an_absent_object_may_come_back_far_from_the_others():
    tracker = Tracker(
        TINY_LITE.start(1, 0, None).eval(), CPU, False, CropSettings(margins=(1.5,), least=0.1), 480
    )
    absent = MaskedFrame(tiny_frame(0), torch.stack([keyframe(0).probs[0], torch.zeros((48, 64))]))
    crop = tracker.encode_next(absent, tiny_frame(1), 2).crops[0].region
    assert (crop.rows, crop.columns) == (slice(0, 48), slice(0, 64))


def test_several_objects_are_looked_for_everywhere_where_nothing_guides():
    tracker = Tracker(TINY_LITE.start(1, 0, None).eval(), CPU, False, CropSettings(least=0.1), 480)
    frame = MaskedFrame(cv2.resize(tiny_frame(0), (320, 240)), torch.zeros((2, 240, 320)))
    frame.probs[0, 20:60, 20:60], frame.probs[1, 170:220, 250:310] = 1, 1
    (guided,), (unguided,) = tracker.encode_known(frame).crops, tracker.encode_unguided(frame).crops
    assert guided.region == unguided.region
    assert guided.windows is not None
    assert unguided.windows is None
    assert not unguided.guides.any()


def test_memory_is_thinner_away_from_outlines_on_a_cpu(tracker):
    frame = keyframe(0)
    features = tracker.encode_known(frame)
    (memory,) = tracker.memorize(features, frame.probs)
    height, width = features.crops[0].features.keys.shape[-2:]
    assert memory.counts.shape[1] < memory.counts.sum() == height * width


def test_no_gradients_are_kept(tracker):
    (memory,) = memorize(tracker, keyframe(0))
    track(tracker, keyframe(0), tiny_frame(1), [(memory,)])
    assert not any(each.requires_grad for each in vars(memory).values())
    for network in (tracker._network, tracker._trained):
        assert all(parameter.grad is None for parameter in network.parameters())


def test_a_faster_copy_of_the_network_is_used_until_it_is_forgotten():
    network = TINY_LITE.start(1, 0, None).eval()
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as trained ones are: none is the identity
            module.running_mean.normal_(std=0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    tracker = Tracker(network, CPU, False, CropSettings(margins=(9,)), 480)
    (crop,) = tracker.encode_next(keyframe(0), tiny_frame(1), 1).crops
    frames = lite_input(crop.region.cut_image(tiny_frame(1))[None])
    with torch.inference_mode():
        expected = network.encode(frames)
    torch.testing.assert_close(crop.features.keys, expected.keys, rtol=1e-4, atol=1e-5)
    assert same(network.state_dict(), before)  # and it is a copy that was folded
    network.load_state_dict(TINY_LITE.start(1, 1, None).state_dict())
    (still,) = tracker.encode_next(keyframe(0), tiny_frame(1), 1).crops
    assert torch.equal(still.features.keys, crop.features.keys)
    tracker.forget()
    (changed,) = tracker.encode_next(keyframe(0), tiny_frame(1), 1).crops
    with torch.inference_mode():
        expected = network.encode(frames)
    torch.testing.assert_close(changed.features.keys, expected.keys, rtol=1e-4, atol=1e-5)


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_sequence_begins_with_memory_alone_and_then_tracks(tracker):
    known = keyframe(0, (1, 2))
    memories = memorize(tracker, known)
    segmenter = SequenceSegmenter(tracker, memories, (24, 32), 2)
    before = None
    for index in range(3):
        small = resized_frame(tiny_frame(index), (24, 32))
        expected = track(tracker, before, small, [memories]).probs
        assert np.array_equal(segmenter.segment(tiny_frame(index)), expected.numpy())
        before = MaskedFrame(small, expected)


def test_a_frame_of_the_right_size_is_not_copied():
    image = tiny_frame(0)
    assert resized_frame(image, (48, 64)) is image
    small = resized_frame(image, (24, 32))
    assert (small.shape, small.dtype) == ((24, 32, 3), np.uint8)
