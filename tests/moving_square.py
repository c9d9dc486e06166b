"""A made-up clip of a moving square, and sequences cut out of it."""

import numpy as np

from dextr_vos.datasets.frame_sequences import SequenceRecipe, clip_sequence, tracks
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.photometric import PhotometricAugmentation

NO_LIGHT = PhotometricAugmentation(light=0.0, tint=0.0, grey=0.0, blur=0.0, noise=0.0, codec=0.0)
PLAIN = SequenceRecipe(photometric=NO_LIGHT, sharpness=NO_LIGHT)
SIZE_HW = (48, 64)
FRAME_HW = (60, 100)
GREEN = 220
STEP = 4  # pixels a frame


class Clip:
    """A textured green square moves to the right; the blue of a frame says which it is."""

    def __init__(self, frames: int = 12, clip: str = "clip") -> None:
        self.refs = [ObjectRef(f"{clip}/{index:05d}", 0, "square", 400) for index in range(frames)]

    def read(self, index: int) -> Example:
        rng = np.random.default_rng(1)
        image = np.zeros((*FRAME_HW, 3), np.uint8)
        image[..., 0] = rng.integers(0, 90, FRAME_HW)
        image[..., 2] = 10 * index
        mask, void = np.zeros(FRAME_HW, bool), np.zeros(FRAME_HW, bool)
        left = 8 + STEP * index
        mask[20:40, left : left + 20] = True
        void[40:44] = True
        image[20:40, left : left + 20, 0] = rng.integers(100, 250, (20, 20))
        image[mask, 1] = GREEN
        return Example(self.refs[index], image, mask, void)


def drawn(frames=12, recipe=PLAIN, count=40, clip=None):
    clip = clip or Clip(frames)
    (track,) = tracks(clip)
    return [clip_sequence(clip, track, SIZE_HW, recipe, np.random.default_rng(seed)) for seed in range(count)]


def centre_x(frame):
    return float(np.nonzero(frame.mask)[1].mean())
