import cv2
import numpy as np
import pytest

from dextr_vos.datasets.faulty_masks import faulty_mask
from dextr_vos.training.prompt_samples import thin_parts


@pytest.fixture
def scene():
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 6)
    mask = np.zeros((90, 120), np.uint8)
    cv2.ellipse(mask, (60, 45), (30, 20), 20, 0, 360, 1, -1)
    return mask.view(bool), image


@pytest.mark.parametrize("seed", range(30))
def test_most_masks_overlap_as_asked_and_none_is_empty(scene, seed):
    mask, image = scene
    before = mask.copy(), image.copy()
    guess = faulty_mask(mask, image, np.random.default_rng(seed))
    iou = (guess & mask).sum() / (guess | mask).sum()
    assert guess.any()
    assert guess.dtype == bool
    assert 0.2 < iou < 0.98
    assert np.array_equal(mask, before[0])
    assert np.array_equal(image, before[1])
    assert np.array_equal(guess, faulty_mask(mask, image, np.random.default_rng(seed)))


@pytest.mark.parametrize("mask", [np.eye(3, dtype=bool), np.ones((4, 4), dtype=bool)])
def test_tiny_and_full_masks_survive(mask):
    image = np.zeros((*mask.shape, 3), np.uint8)
    for seed in range(20):
        assert faulty_mask(mask, image, np.random.default_rng(seed)).any()


def test_thin_parts_are_lines_and_not_bodies(scene):
    mask, _ = scene
    with_line = mask.copy()
    with_line[45, :30] = True
    thin = thin_parts(with_line, 1.0)
    assert thin[45, 5:25].all()
    assert thin[:, 40:80].sum() < 20
