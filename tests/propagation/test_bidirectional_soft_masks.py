import numpy as np
import pytest

from dextr_vos.propagation.bidirectional import MaskFiles, PassMasks


def some_masks(count, size_hw=(7, 11), seed=0):
    rng = np.random.default_rng(seed)
    shares = rng.random((count, *size_hw), dtype=np.float32), rng.random(count, dtype=np.float32)
    return PassMasks(*shares, 1e6 * rng.random(count, dtype=np.float32))


def equal(one, other):
    names = ("probs", "iou_estimate", "areas")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("size_hw", [(7, 11), (1, 1), (16, 3)])
def test_soft_masks_come_back_within_a_level(tmp_path, count, size_hw):
    masks = some_masks(count, size_hw)
    MaskFiles(tmp_path / "soft", count).write(3, masks)
    read = MaskFiles(tmp_path / "soft", count).read(3)
    for ours, given in ((read.probs, masks.probs), (read.iou_estimate, masks.iou_estimate)):
        assert (ours.shape, ours.dtype) == (given.shape, np.float32)
        assert np.abs(ours - given).max() <= 0.51 / 255
        assert np.abs(ours - given).max() > 0
    assert np.array_equal(read.areas, masks.areas)


def test_write_returns_what_is_read(tmp_path):
    files = MaskFiles(tmp_path, 3)
    written = files.write(0, some_masks(3))
    assert equal(written, files.read(0))
    # so it may be written and read again and again: a resumed pass sees the same numbers
    assert equal(files.write(1, written), written)


def test_certainty_stays_certain(tmp_path):
    sure = np.zeros((2, 4, 6), np.float32)
    sure[0, :2], sure[1, 2:] = 1, 1
    masks = PassMasks(sure, np.array([1, 0], np.float32), np.array([12, 12.5], np.float32))
    assert equal(MaskFiles(tmp_path, 2).write(0, masks), masks)


def test_objects_and_frames_keep_apart(tmp_path):
    files = MaskFiles(tmp_path, 2)
    for index in (0, 12345678):
        files.write(index, some_masks(2, seed=index))
    for index in (0, 12345678):
        read, given = files.read(index), some_masks(2, seed=index)
        assert np.abs(read.probs - given.probs).max() <= 0.51 / 255
        assert np.abs(read.iou_estimate - given.iou_estimate).max() <= 0.51 / 255
        assert np.array_equal(read.areas, given.areas)


def test_the_folder_is_made_with_the_first_mask(tmp_path):
    files = MaskFiles(tmp_path / "soft", 1)
    assert 4 not in files
    assert not (tmp_path / "soft").exists()
    files.write(4, some_masks(1))
    assert 4 in files
    assert 5 not in files
    # nothing half written beside it
    assert [path.name for path in (tmp_path / "soft").iterdir()] == ["00000004.png"]
