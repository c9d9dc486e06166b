"""What is on the tracker's device stays there: tried on "meta", whose tensors have no values to hand out."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from dextr_vos.clip import open_clip
from dextr_vos.propagation import bidirectional
from dextr_vos.propagation import tracker as tracker_module
from dextr_vos.propagation.crops import VisiblePart
from dextr_vos.propagation.keyframes import AnnotatedClip, Span, keyframes_from_labels
from dextr_vos.propagation.models import LITE
from dextr_vos.propagation.settings import CropSettings
from dextr_vos.propagation.tracker import Tracker
from dextr_vos.runtime import HostCopy

META, SIZE_HW = torch.device("meta"), (120, 200)


@pytest.fixture
def asked(monkeypatch):
    """How many objects' boxes the CPU asked for, frame by frame, and what was sent on its way there."""
    boxes, copies = [], []

    def parts(probs):
        boxes.append(len(probs))
        return [VisiblePart(600, slice(20, 50), slice(40 * k, 20 + 40 * k)) for k in range(len(probs))]

    monkeypatch.setattr(tracker_module, "visible_parts", parts)
    monkeypatch.setattr(bidirectional, "HostCopy", copies.append)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it knows no "meta"
    return boxes, copies


@pytest.mark.parametrize("objects", [1, 3])
def test_frame_after_frame_nothing_but_boxes_comes_back(asked, tmp_path, objects):
    boxes, copies = asked
    images = np.random.default_rng(0).integers(0, 255, (5, *SIZE_HW, 3), dtype=np.uint8)
    clip, labels = open_clip(images), np.zeros(SIZE_HW, np.uint8)
    for k in range(objects):
        labels[20:50, 40 * k : 20 + 40 * k] = k + 1
    annotated = AnnotatedClip(clip, keyframes_from_labels({0: labels}, clip))
    network = LITE.start(1, 0, None).eval().to(META)
    propagator = LITE.propagator(network, LITE.recipe, annotated, META, tmp_path)
    state, span = bidirectional._Pass(propagator._keyframe(0)), Span(1, 4, 0, None)
    files = propagator._soft_masks(span, "forward")
    for index in range(1, 5):
        propagator._advance(state, span, clip[index], index, files)
    assert len(state.recent) > 0
    assert boxes == [objects] * 5  # once a frame, the keyframe among them
    for copied in copies:
        assert [each.device for each in copied] == [META] * 3
        assert [each.shape for each in copied] == [(objects, *SIZE_HW), (objects,), (objects,)]
    assert len(copies) == 4


@pytest.mark.parametrize(("device", "frames"), [("cpu", 0), ("mps", 0), ("cuda", 1), ("cuda:1", 1)])
def test_frames_are_begun_ahead_where_copies_do_not_wait(device, frames):
    tracker = Tracker(LITE.start(1, 0, None), torch.device(device), False, CropSettings(), 480)
    assert tracker.frames_ahead == frames


def test_a_copy_on_the_cpu_is_what_was_given():
    given = [torch.arange(3.0), torch.ones(2, 2)]
    found = HostCopy(given).read()
    assert all(torch.equal(one, other) for one, other in zip(found, given, strict=True))


@pytest.mark.gpu
def test_a_copy_waits_for_what_it_copies():
    torch.cuda._sleep(10**8)
    values = torch.arange(2.0**24, device="cuda") + 1
    copy = HostCopy([values, 2 * values])
    values.zero_()
    one, other = copy.read()
    assert one.device.type == other.device.type == "cpu"
    assert torch.equal(one, torch.arange(2.0**24) + 1)
    assert torch.equal(other, 2 * (torch.arange(2.0**24) + 1))
