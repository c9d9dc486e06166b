import numpy as np

from dextr_vos.annotation.grabcut import refine_by_colour

RED, GREEN = (200, 40, 40), (40, 160, 60)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red square on green with a little noise, and its mask."""
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 16:48] = True
    image = np.where(mask[..., None], RED, GREEN)
    noise = np.random.default_rng(0).integers(-8, 9, image.shape)
    return (image + noise).astype(np.uint8), mask


def test_colour_decides_where_the_network_is_unsure() -> None:
    image, mask = scene()
    prob = np.where(mask, 0.95, 0.05).astype(np.float32)
    prob[16:48, 32:60] = 0.55  # half of the square, and as much of the ground
    refined = refine_by_colour(prob, image)
    assert ((refined > 0.5) == mask).mean() > 0.99
    assert ((prob > 0.5) == mask).mean() < 0.92


def test_what_is_certain_stays() -> None:
    image, mask = scene()
    prob = np.where(mask, 0.05, 0.95).astype(np.float32)  # against all colours
    refined = refine_by_colour(prob, image)
    assert np.array_equal(refined > 0.5, ~mask)
    assert refined.min() >= 0
    assert refined.max() <= 1


def test_without_certain_pixels_nothing_changes() -> None:
    image, mask = scene()
    for value in (0.05, 0.5, 0.95):
        prob = np.full(mask.shape, value, dtype=np.float32)
        assert np.array_equal(refine_by_colour(prob, image), prob)


def test_it_repeats() -> None:
    image, _ = scene()
    prob = np.random.default_rng(1).random((64, 64), dtype=np.float32)
    assert np.array_equal(refine_by_colour(prob, image), refine_by_colour(prob, image))
