import pytest
from tiny_run import (
    CPU,
    bytes_of,
    other_clip,
    stop_after,
    train,
    write_keyframes,
)

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.frames import open_clip
from dextr_vos.masks import read_labels
from dextr_vos.propagation.propagate import segment
from dextr_vos.propagation.run import load_network

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite")
FILES = ["masks", "network.safetensors", "run.json"]
NAMES = [f"{index:05d}.png" for index in range(6)]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def keyframes(tmp_path):
    return write_keyframes(tmp_path / "keyframes", 0, 3, white=True)


def refuse(*_):
    pytest.fail("this was done already")


def files_of(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_segment_gives_what_the_run_gave_on_any_size(tiny_clip, keyframes, out, tmp_path):
    train(tiny_clip, keyframes, out)
    trained = load_network(out)
    segment(open_clip(tiny_clip), trained, tmp_path / "applied", device=CPU)
    masks = bytes_of(out / "masks")
    applied = bytes_of(tmp_path / "applied")
    assert sorted(applied) == NAMES
    assert all(applied[name] == masks[name] for name in set(NAMES) - {"00000.png", "00003.png"})
    larger = other_clip(tmp_path / "larger", 2, (97, 71))
    segment(open_clip(larger), trained, tmp_path / "large", device=CPU)
    assert read_labels(tmp_path / "large" / "00001.png").shape == (71, 97)


def test_segment_never_overwrites_frames(tiny_clip, keyframes, out, tmp_path):
    train(tiny_clip, keyframes, out)
    before = bytes_of(tiny_clip)
    (tmp_path / "link").symlink_to(tiny_clip)
    (tmp_path / "file").write_text("mine")
    for folder in (tiny_clip, tmp_path / "run" / ".." / "tiny", tmp_path / "link"):
        with pytest.raises(InputError, match="is the folder of the frames"):
            segment(open_clip(tiny_clip), load_network(out), folder, device=CPU)
    with pytest.raises(InputError, match="file is a file"):
        segment(open_clip(tiny_clip), load_network(out), tmp_path / "file", device=CPU)
    assert bytes_of(tiny_clip) == before


def test_segment_can_be_stopped(tiny_clip, keyframes, out, tmp_path):
    train(tiny_clip, keyframes, out)
    with pytest.raises(
        Interrupted, match=r"after 2 of 6 frames, their masks are in .*; the same command starts"
    ):
        segment(open_clip(tiny_clip), load_network(out), tmp_path / "x", device=CPU, stop_asked=stop_after(2))
    assert files_of(tmp_path / "x") == NAMES[:2]


def test_segment_refuses_folders_that_hold_a_persons_masks(tiny_clip, keyframes, out):
    train(tiny_clip, keyframes, out)
    trained = load_network(out)
    for folder in (out / "masks", keyframes.parent / "keyframes"):
        folder.mkdir(exist_ok=True)
        (keyframes.parent / "annotations.json").write_text("{}")
        with pytest.raises(InputError, match="which would be lost"):
            segment(open_clip(tiny_clip), trained, folder, device=CPU)
