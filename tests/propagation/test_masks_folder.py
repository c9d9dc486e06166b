import numpy as np
import pytest
from conftest import tiny_mask

from dextr_vos.masks import read_labels, write_labels
from dextr_vos.propagation.run import UnfinishedMasks


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".masks-abc"


def logs(folder):
    (log,) = (path for path in folder.glob(".*") if path.is_file())
    return log


def test_masks_and_confidences_are_taken_up_again(folder, tmp_path):
    masks = UnfinishedMasks(folder)
    assert "00000" not in masks
    masks.write("00000", tiny_mask(0), {1: 0.5, 7: 0.25})
    write_labels(tmp_path / "given.png", tiny_mask(3))
    masks.copy("00003", tmp_path / "given.png", {1: 1.0})
    for again in (masks, UnfinishedMasks(folder)):
        assert "00000" in again
        assert "00003" in again
        assert "00001" not in again
        assert again.confidence == {"00000": {1: 0.5, 7: 0.25}, "00003": {1: 1.0}}
    assert np.array_equal(read_labels(folder / "00000.png"), tiny_mask(0))
    assert (folder / "00003.png").read_bytes() == (tmp_path / "given.png").read_bytes()


@pytest.mark.parametrize("kept", range(1, 24))
def test_a_kill_within_a_line_loses_that_mask_alone(folder, kept):
    masks = UnfinishedMasks(folder)
    masks.write("00000", tiny_mask(0), {1: 0.5})
    whole = logs(folder).read_bytes()
    masks.write("00001", tiny_mask(1), {1: 0.75})
    line = logs(folder).read_bytes()[len(whole) :]
    logs(folder).write_bytes(whole + line[: min(kept, len(line) - 2)])
    again = UnfinishedMasks(folder)
    assert "00000" in again
    assert "00001" not in again
    assert again.confidence == {"00000": {1: 0.5}}


def test_what_is_written_after_a_kill_within_a_line_is_kept(folder):
    masks = UnfinishedMasks(folder)
    masks.write("00000", tiny_mask(0), {1: 0.5})
    masks.write("00001", tiny_mask(1), {1: 0.75})
    logs(folder).write_bytes(logs(folder).read_bytes()[:-6])
    UnfinishedMasks(folder).write("00001", tiny_mask(1), {1: 0.75})
    assert UnfinishedMasks(folder).confidence == {"00000": {1: 0.5}, "00001": {1: 0.75}}


def test_a_mask_that_is_gone_is_not_there_though_its_line_is(folder):
    masks = UnfinishedMasks(folder)
    masks.write("00000", tiny_mask(0), {1: 0.5})
    (folder / "00000.png").unlink()
    assert "00000" not in UnfinishedMasks(folder)


def test_the_last_line_of_a_frame_counts(folder):
    for score in (0.25, 0.5):
        UnfinishedMasks(folder).write("00000", tiny_mask(0), {1: score})
    assert UnfinishedMasks(folder).confidence == {"00000": {1: 0.5}}


def test_names_of_frames_may_be_of_any_kind(folder):
    UnfinishedMasks(folder).write('böar "7"', tiny_mask(0), {1: 0.5})
    assert 'böar "7"' in UnfinishedMasks(folder)


def test_sweeping_leaves_the_masks_alone(folder):
    masks = UnfinishedMasks(folder)
    masks.write("00000", tiny_mask(0), {1: 0.5})
    (folder / ".passes" / "00000001-back").mkdir(parents=True)
    (folder / ".passes" / "00000001-back" / "00000001.png").write_bytes(b"soft")
    (folder / ".00002.a1b2c3.png").write_bytes(b"half")
    masks.sweep()
    assert [path.name for path in folder.iterdir()] == ["00000.png"]
