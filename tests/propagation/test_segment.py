from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_frame
from tiny_run import CPU, TINY_OSVOS
from torch import nn

from dextr_vos.networks.lite_tracker import lite_input
from dextr_vos.propagation.models import build_network, frame_labels, object_probs

pytestmark = pytest.mark.usefixtures("one_thread")

RGB = replace(TINY_OSVOS, prepare=lite_input)  # normalised red, green, blue


class Channels(nn.Module):
    """Scores that are the normalised colour channels of the frame: as many objects as wanted."""

    def __init__(self, objects: int) -> None:
        super().__init__()
        self.objects = objects

    def forward(self, frames):
        return [torch.full_like(frames[:, : self.objects], 99.0), 4 * frames[:, : self.objects]]


def stripes(size_hw=(48, 64)):
    """Red, green, blue and black quarters, left to right."""
    image = np.zeros((*size_hw, 3), dtype=np.uint8)
    for channel in range(3):
        image[:, channel * size_hw[1] // 4 : (channel + 1) * size_hw[1] // 4, channel] = 255
    return image


@pytest.mark.parametrize("longest", [None, 40])
@pytest.mark.parametrize("size_hw", [(48, 64), (47, 65)])
def test_soft_masks_have_full_size(longest, size_hw):
    network = build_network(TINY_OSVOS, 2, seed=0).eval()
    probs = object_probs(network, TINY_OSVOS, longest, stripes(size_hw), CPU)
    assert probs.shape == (2, *size_hw)
    assert probs.dtype == np.float32
    assert 0 <= probs.min() <= probs.max() <= 1
    assert not any(parameter.grad is not None for parameter in network.parameters())


def test_objects_keep_their_numbers_and_the_last_score_counts():
    labels = frame_labels(Channels(3), RGB, None, [1, 3, 200], stripes(), CPU)
    assert labels.dtype == np.uint8
    assert [np.unique(labels[:, start : start + 16]).tolist() for start in (0, 16, 32, 48)] == [
        [1],
        [3],
        [200],
        [0],
    ]


def test_one_object_is_a_threshold():
    labels = frame_labels(Channels(1), RGB, None, [7], stripes(), CPU)
    assert np.array_equal(labels == 7, np.arange(64) < np.full((48, 1), 16))
    assert set(np.unique(labels)) == {0, 7}


def test_small_network_size_gives_nearly_the_same():
    whole = frame_labels(Channels(3), RGB, None, [1, 2, 3], stripes(), CPU)
    small = frame_labels(Channels(3), RGB, 32, [1, 2, 3], stripes(), CPU)
    assert (whole != small).mean() < 0.05


def test_the_same_frame_gives_the_same_labels():
    network = build_network(TINY_OSVOS, 1, seed=0).eval()
    first, again = (object_probs(network, TINY_OSVOS, 480, tiny_frame(2), CPU) for _ in range(2))
    assert np.array_equal(first, again)
