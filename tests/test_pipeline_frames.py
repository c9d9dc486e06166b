"""Frames that change, or only seem to, between one run and the next."""

import os
import shutil

import numpy as np
import pytest
from conftest import tiny_frame
from PIL import Image
from tiny_run import bytes_of, refuse, stop_after, train

from dextr_vos.clip import FolderClip, open_clip
from dextr_vos.errors import Interrupted
from dextr_vos.run_files import read_record, write_record

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")


def change(clip, *indices):
    """Put other pictures of the same size in a clip's files."""
    for index in indices:
        Image.fromarray(np.ascontiguousarray(255 - tiny_frame(index))).save(clip / f"{index:05d}.png")


def test_masks_are_made_again_where_a_frame_between_keyframes_changed(tiny_clip, keyframes, out, tmp_path):
    train(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    change(tiny_clip, 4)
    # the network knows the frames of keyframes only
    record = train(tiny_clip, keyframes, out, on_step=refuse)
    assert bytes_of(out / "masks")["00004.png"] != before["00004.png"]
    train(tiny_clip, keyframes, tmp_path / "new")
    assert bytes_of(out / "masks") == bytes_of(tmp_path / "new" / "masks")
    assert train(tiny_clip, keyframes, out, on_step=refuse, on_frame=refuse) == record


def test_a_change_that_keeps_size_and_number_of_files_is_seen_by_their_time(tiny_clip, keyframes, out):
    frame = tiny_frame(4)
    Image.fromarray(frame).save(tiny_clip / "00004.bmp")  # files of one size, whatever they show
    (tiny_clip / "00004.png").unlink()
    train(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    Image.fromarray(np.ascontiguousarray(frame[:, ::-1])).save(tiny_clip / "00004.bmp")
    os.utime(tiny_clip / "00004.bmp", ns=(1, 1))
    train(tiny_clip, keyframes, out, on_step=refuse)
    assert bytes_of(out / "masks")["00004.png"] != before["00004.png"]


def test_a_copy_of_the_clip_is_compared_once_and_then_known(tiny_clip, keyframes, out, tmp_path, monkeypatch):
    record = train(tiny_clip, keyframes, out)
    copy = tmp_path / "copy"
    shutil.copytree(tiny_clip, copy, copy_function=shutil.copyfile)
    for index, file in enumerate(copy.iterdir()):
        os.utime(file, ns=(index, index))
    again = train(copy, keyframes, out, on_step=refuse, on_frame=refuse)
    assert again.frames_digest == record.frames_digest
    assert again.files_state != record.files_state
    assert read_record(out / "run.json") == again
    monkeypatch.setattr("dextr_vos.propagation.keyframes.file_digest", refuse)
    assert train(copy, keyframes, out, on_step=refuse, on_frame=refuse) == again


def test_cuts_are_looked_for_again_in_frames_that_changed(tiny_clip, keyframes, out):
    record = train(tiny_clip, keyframes, out)
    assert record.cuts == ()
    write_record(out / "run.json", record.model_copy(update={"cuts": ("00005",)}))
    assert train(tiny_clip, keyframes, out).cuts == ("00005",)  # not looked for
    change(tiny_clip, 4)
    assert "00005" not in train(tiny_clip, keyframes, out).cuts


def test_a_run_without_such_a_record_opens_and_its_masks_are_made_again(
    tiny_clip, keyframes, out, monkeypatch
):
    record = train(tiny_clip, keyframes, out)
    before = bytes_of(out / "masks")
    older = record.model_dump(exclude={"files_state", "frames_digest", "spans", "cuts", "flashes"})
    write_record(out / "run.json", type(record).model_validate(older))
    assert train(tiny_clip, keyframes, out, on_step=refuse) == record
    assert bytes_of(out / "masks") == before
    read = []

    def counted(clip, index, whole=FolderClip.read):
        read.append(index)
        return whole(clip, index)

    monkeypatch.setattr(FolderClip, "read", counted)
    train(tiny_clip, keyframes, out, on_step=refuse, on_frame=refuse)
    assert set(read) == {0, 3}


@pytest.mark.parametrize("stop_at", [9, 11])
def test_a_run_that_was_stopped_does_not_mix_masks_of_old_and_new_frames(
    tiny_clip, keyframes, tmp_path, stop_at
):
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, tmp_path / "run", stop_asked=stop_after(stop_at))
    change(tiny_clip, 1, 2, 4, 5)
    train(tiny_clip, keyframes, tmp_path / "run", on_step=refuse)
    train(tiny_clip, keyframes, tmp_path / "new")
    assert bytes_of(tmp_path / "run" / "masks") == bytes_of(tmp_path / "new" / "masks")


def test_frames_in_memory_are_compared_by_their_pixels(keyframes, out):
    frames = [tiny_frame(index) for index in range(6)]
    record = train(open_clip(frames), keyframes, out)
    assert train(open_clip(frames), keyframes, out, on_step=refuse, on_frame=refuse) == record
    frames[4] = 255 - frames[4]
    assert train(open_clip(frames), keyframes, out, on_step=refuse).frames_digest != record.frames_digest
