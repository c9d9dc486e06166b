"""What is on the tracker's device stays there: tried on "meta", whose tensors have no values to hand out."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from dextr_vos.propagation import tracker as tracker_module
from dextr_vos.propagation.bidirectional import PassMasks, masked_frame
from dextr_vos.propagation.confidence import mask_areas, possible_areas
from dextr_vos.propagation.crops import VisiblePart
from dextr_vos.propagation.models import LITE
from dextr_vos.propagation.tracker import MaskedFrame
from dextr_vos.runtime import HostCopy

META, SIZE_HW = torch.device("meta"), (120, 200)


@pytest.fixture
def waits(monkeypatch):
    """How many objects the CPU asked for the boxes of, frame by frame."""
    asked = []

    def parts(probs):
        asked.append(len(probs))
        return [VisiblePart(600, slice(20, 50), slice(40 * k, 20 + 40 * k)) for k in range(len(probs))]

    monkeypatch.setattr(tracker_module, "visible_parts", parts)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it knows no "meta"
    return asked


@pytest.mark.parametrize("objects", [1, 3])
def test_frame_after_frame_nothing_but_boxes_comes_back(waits, objects):
    tracking = LITE.recipe.tracking
    network = LITE.start(1, 0, None).eval().to(META)
    tracker = LITE.tracker(network, tracking, LITE.recipe.longest_side, META)
    assert tracker.frames_ahead == 1
    image = np.random.default_rng(0).integers(0, 255, (*SIZE_HW, 3), dtype=np.uint8)
    labels = np.zeros(SIZE_HW, np.uint8)
    keyframe = masked_frame(image, labels, range(1, objects + 1), SIZE_HW)
    frame = MaskedFrame(image, keyframe.probs.to(META))
    memories = [tracker.memorize(tracker.encode_known(frame), frame.probs)]
    areas = mask_areas(frame.probs)
    for _ in range(3):
        features = tracker.encode_next(frame, image, objects)
        found = tracker.segment(features, memories)
        areas = possible_areas(areas, frame.probs, features.guides, found.probs)
        masks = PassMasks(found.probs, found.iou_estimate, areas).quantized()
        memories.append(tracker.memorize(features, masks.probs))
        frame = MaskedFrame(image, masks.probs)
        assert (masks.probs.device, masks.probs.shape) == (META, (objects, *SIZE_HW))
        assert (masks.iou_estimate.device, masks.areas.shape) == (META, (objects,))
    assert waits == [objects] * 4  # once a frame
    with pytest.raises(NotImplementedError, match="no data"):
        masks.copied()


def test_a_copy_on_the_cpu_is_what_was_given():
    given = [torch.arange(3.0), torch.ones(2, 2)]
    found = HostCopy(given).read()
    assert all(torch.equal(one, other) for one, other in zip(found, given, strict=True))


@pytest.mark.gpu
def test_a_copy_arrives_as_it_was_when_asked_for():
    values = torch.arange(1000.0, device="cuda")
    copy = HostCopy([values, 2 * values])
    values.zero_()
    one, other = copy.read()
    assert one.device.type == other.device.type == "cpu"
    assert torch.equal(one, torch.arange(1000.0))
    assert torch.equal(other, 2 * torch.arange(1000.0))
