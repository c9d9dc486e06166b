import json
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import number_of, write_video

from dextr_vos.clip import open_clip
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


def test_the_frame_of_a_packet_that_is_lost_repeats_the_one_before(
    damaged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = [*range(40), 39, *range(41, 60)]
    clip = open_clip(damaged)
    assert [number_of(frame) for frame in clip] == numbers
    assert [each.message for each in caplog.records] == [
        f"the video {damaged} is damaged near frame 00040: frames that cannot be decoded show the one before"
    ]
    again = open_clip(damaged)
    assert [number_of(again[index]) for index in (58, 40, 39, 41, 40, 3)] == [58, 39, 39, 41, 39, 3]


@pytest.mark.parametrize("width", [1, 62, 7324])
def test_the_checksum_of_a_frame_of_any_width_is_that_of_its_pixels(width: int) -> None:
    grey = np.arange(width * 32, dtype=np.uint8).reshape(32, width)
    assert index.checksum(av.VideoFrame.from_ndarray(grey, format="gray")) == zlib.adler32(grey.tobytes())
