from fractions import Fraction
from pathlib import Path

import av
import made_videos
import numpy as np
import pytest

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError


def write_video(path: Path, frames: int = 30, size_hw: tuple[int, int] = (48, 64), **options: str) -> Path:
    """A clip whose frame number can be read off its brightness (8 levels a frame)."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1", "g": "8", "bf": "2"})
        stream.height, stream.width, stream.pix_fmt = *size_hw, "yuv420p"
        for index in range(frames):
            image = np.full((*size_hw, 3), 8 * index % 256, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_reads_in_any_order(tmp_path: Path, suffix: str) -> None:
    clip = open_clip(write_video(tmp_path / f"a{suffix}"))
    assert len(clip) == 30
    assert clip.names[:2] == ("00000", "00001")
    assert clip.size_hw == (48, 64)
    assert clip.fps == 10
    for index in (0, 1, 2, 17, 3, 29, 28, 0, 9):
        assert abs(int(clip.read(index).mean()) - 8 * index) <= 3, index
    assert [round(frame.mean() / 8) for frame in clip] == list(range(30))


def test_a_varying_rate_is_the_average(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in (0, 40, 200, 240, 1000):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert open_clip(tmp_path / "a.mkv").fps == pytest.approx(4)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_frames_of_a_varying_rate_are_exact(tmp_path: Path, suffix: str) -> None:
    """The last frame before a key frame is displayed before, and may be stored after, that key frame."""
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1", "g": "8", "bf": "2"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(30):
            image = np.full((48, 64, 3), 8 * index, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = int(1000 * (index / 10) ** 1.3), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = open_clip(path)
    assert [round(clip[index].mean() / 8) for index in range(29, -1, -1)] == list(range(29, -1, -1))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_truncated_file_is_named(tmp_path: Path, suffix: str) -> None:
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    path = write_video(tmp_path / f"cut{suffix}", frames=90, size_hw=(96, 128), **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"the video .*cut{suffix}"):
        list(open_clip(path))


def test_truncated_without_index(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mp4")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"cannot read the video .*cut\.mp4"):
        open_clip(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("this is text")
    with pytest.raises(InputError, match=r"cannot read the video .*notes\.mp4"):
        open_clip(path)


def open_files(path: Path) -> list[str]:
    """What this process has open of a file, where the system says so."""
    return [entry.name for entry in Path("/proc/self/fd").iterdir() if entry.resolve() == path.resolve()]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list open files")
def test_a_closed_or_unusable_video_is_not_held_open(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv")
    with open_clip(path) as clip:
        part = clip[3:5]
        assert open_files(path)
    assert not open_files(path)
    with pytest.raises(InputError, match=r"the video .*a\.mkv was closed"):
        part[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError) as kept:  # the traceback is kept, and with it the half-made clip
        open_clip(path)
    assert kept.value.__traceback__ is not None
    assert not open_files(path)


def test_tags_need_not_be_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "M_ller"
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.metadata["title"] = "F_hrt"
        for packet in stream.encode(av.VideoFrame(64, 48, "yuv420p")):
            container.mux(packet)
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"M_ller" in content
    assert b"F_hrt" in content
    path.write_bytes(content.replace(b"M_ller", b"M\xfcller").replace(b"F_hrt", b"F\xfchrt"))
    assert len(open_clip(path)) == 1


def test_a_file_of_sound_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match=r"a\.wav has no video stream"):
        open_clip(path)


def test_too_large_frames_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = made_videos.write_video(tmp_path / "a.avi", "huffyuv", count=2, pix_fmt="yuv422p")
    content = path.read_bytes()
    header = content.index(b"strf") + 8
    path.write_bytes(content[: header + 4] + (12_000).to_bytes(4, "little") * 2 + content[header + 12 :])
    with pytest.raises(InputError, match=r"a\.avi is 12000×12000 pixels, 144 million; expected at most 67"):
        open_clip(path)
