"""The segmenter in a child process gives what it gives in this one."""

import os
import signal

import numpy as np
import pytest
from conftest import tiny_frame
from tiny_page import OTHER, POINTS

from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.errors import InputError, WeightsError
from dextr_vos.web.segmenter_process import ProcessSegmenter

pytestmark = pytest.mark.slow


def test_the_same_masks_picture_after_picture_and_after_a_crash():
    here, there = load_segmenter("grabcut"), ProcessSegmenter("grabcut")
    assert (there.name, there.threshold) == (here.name, here.threshold)
    pictures = [tiny_frame(0), tiny_frame(1)]
    for image in (pictures[0], pictures[0], pictures[1]):
        for objects in ([np.array(POINTS)], [np.array(POINTS), np.array(OTHER)]):
            for one, other in zip(
                here.probabilities(image, objects), there.probabilities(image, objects), strict=True
            ):
                assert one.dtype == other.dtype
                assert (one == other).all()
    os.kill(there._process.pid, signal.SIGKILL)
    with pytest.raises(InputError, match="try again"):
        there.probabilities(pictures[1], [np.array(POINTS)])
    again = there.probabilities(pictures[1], [np.array(POINTS)])
    assert (again[0] == here.probabilities(pictures[1], [np.array(POINTS)])[0]).all()
    there.close()


def test_the_shipped_network_gives_the_same_mask_as_in_this_process():
    objects = [np.array(POINTS)]
    there = ProcessSegmenter("lite", device="cpu")
    mask = there.probabilities(tiny_frame(0), objects)[0]
    assert np.allclose(
        mask, load_segmenter("lite", device="cpu").probabilities(tiny_frame(0), objects)[0], atol=1e-4
    )
    there.close()


def test_faults_of_loading_are_told_as_they_are(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"no weights")
    with pytest.raises((WeightsError, InputError), match=r"w\.pth"):
        ProcessSegmenter("lite", tmp_path / "w.pth")
