import json
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import number_of, write_video

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.video import index


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of indices; every one is worth keeping."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "_WORTH_KEEPING_S", 0)
    return tmp_path / "cache" / "dextr-vos" / "videos"


def test_the_index_is_kept_as_long_as_the_file_is_the_same(tmp_path: Path, cache: Path) -> None:
    path = write_video(tmp_path / "a.avi", "mpeg4", count=12, options={"g": "4"})
    before = list(open_clip(path))
    (kept,) = cache.iterdir()
    written = kept.stat().st_mtime_ns
    clip = open_clip(path)
    assert [number_of(clip[number]) for number in (11, 2, 7, 0)] == [11, 2, 7, 0]
    assert all(np.array_equal(*pair) for pair in zip(clip, before, strict=True))
    assert kept.stat().st_mtime_ns == written
    write_video(path, "mpeg4", count=9, options={"g": "4"})
    assert len(open_clip(path)) == 9
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"format": "dextr-vos video index 0", "frames": [0], "checksums": [1]}',
        '{"format": "dextr-vos video index 1", "frames": [0, 99], "checksums": [1, 1]}',
        '{"format": "dextr-vos video index 1", "frames": [0, 1], "checksums": [1]}',
        '{"format": "dextr-vos video index 1", "frames": [1e999], "checksums": [1]}',
    ],
)
def test_a_broken_index_is_made_again(tmp_path: Path, cache: Path, content: str) -> None:
    path = write_video(tmp_path / "a.avi", "mpeg4", count=12)
    open_clip(path)
    (kept,) = cache.iterdir()
    kept.write_text(content)
    assert len(open_clip(path)) == 12
    assert len(json.loads(kept.read_text())["frames"]) == 12


def test_where_nothing_can_be_kept_videos_open_all_the_same(tmp_path: Path, cache: Path) -> None:
    path = write_video(tmp_path / "a.avi", "mpeg4", count=12)
    cache.parent.parent.write_text("a file where the folder should be")
    assert len(open_clip(path)) == 12


def test_key_frames_that_are_none_are_found_out(tmp_path: Path, cache: Path) -> None:
    """The index of this AVI says that every frame is a key frame; decoding from most of them goes wrong."""
    path = write_video(tmp_path / "a.avi", "msmpeg4", options={"g": "12"})
    content = bytearray(path.read_bytes())
    entries = content.index(b"idx1") + 8
    for number in range(36):
        content[entries + 16 * number + 4] |= 0x10
    path.write_bytes(content)
    in_order = list(open_clip(path))
    clip = open_clip(path)
    for number in (30, 5, 17, 35, 11, 12, 13, 1, 0):
        assert np.array_equal(clip[number], in_order[number]), number


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """An MP4 of 60 key frames of which number 40, beyond those that are checked, is zeroed."""
    path = write_video(tmp_path / "damaged.mp4", options={"g": "1"}, count=60)
    with av.open(str(path)) as container:
        packet = [each for each in container.demux(video=0) if each.size][40]
        start, size = packet.pos, packet.size
    content = bytearray(path.read_bytes())
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    return path


def test_a_video_with_a_damaged_packet_is_frame_exact_from_its_next_use_on(
    damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clip = open_clip(damaged)
    assert len(clip) == 60
    use_the_rest = r"frame 40 of 60 .* use the 59 .* in a new workspace, since one of 60 frames"
    with pytest.raises(InputError, match=use_the_rest):
        clip.read(40)
    (kept,) = (tmp_path / "cache").rglob("*.json")
    kept_at = kept.stat().st_ino
    with pytest.raises(InputError, match=use_the_rest):
        clip.read(40)
    assert kept.stat().st_ino == kept_at, "the file is decoded for that once only"
    assert number_of(clip.read(39)) == 39  # the others can still be read
    again = open_clip(damaged)
    numbers = [number for number in range(60) if number != 40]
    assert [number_of(frame) for frame in again] == numbers
    assert [number_of(again[index]) for index in (58, 39, 40, 3)] == [59, 39, 41, 3]


def test_where_nothing_can_be_kept_a_damaged_video_is_to_be_exported_again(
    damaged: Path, cache: Path
) -> None:
    cache.parent.parent.write_text("a file where the folder should be")
    with pytest.raises(InputError, match="the file is damaged there, export it again"):
        open_clip(damaged).read(40)


@pytest.mark.parametrize("width", [1, 62, 7324])
def test_the_checksum_of_a_frame_of_any_width_is_that_of_its_pixels(width: int) -> None:
    grey = np.arange(width * 32, dtype=np.uint8).reshape(32, width)
    assert index.checksum(av.VideoFrame.from_ndarray(grey, format="gray")) == zlib.adler32(grey.tobytes())
