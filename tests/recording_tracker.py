"""A tracker without a network, whose masks tell the direction of the pass, and clips for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from dextr_vos.clip import Clip
from dextr_vos.errors import Interrupted
from dextr_vos.propagation.confidence import expected_iou
from dextr_vos.propagation.keyframes import AnnotatedClip, keyframes_from_labels
from dextr_vos.propagation.settings import TrackingSettings
from dextr_vos.propagation.tracker import MaskedFrame, SoftMasks

SIZE_HW = (16, 24)
FORWARD, BACKWARD = 204 / 255, 51 / 255
FRAMES = 12
KEYFRAMES_ALONE = TrackingSettings(max_recent=0, confidence_power=0.0)


def write_clip(folder: Path, shots: Sequence[int]) -> Path:
    """Frames that differ in their first pixel alone, see `index_of`, but for frames of different shots."""
    folder.mkdir()
    for index, shot in enumerate(shots):
        image = np.random.default_rng(shot).integers(0, 60, (*SIZE_HW, 3), dtype=np.uint8) + 90 * (shot % 3)
        image[0, 0] = 10 * index
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{index:05d}.png")
    return folder


def index_of(image: np.ndarray) -> int:
    return int(image[0, 0, 0]) // 10


def annotated_clip(clip: Clip, *keyframes: int) -> AnnotatedClip:
    """Keyframes with two objects, a half of the frame each."""
    labels = np.ones(SIZE_HW, np.uint8)
    labels[:, SIZE_HW[1] // 2 :] = 2
    return AnnotatedClip(clip, keyframes_from_labels(dict.fromkeys(keyframes, labels), clip))


class Features(NamedTuple):
    before: MaskedFrame | None
    image_rgb: np.ndarray
    guides: np.ndarray


class Recorder:
    """Records what it is asked; its masks depend on the direction and on all frames of the pass before."""

    device = torch.device("cpu")

    def __init__(self, frames_ahead=0):
        self.frames_ahead = frames_ahead
        self.steps, self.memories, self.memorized, self.forgotten = [], {}, [], 0

    def encode_known(self, frame):
        return Features(None, frame.image_rgb, frame.probs)

    def guides(self, before, image_rgb, objects):
        return before.probs

    def encode_next(self, before, image_rgb, objects):
        return Features(before, image_rgb, self.guides(before, image_rgb, objects))

    def memorize(self, features, probs):
        levels = 255 * probs
        assert torch.allclose(levels, levels.round(), atol=1e-3)  # as a resumed pass reads them
        self.memorized.append(index_of(features.image_rgb))
        return index_of(features.image_rgb)

    def forget(self):
        self.forgotten += 1

    def segment(self, features, memories):
        before = features.before
        came, here = index_of(before.image_rgb), index_of(features.image_rgb)
        self.steps.append((came, here))
        self.memories[here] = list(memories)
        probs = self.probs(before, forward=came < here)
        estimate = self.iou_estimate(probs, forward=came < here)
        return SoftMasks(torch.from_numpy(probs.copy()), torch.from_numpy(estimate.copy()))

    def probs(self, before, forward):
        # it depends on all frames of the pass: one that began elsewhere would be seen
        level = FORWARD if forward else BACKWARD
        was = before.probs.numpy()
        return np.where(was > 0, was * 0.5 + level * 0.5, 0).astype(np.float32)

    def iou_estimate(self, probs, forward):
        return expected_iou(probs)


class TwoWays(Recorder):
    """The forward pass finds two objects as `one` and `other`, the backward pass as `other` and `one`."""

    def __init__(self, one, other, estimates=None):
        super().__init__()
        self.masks, self.estimates = np.stack([one, other]).astype(np.float32), estimates

    def probs(self, before, forward):
        return self.masks if forward else self.masks[::-1]

    def iou_estimate(self, probs, forward):
        if self.estimates is None:
            return expected_iou(probs)
        return np.array(self.estimates if forward else self.estimates[::-1], np.float32)


def ignore():
    pass


def stop_at(calls):
    left = iter(range(calls))

    def step():
        if next(left, None) is None:
            raise Interrupted("enough")

    return step
