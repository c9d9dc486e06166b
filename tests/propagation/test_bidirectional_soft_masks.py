import numpy as np
import pytest

from dextr_vos.propagation.bidirectional import SoftMasks


def some_probs(count, size_hw=(7, 11), seed=0):
    return np.random.default_rng(seed).random((count, *size_hw), dtype=np.float32)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("size_hw", [(7, 11), (1, 1), (16, 3)])
def test_soft_masks_come_back_within_a_level(tmp_path, count, size_hw):
    probs = some_probs(count, size_hw)
    SoftMasks(tmp_path / "soft", count).write(3, probs)
    read = SoftMasks(tmp_path / "soft", count).read(3)
    assert (read.shape, read.dtype) == (probs.shape, np.float32)
    assert np.abs(read - probs).max() <= 0.51 / 255
    assert np.abs(read - probs).max() > 0


def test_write_returns_what_is_read(tmp_path):
    masks = SoftMasks(tmp_path, 3)
    written = masks.write(0, some_probs(3))
    assert np.array_equal(written, masks.read(0))
    # so it may be written and read again and again: a resumed pass sees the same numbers
    assert np.array_equal(masks.write(1, written), written)


def test_certainty_stays_certain(tmp_path):
    sure = np.zeros((2, 4, 6), np.float32)
    sure[0, :2], sure[1, 2:] = 1, 1
    assert np.array_equal(SoftMasks(tmp_path, 2).write(0, sure), sure)


def test_objects_and_frames_keep_apart(tmp_path):
    masks = SoftMasks(tmp_path, 2)
    for index in (0, 12345678):
        masks.write(index, some_probs(2, seed=index))
    for index in (0, 12345678):
        assert np.abs(masks.read(index) - some_probs(2, seed=index)).max() <= 0.51 / 255


def test_the_folder_is_made_with_the_first_mask(tmp_path):
    masks = SoftMasks(tmp_path / "soft", 1)
    assert 4 not in masks
    assert not (tmp_path / "soft").exists()
    masks.write(4, some_probs(1))
    assert 4 in masks
    assert 5 not in masks
    # nothing half written beside it
    assert [path.name for path in (tmp_path / "soft").iterdir()] == ["00000004.png"]
