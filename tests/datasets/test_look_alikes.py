"""Look-alikes beside the object of a training sequence."""

from dataclasses import replace

import cv2
import numpy as np
from moving_square import GREEN, PLAIN, Clip, centre_x, drawn

from dextr_vos.datasets.instances import Example


def test_look_alikes_stand_beside_the_object_and_do_not_belong_to_it():
    beside = hidden = 0
    for sequence in drawn(recipe=replace(PLAIN, twin=0.5), count=60):
        frames = (sequence.known, sequence.before, *sequence.frames)
        for frame in frames:
            green = frame.image_rgb[..., 1] > GREEN / 2
            assert frame.mask.any()
            assert not (frame.mask & frame.void).any()
            # all of the object is seen, in front of the others or between them; its outline is soft
            assert (frame.mask & ~green).mean() < 0.02
            square = cv2.boundingRect(frame.mask.view(np.uint8))[2:]
            hidden += frame.mask.sum() < 0.9 * square[0] * square[1]
            beside += (green & ~frame.mask).mean() > 0.02
    assert 0.2 < beside / (60 * len(frames)) < 0.8
    assert 0 < hidden / (60 * len(frames)) < 0.3


class Pausing(Clip):
    """The square moves in every other frame, and is at rest in those between."""

    def read(self, index: int) -> Example:
        return replace(super().read(index // 2 * 2), ref=self.refs[index])


def test_look_alikes_move_as_the_object_does_at_another_time():
    apart = []
    for sequence in drawn(16, replace(PLAIN, twin=0.5, gap=1), 60, Pausing(16)):
        centres = []
        for frame in sequence.frames:
            around = cv2.dilate(frame.mask.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
            green = (frame.image_rgb[..., 1] > GREEN / 2) & ~around
            if green.mean() > 0.02:
                centres.append(float(np.nonzero(green)[1].mean()) - centre_x(frame))
        apart += np.abs(np.diff(centres)).tolist()
    still = np.mean(np.array(apart) < 0.25)
    assert 0.1 < still < 0.9


def test_a_look_alike_stays_before_or_behind_the_object():
    """In front of it, it takes away from the square in all frames that it touches."""
    for sequence in drawn(recipe=replace(PLAIN, twin=0.3), count=60):
        frames = (sequence.before, *sequence.frames)
        cut = [_filled(frame.mask) < 0.97 for frame in frames]
        whole_beside_green = [
            _filled(frame.mask) > 0.99
            and (
                cv2.dilate(frame.mask.view(np.uint8), np.ones((5, 5), np.uint8)).view(np.bool_)
                & ~frame.mask
                & (frame.image_rgb[..., 1] > GREEN / 2)
            ).mean()
            > 0.01
            for frame in frames
        ]
        assert not (any(cut) and any(whole_beside_green))


def _filled(mask):
    _, _, width, height = cv2.boundingRect(mask.view(np.uint8))
    return mask.sum() / (width * height)
