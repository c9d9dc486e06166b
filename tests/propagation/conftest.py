"""Fixtures of the tests of two passes."""

import pytest
from recording_tracker import FRAMES, KEYFRAMES_ALONE, SIZE_HW, Recorder, annotated_clip, write_clip

from dextr_vos.clip import open_clip
from dextr_vos.propagation.bidirectional import BidirectionalPropagator


@pytest.fixture
def clip(tmp_path):
    return open_clip(write_clip(tmp_path / "clip", [0] * FRAMES))


@pytest.fixture
def make(clip, tmp_path):
    """Makes a propagator for some keyframes, and its tracker."""

    def propagator(*keyframes, folder="soft", tracking=KEYFRAMES_ALONE, tracker=None):
        tracker = tracker or Recorder()
        annotated = annotated_clip(clip, *keyframes)
        return BidirectionalPropagator(annotated, SIZE_HW, tracker, tracking, tmp_path / folder), tracker

    return propagator
