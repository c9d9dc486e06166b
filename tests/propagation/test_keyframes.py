import numpy as np
import pytest
from conftest import tiny_mask
from PIL import Image
from tiny_run import write_keyframes

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.masks import write_labels
from dextr_vos.propagation.keyframes import fingerprint, object_numbers, read_keyframes


@pytest.fixture
def clip(tiny_clip):
    return open_clip(tiny_clip)


def test_masks_are_read_in_the_order_of_frames(clip, tmp_path):
    keyframes = read_keyframes(write_keyframes(tmp_path / "masks", 4, 0, 2), clip)
    assert [keyframe.index for keyframe in keyframes] == [0, 2, 4]
    assert [keyframe.name for keyframe in keyframes] == ["00000", "00002", "00004"]
    for keyframe in keyframes:
        assert np.array_equal(keyframe.labels, tiny_mask(keyframe.index))


def test_a_workspace_is_a_folder_with_keyframes(clip, tmp_path):
    write_keyframes(tmp_path / "work" / "keyframes", 1)
    write_keyframes(tmp_path / "work", 5)  # not in keyframes/, so it is none
    assert [keyframe.index for keyframe in read_keyframes(tmp_path / "work", clip)] == [1]


def test_black_and_white_masks_become_object_one(clip, tmp_path):
    (keyframe,) = read_keyframes(write_keyframes(tmp_path / "masks", 3, white=True), clip)
    assert np.array_equal(keyframe.labels, tiny_mask(3))


def test_other_files_are_passed_over(clip, tmp_path):
    folder = write_keyframes(tmp_path / "masks", 0)
    (folder / "notes.txt").write_text("mine")
    (folder / ".00001.x7.png").write_bytes(b"half a mask")
    (folder / "00002.png.bak").write_bytes(b"")
    assert [keyframe.index for keyframe in read_keyframes(folder, clip)] == [0]


def test_void_is_no_object(clip, tmp_path):
    labels = 3 * tiny_mask(0)
    labels[:5] = 255
    (tmp_path / "masks").mkdir()
    write_labels(tmp_path / "masks" / "00000.png", labels)
    keyframes = read_keyframes(tmp_path / "masks", clip)
    assert object_numbers(keyframes) == [3]
    assert (keyframes[0].labels[:5] == 255).all()


def test_objects_of_all_keyframes_count_and_empty_ones_are_welcome(clip, tmp_path):
    folder = write_keyframes(tmp_path / "masks", 0)
    write_labels(folder / "00002.png", 3 * tiny_mask(2))
    write_labels(folder / "00004.png", np.zeros((48, 64), dtype=np.uint8))
    keyframes = read_keyframes(folder, clip)
    assert object_numbers(keyframes) == [1, 3]
    assert len(keyframes) == 3


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.mark.parametrize(
    ("name", "picture", "words"),
    [
        ("00006.png", tiny_mask(0), "00006.png belongs to no frame: .* has no frame '00006'.*'00005'"),
        ("0.png", tiny_mask(0), "belongs to no frame"),
        ("00000.png", tiny_mask(0)[:, 1:], "is 63×48 pixels, its frame is 64×48"),
        ("00000.png", tiny_mask(0).T, "is 48×64 pixels, its frame is 64×48"),
        ("00000.png", 0 * tiny_mask(0), "all 1 masks of .* are empty"),
        ("00000.png", 130 * tiny_mask(0), "grey levels"),
    ],
)
def test_masks_that_do_not_fit_are_refused(clip, tmp_path, name, picture, words):
    save(tmp_path / "masks" / name, picture)
    with pytest.raises(InputError, match=words):
        read_keyframes(tmp_path / "masks", clip)


def test_a_mask_of_void_alone_teaches_nothing_and_is_refused(clip, tmp_path):
    (tmp_path / "masks").mkdir()
    write_labels(tmp_path / "masks" / "00000.png", 255 * tiny_mask(0))
    with pytest.raises(InputError, match="are empty"):
        read_keyframes(tmp_path / "masks", clip)


def test_two_masks_of_one_frame_are_refused(clip, tmp_path):
    folder = write_keyframes(tmp_path / "masks", 0)
    write_labels(folder / "00000.PNG", tiny_mask(1))
    if len(list(folder.iterdir())) < 2:
        pytest.skip("this file system holds .png and .PNG for the same")
    with pytest.raises(InputError, match="two masks of the frame '00000'"):
        read_keyframes(folder, clip)


def test_missing_folders_and_broken_masks_are_told(clip, tmp_path):
    with pytest.raises(InputError, match=r"there are no keyframes .*nowhere"):
        read_keyframes(tmp_path / "nowhere", clip)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no mask PNGs.*00000.png"):
        read_keyframes(tmp_path / "empty", clip)
    with pytest.raises(InputError, match="there are no keyframes"):
        read_keyframes(clip.files[0], clip)
    folder = write_keyframes(tmp_path / "masks", 0)
    (folder / "00001.png").write_bytes((folder / "00000.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"cannot read the mask .*00001.png"):
        read_keyframes(folder, clip)
    with pytest.raises(InputError, match=r"00000.png"):  # the frames themselves are no masks
        read_keyframes(clip.path, clip)


def test_fingerprint_changes_with_files_and_frames_and_nothing_else(clip, tmp_path):
    def mark(folder, *indices, **options):
        return fingerprint(read_keyframes(write_keyframes(tmp_path / folder, *indices, **options), clip))

    assert mark("a", 0, 2) == mark("b", 0, 2)
    assert mark("a", 0, 2) != mark("white", 0, 2, white=True)  # keyframes are copied byte for byte
    marks = {mark("a", 0, 2), mark("c", 0), mark("d", 2), mark("e", 0, 2, 3)}
    one_pixel = tiny_mask(2)
    one_pixel[0, 0] = 1
    write_labels(tmp_path / "b" / "00002.png", one_pixel)
    marks.add(fingerprint(read_keyframes(tmp_path / "b", clip)))
    assert len(marks) == 5
