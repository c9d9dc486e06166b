import numpy as np
import pytest
from PIL import Image

from dextr_vos.clip import open_clip
from dextr_vos.propagation.own_masks import OwnMasks

FULL, SMALL = (120, 1200), (60, 600)


@pytest.fixture
def clip(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(np.full((*FULL, 3), 60 * index, np.uint8)).save(folder / f"{index:05d}.png")
    return open_clip(folder)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def own(clip, tmp_path, asked):
    """Two objects: the left half as bright as the frame, the right half as dark."""

    def segment(image_rgb):
        asked.append(image_rgb.shape[:2])
        probs = np.zeros((2, *image_rgb.shape[:2]), np.float32)
        probs[0, :, :600] = image_rgb[0, 0, 0] / 255
        probs[1, :, 600:] = 1 - image_rgb[0, 0, 0] / 255
        return probs

    return OwnMasks(clip, SMALL, segment, 0.3, tmp_path / "own", 2)


def test_frames_are_seen_at_full_size_and_once(own, asked):
    made = own.make(2)
    assert made.shape == (2, *SMALL)
    assert made[:, 10, [100, 500]] == pytest.approx(np.array([[120 / 255, 0], [0, 135 / 255]]), abs=0.01)
    assert 2 in own
    assert 1 not in own
    assert np.array_equal(own.make(2), made)
    own.mixed(2, made, np.ones(SMALL, bool))
    assert asked == [FULL]


def test_a_share_is_mixed_in_where_the_pass_has_looked(own):
    followed = np.zeros((2, *SMALL), np.float32)
    followed[1] = 0.5
    crop_coverage = np.zeros(SMALL, bool)
    crop_coverage[:, 250:450] = True
    mixed = own.mixed(1, followed, crop_coverage)
    assert mixed.dtype == np.float32
    level = 60 / 255
    assert mixed[0, 10, [100, 270, 400]] == pytest.approx([0, 0.3 * level, 0], abs=0.01)
    assert mixed[1, 10, [100, 270, 400, 500]] == pytest.approx(
        [0.35, 0.35, 0.35 + 0.3 * (1 - level), 0.35], abs=0.01
    )
