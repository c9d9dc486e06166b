"""Look-alikes beside the object of a training sequence."""

from dataclasses import replace
from itertools import pairwise

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


def test_look_alikes_move_and_rest_as_the_object_does_at_another_time():
    seen = set()
    for sequence in drawn(16, replace(PLAIN, twin=0.3, gap=1), 200, Pausing(16)):
        greens = []
        for frame in sequence.frames:
            around = cv2.dilate(frame.mask.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
            greens.append((frame.image_rgb[..., 1] > GREEN / 2) & ~around)
        centres = [float(np.nonzero(green)[1].mean()) if green.mean() > 0.02 else None for green in greens]
        for now, then in pairwise(range(len(greens))):
            areas = greens[now].mean(), greens[then].mean()
            if min(areas) < 0.02 or max(areas) > 1.02 * min(areas):
                continue  # a part comes in sight or goes, and the centre says nothing
            own = centre_x(sequence.frames[then]) - centre_x(sequence.frames[now])
            seen.add((abs(own) > 1, abs(centres[then] - centres[now]) > 1))
    assert seen == {(False, False), (False, True), (True, False), (True, True)}


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
