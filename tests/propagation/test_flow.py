import cv2
import numpy as np
import pytest

from dextr_vos.propagation.tracker import Flow

SIZE_HW = (80, 112)


def frame(dx: int = 0, dy: int = 0) -> np.ndarray:
    """A textured square on a textured ground; the square is shifted, the ground is not."""
    rng = np.random.default_rng(8)
    coarse = rng.integers(0, 90, (20, 28, 3), dtype=np.uint8)
    image = cv2.resize(coarse, SIZE_HW[::-1], interpolation=cv2.INTER_CUBIC)
    texture = cv2.resize(rng.integers(130, 255, (9, 9, 3), dtype=np.uint8), (36, 36))
    image[20 + dy : 56 + dy, 30 + dx : 66 + dx] = texture
    return image


def square(dx: int = 0, dy: int = 0) -> np.ndarray:
    mask = np.zeros(SIZE_HW, np.float32)
    mask[20 + dy : 56 + dy, 30 + dx : 66 + dx] = 1
    return mask


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())


@pytest.mark.parametrize(("dx", "dy"), [(4, 0), (-5, 0), (0, 4), (3, -3)])
def test_flow_carries_a_mask_along_with_its_object(dx, dy):
    (carried,) = Flow().carried(square()[None], frame(), frame(dx, dy))
    assert carried.dtype == np.float32
    assert overlap(carried, square(dx, dy)) > 0.93
    assert overlap(square(), square(dx, dy)) < 0.85  # what standing still would give


def test_what_stands_still_stays_where_it_is():
    (carried,) = Flow().carried(square()[None], frame(), frame())
    assert np.abs(carried - square()).max() < 0.02


def test_each_object_is_carried_by_itself_and_softness_stays():
    soft = np.stack([0.4 * square(), np.zeros(SIZE_HW, np.float32), square()])
    carried = Flow().carried(soft, frame(), frame(4, 2))
    assert carried.shape == (3, *SIZE_HW)
    assert np.allclose(carried[0], 0.4 * carried[2], atol=1e-5)
    assert not carried[1].any()
    assert 0 <= carried.min() <= carried.max() <= 1


def test_nothing_comes_in_from_beyond_the_border():
    """The camera moves to the left: what appears there belongs to no object, though the border did."""
    rng = np.random.default_rng(2)
    wide = cv2.resize(rng.integers(0, 255, (20, 32, 3), dtype=np.uint8), (128, 80))
    (carried,) = Flow().carried(np.ones((1, 80, 112), np.float32), wide[:, 16:], wide[:, 8:120])
    assert carried[10:-10, :5].mean() < 0.2
    assert carried[10:-10, 12:].mean() > 0.9


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 60), (33, 47)])
def test_small_frames_are_no_obstacle(size_hw):
    image = np.random.default_rng(0).integers(0, 255, (*size_hw, 3), dtype=np.uint8)
    probs = np.random.default_rng(1).random((2, *size_hw), dtype=np.float32)
    assert Flow().carried(probs, image, image).shape == probs.shape
