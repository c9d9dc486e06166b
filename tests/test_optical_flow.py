import cv2
import numpy as np
import pytest
import torch

from dextr_vos.optical_flow import frame_flow, warp_masks

FLOW_HW = (80, 112)


def textured(dx: int = 0, dy: int = 0) -> np.ndarray:
    """A textured square on a textured background; the square is shifted, the background is not."""
    rng = np.random.default_rng(8)
    coarse = rng.integers(0, 90, (20, 28, 3), dtype=np.uint8)
    image = cv2.resize(coarse, FLOW_HW[::-1], interpolation=cv2.INTER_CUBIC)
    texture = cv2.resize(rng.integers(130, 255, (9, 9, 3), dtype=np.uint8), (36, 36))
    image[20 + dy : 56 + dy, 30 + dx : 66 + dx] = texture
    return image


def square(dx: int = 0, dy: int = 0) -> np.ndarray:
    mask = np.zeros(FLOW_HW, np.float32)
    mask[20 + dy : 56 + dy, 30 + dx : 66 + dx] = 1
    return mask


def warped_masks(probs: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    warped = warp_masks(torch.from_numpy(probs)[None], frame_flow(before, now))[0].numpy()
    return np.asarray(warped)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())


@pytest.mark.parametrize(("dx", "dy"), [(4, 0), (-5, 0), (0, 4), (3, -3)])
def test_flow_moves_a_mask_with_its_object(dx, dy):
    (warped,) = warped_masks(square()[None], textured(), textured(dx, dy))
    assert warped.dtype == np.float32
    assert iou(warped, square(dx, dy)) > 0.93
    assert iou(square(), square(dx, dy)) < 0.85  # without flow


def test_a_mask_of_a_still_object_stays():
    (warped,) = warped_masks(square()[None], textured(), textured())
    assert np.abs(warped - square()).max() < 0.02


def test_each_soft_mask_is_warped_by_itself():
    soft = np.stack([0.4 * square(), np.zeros(FLOW_HW, np.float32), square()])
    warped = warped_masks(soft, textured(), textured(4, 2))
    assert warped.shape == (3, *FLOW_HW)
    assert np.allclose(warped[0], 0.4 * warped[2], atol=1e-5)
    assert not warped[1].any()
    assert 0 <= warped.min() <= warped.max() <= 1


def test_nothing_comes_in_from_beyond_the_border():
    """The camera moves to the left: what appears there belongs to no object, though the border did."""
    rng = np.random.default_rng(2)
    wide = cv2.resize(rng.integers(0, 255, (20, 32, 3), dtype=np.uint8), (128, 80))
    (warped,) = warped_masks(np.ones((1, 80, 112), np.float32), wide[:, 16:], wide[:, 8:120])
    assert warped[10:-10, :5].mean() < 0.2
    assert warped[10:-10, 12:].mean() > 0.9


def test_flow_at_a_smaller_size_is_that_of_the_pixels_below():
    """Stretched from the middle, by a flow that grows with the distance from it."""
    x = (torch.arange(28) + 0.5) / 28 - 0.5
    flow = torch.stack([-0.2 * x.expand(20, 28), torch.zeros(20, 28)])[None]
    ramp = ((torch.arange(112) + 0.5) / 112 - 0.5).expand(1, 1, 80, 112)
    warped = warp_masks(ramp.contiguous(), flow)
    assert torch.allclose(warped[..., 2:-2], 0.8 * ramp[..., 2:-2], atol=1e-4)


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 60), (33, 47)])
def test_flow_of_small_frames(size_hw):
    image = np.random.default_rng(0).integers(0, 255, (*size_hw, 3), dtype=np.uint8)
    probs = np.random.default_rng(1).random((2, *size_hw), dtype=np.float32)
    assert warped_masks(probs, image, image).shape == probs.shape
