import pytest
import torch

from dextr_vos.propagation.bidirectional import MaskFiles, PassMasks


def some_masks(count, size_hw=(7, 11), seed=0):
    generator = torch.Generator().manual_seed(seed)
    probs, estimate, areas = (
        torch.rand(shape, generator=generator) for shape in ((count, *size_hw), (count,), (count,))
    )
    return PassMasks(probs, estimate, 1e6 * areas)


def equal(one, other):
    names = ("probs", "iou_estimate", "areas")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("size_hw", [(7, 11), (1, 1), (16, 3)])
def test_soft_masks_come_back_within_a_level(tmp_path, count, size_hw):
    masks = some_masks(count, size_hw)
    MaskFiles(tmp_path / "soft", count).write(3, masks)
    read = MaskFiles(tmp_path / "soft", count).read(3)
    for ours, given in ((read.probs, masks.probs), (read.iou_estimate, masks.iou_estimate)):
        assert (ours.shape, ours.dtype) == (given.shape, torch.float32)
        assert (ours - given).abs().max() <= 0.51 / 255
        assert (ours - given).abs().max() > 0
    assert torch.equal(read.areas, masks.areas)


def test_quantized_masks_are_read_as_they_were_written(tmp_path):
    """So a pass that resumes sees the same numbers as one that was not stopped."""
    files, masks = MaskFiles(tmp_path, 3), some_masks(3)
    assert not equal(masks.quantized(), masks)
    for index, each in enumerate((masks, masks.quantized(), masks.quantized().quantized())):
        files.write(index, each)
        assert equal(files.read(index), masks.quantized())


def test_every_level_is_read_as_it_was():
    levels = torch.arange(256) / 255
    masks = PassMasks(levels.view(1, 16, 16), levels[3:4], torch.ones(1))
    assert equal(masks.quantized(), masks)


@pytest.mark.gpu
def test_every_level_is_the_same_on_a_gpu():
    levels = torch.arange(256) / 255
    masks = PassMasks(levels.view(1, 16, 16), levels[3:4], torch.ones(1))
    found = masks.to(torch.device("cuda")).quantized()
    assert equal(PassMasks(*found.copied().read()), masks)


def test_what_is_no_number_becomes_nothing(tmp_path):
    files = MaskFiles(tmp_path, 1)
    masks = PassMasks(torch.full((1, 2, 3), torch.nan), torch.tensor([torch.nan]), torch.ones(1)).quantized()
    files.write(0, masks)
    assert not masks.probs.any()
    assert equal(files.read(0), masks)


def test_certainty_stays_certain(tmp_path):
    sure = torch.zeros((2, 4, 6))
    sure[0, :2], sure[1, 2:] = 1, 1
    masks = PassMasks(sure, torch.tensor([1.0, 0.0]), torch.tensor([12, 12.5]))
    assert equal(masks.quantized(), masks)
    MaskFiles(tmp_path, 2).write(0, masks)
    assert equal(MaskFiles(tmp_path, 2).read(0), masks)


def test_objects_and_frames_keep_apart(tmp_path):
    files = MaskFiles(tmp_path, 2)
    for index in (0, 12345678):
        files.write(index, some_masks(2, seed=index))
    for index in (0, 12345678):
        read, given = files.read(index), some_masks(2, seed=index)
        assert (read.probs - given.probs).abs().max() <= 0.51 / 255
        assert (read.iou_estimate - given.iou_estimate).abs().max() <= 0.51 / 255
        assert torch.equal(read.areas, given.areas)


def test_the_folder_is_made_with_the_first_mask(tmp_path):
    files = MaskFiles(tmp_path / "soft", 1)
    assert 4 not in files
    assert not (tmp_path / "soft").exists()
    files.write(4, some_masks(1))
    assert 4 in files
    assert 5 not in files
    # nothing half written beside it
    assert [path.name for path in (tmp_path / "soft").iterdir()] == ["00000004.png"]
