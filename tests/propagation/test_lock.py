import pytest
from tiny_run import write_keyframes

from dextr_vos.errors import InputError
from dextr_vos.propagation.run import lock_frames


@pytest.fixture
def run(tmp_path):
    write_keyframes(tmp_path / "run" / "masks", 0, 1, 2, 3)
    return tmp_path / "run"


@pytest.mark.parametrize("workspace", [True, False])
def test_masks_become_keyframes_as_they_are(run, tmp_path, workspace):
    folder = tmp_path / "work" / "keyframes" if workspace else tmp_path / "work"
    write_keyframes(folder, 0)
    assert lock_frames(run, ["00001", "00003", "00001"], tmp_path / "work") == [
        folder / "00001.png",
        folder / "00003.png",
    ]
    assert (folder / "00003.png").read_bytes() == (run / "masks" / "00003.png").read_bytes()


def test_keyframes_are_never_overwritten_and_nothing_is_done_by_halves(run, tmp_path):
    folder = write_keyframes(tmp_path / "work", 2)
    before = (folder / "00002.png").read_bytes()
    with pytest.raises(InputError, match=r"00002\.png is a keyframe already"):
        lock_frames(run, ["00001", "00002"], folder)
    with pytest.raises(InputError, match=r"no mask .*00009\.png; give names of frames"):
        lock_frames(run, ["00001", "00009"], folder)
    assert [path.name for path in folder.iterdir()] == ["00002.png"]
    assert (folder / "00002.png").read_bytes() == before


def test_a_folder_that_is_not_there_is_told_and_not_made(run, tmp_path):
    with pytest.raises(InputError, match=r"there is no workspace or folder of masks .*nowhere; give the one"):
        lock_frames(run, ["00001"], tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
