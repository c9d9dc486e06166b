import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_PAPER
from torch import nn

from dextr_vos.clip import open_clip
from dextr_vos.networks.lite_tracker import lite_input
from dextr_vos.networks.osvos import osvos_input
from dextr_vos.propagation.keyframes import AnnotatedClip, Span, SpanPart, keyframes_from_labels
from dextr_vos.propagation.models import FrameSegmenter, SingleFramePropagator
from dextr_vos.propagation.postprocess import labels_of_probs

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_osvos")


class Channels(nn.Module):
    """Logits that are the normalized color channels of the frame: as many objects as wanted."""

    def __init__(self, objects: int) -> None:
        super().__init__()
        self.objects = objects

    def forward(self, frames):
        return [torch.full_like(frames[:, : self.objects], 99.0), 4 * frames[:, : self.objects]]


def channels(objects, longest_side=None):
    return FrameSegmenter(Channels(objects), lite_input, longest_side, CPU, bf16=False)


def paper(objects, longest_side):
    network = TINY_PAPER.start(objects, 0, None).eval()
    return FrameSegmenter(network, osvos_input, longest_side, CPU, bf16=True)


def stripes(size_hw=(48, 64)):
    """Red, green, blue and black quarters, left to right."""
    image = np.zeros((*size_hw, 3), dtype=np.uint8)
    for channel in range(3):
        image[:, channel * size_hw[1] // 4 : (channel + 1) * size_hw[1] // 4, channel] = 255
    return image


@pytest.mark.parametrize("longest_side", [None, 40])
@pytest.mark.parametrize("size_hw", [(48, 64), (47, 65)])
def test_soft_masks_have_the_size_of_the_frame(longest_side, size_hw):
    probs = paper(2, longest_side).segment(stripes(size_hw))
    assert (probs.shape, probs.dtype) == ((2, *size_hw), np.float32)
    assert 0 <= probs.min() <= probs.max() <= 1


def test_objects_keep_their_channels_and_the_last_logits_count():
    labels = labels_of_probs(channels(3).segment(stripes()), [1, 3, 200])
    quarters = [np.unique(labels[:, start : start + 16]).tolist() for start in (0, 16, 32, 48)]
    assert quarters == [[1], [3], [200], [0]]


def test_a_small_network_input_gives_nearly_the_same():
    whole, small = (labels_of_probs(channels(3, side).segment(stripes()), [1, 2, 3]) for side in (None, 32))
    assert (whole != small).mean() < 0.05


def test_the_same_frame_gives_the_same_soft_masks():
    segmenter = paper(1, 480)
    first, _, again = (segmenter.segment(tiny_frame(index)) for index in (2, 3, 2))
    assert np.array_equal(first, again)


@pytest.fixture
def propagator(tiny_clip):
    clip = open_clip(tiny_clip)
    annotated = AnnotatedClip(clip, keyframes_from_labels({2: tiny_mask(2)}, clip))
    return SingleFramePropagator(annotated, channels(1))


def test_frames_of_a_span_are_segmented_each_on_its_own(propagator):
    steps = []
    found = list(propagator.propagate(SpanPart(Span(3, 5, 2, None), 4, 5), lambda: steps.append(1)))
    assert [each.index for each in found] == [4, 5]
    assert len(steps) == 2
    assert propagator.steps(SpanPart(Span(3, 5, 2, 6), 4, 5)) == 2
    for each in found:
        assert np.array_equal(each.image_rgb, tiny_frame(each.index))
        assert np.array_equal(each.probs, channels(1).segment(tiny_frame(each.index)))
        assert each.agreement.tolist() == [1.0]
        assert each.iou_estimate is None


def test_keyframes_are_frames_like_others_and_nothing_is_memorized(propagator):
    assert np.array_equal(propagator.repeat(2).probs, channels(1).segment(tiny_frame(2)))
    assert propagator.memory() is None
