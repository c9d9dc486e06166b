"""Guides with the errors that tracking makes: where the object is believed to be, wrong in typical ways."""

from dataclasses import dataclass

import cv2
import numpy as np

from dextr_vos.datasets.motion import Frame, Pose, warp
from dextr_vos.geometry import BoolArray, FloatArray


@dataclass(frozen=True)
class MaskCorruption:
    """How wrong guides are; every chance is a share of all samples.

    Attributes:
        absent: chance of no guide at all.
        astray: chance of a guide far off.
        shift: standard deviation of the usual displacement, as a share of the object's longer side.
        bend: of the smooth displacement of the outline, likewise.
        loss: chance of a missing part.
        gain: chance of a part too much, most often of another object.
        blur: largest standard deviation of the softness, as a share of the object's longer side.
        known: chance that the mask of the known frame has errors, too, those of a mask made by clicks.
    """

    absent: float = 0.12
    astray: float = 0.06
    shift: float = 0.025
    bend: float = 0.02
    loss: float = 0.3
    gain: float = 0.35
    blur: float = 0.03
    known: float = 0.0


def corrupt_guide(frame: Frame, corruption: MaskCorruption, rng: np.random.Generator) -> FloatArray:
    """A guess of where the target of a frame is.

    Args:
        frame: the truth.
        corruption: how wrong the guess is.
        rng: the only source of chance.

    Returns:
        H×W float32: 1 on the object, -1 off it, 0 everywhere where there is no guide.
    """
    if rng.random() < corruption.absent:
        return np.zeros(frame.mask.shape, np.float32)
    guess = frame.mask.astype(np.uint8)
    x, y, width, height = cv2.boundingRect(guess)
    reach = float(max(width, height, 16))
    far = 8.0 if rng.random() < corruption.astray else 1.0
    pose = Pose.draw(far * corruption.shift * reach, 3.0 * far, 0.03 * far, corruption.bend * reach, rng)
    guess = warp(guess, pose, (x + width / 2, y + height / 2), cv2.INTER_NEAREST)
    if rng.random() < corruption.loss:
        guess[_ellipse(guess.view(np.bool_), reach, rng)] = 0
    if rng.random() < corruption.gain:
        near = _ellipse(frame.others if frame.others.any() and rng.random() < 0.7 else guess > 0, reach, rng)
        guess[near & frame.others if (near & frame.others).any() else near] = 1
    if rng.random() < 0.4:
        size = 1 + 2 * int(rng.integers(1, 2 + int(0.02 * reach)))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        guess = cv2.dilate(guess, kernel) if rng.random() < 0.5 else cv2.erode(guess, kernel)
    blur = 0.5 + corruption.blur * reach * rng.random() ** 2
    guide: FloatArray = 2 * cv2.GaussianBlur(guess.astype(np.float32), (0, 0), blur) - 1
    return guide


def corrupt_mask(mask: BoolArray, corruption: MaskCorruption, rng: np.random.Generator) -> BoolArray:
    """A mask with the errors of one that was made by clicks.

    Holes are filled, or thin parts are lost; the outline is bent, a part may be lost or gained.

    Args:
        mask: H×W bool, the truth.
        corruption: how far the outline is bent, and how often a part is lost or gained.
        rng: the only source of chance.

    Returns:
        H×W bool, never empty where the truth is not.
    """
    guess = mask.astype(np.uint8)
    x, y, width, height = cv2.boundingRect(guess)
    reach = float(max(width, height, 16))
    size = 3 + 2 * int(rng.integers(0, 1 + int(0.03 * reach)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    kind = cv2.MORPH_CLOSE if rng.random() < 0.5 else cv2.MORPH_OPEN
    guess = cv2.morphologyEx(guess, kind, kernel)
    pose = Pose.draw(0.0, 0.0, 0.0, corruption.bend / 2 * reach, rng)
    guess = warp(guess, pose, (x + width / 2, y + height / 2), cv2.INTER_NEAREST)
    if rng.random() < corruption.loss:
        guess[_ellipse(guess.view(np.bool_), reach, rng)] = 0
    if not guess.any():
        return mask
    if rng.random() < corruption.gain:
        guess[_ellipse(guess.view(np.bool_), reach, rng)] = 1
    return guess.view(np.bool_)


def _ellipse(mask: BoolArray, reach: float, rng: np.random.Generator) -> BoolArray:
    """An ellipse about a random pixel of a mask, or of the whole image where the mask is empty."""
    ys, xs = np.nonzero(mask)
    height, width = mask.shape
    if len(xs):
        chosen = int(rng.integers(len(xs)))
        centre = int(xs[chosen]), int(ys[chosen])
    else:
        centre = int(rng.integers(width)), int(rng.integers(height))
    axes = tuple(max(2, int(reach * share)) for share in rng.uniform(0.06, 0.3, 2))
    drawn = np.zeros(mask.shape, np.uint8)
    cv2.ellipse(drawn, centre, axes, rng.uniform(0, 180), 0, 360, 1, -1)
    return drawn.view(np.bool_)
