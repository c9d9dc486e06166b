"""Frames of every kind of video: the same ones in order, at random and after opening again."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import number_of, numbered_frame, remux, write_video

from dextr_vos.clip import open_clip

B_FRAMES = {"crf": "12", "g": "8", "bf": "3"}
OPEN_H264 = {**B_FRAMES, "x264-params": "open-gop=1:keyint=8:min-keyint=2:scenecut=0"}
X265 = "log-level=none:keyint=8:min-keyint=2:bframes=3:crf=12:scenecut=0"
OPEN_HEVC = {"x265-params": X265 + ":open-gop=1"}
INTERLACED = {**B_FRAMES, "x264-params": "interlaced=1"}
REFRESH = {"crf": "12", "x264-params": "intra-refresh=1:keyint=12:bframes=0"}
ONE_KEY = {"crf": "12", "g": "1000", "bf": "3", "sc_threshold": "0"}
VARYING_MS = [int(1000 * (number / 10) ** 1.3) for number in range(36)]
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

Maker = Callable[[Path], Path]


def made(name: str, codec: str = "libx264", **options: object) -> tuple[str, Maker]:
    return name, lambda folder: write_video(folder / name.split(" ")[-1], codec, **options)


def cut(
    name: str, first: int, source: str = "whole.mkv", codec: str = "libx264", **options: object
) -> tuple[str, Maker]:
    def make(folder: Path) -> Path:
        whole = write_video(folder / source, codec, **options)
        return remux(whole, folder / name.split(" ")[-1], lambda number: number >= first)

    return name, make


def joined(folder: Path) -> Path:
    """Two recordings one after the other: time stamps begin again in the middle."""
    parts = [write_video(folder / f"{part}.ts", options=B_FRAMES).read_bytes() for part in "ab"]
    path = folder / "joined.ts"
    path.write_bytes(b"".join(parts))
    return path


def damaged(folder: Path) -> Path:
    path = write_video(folder / "whole.ts", options=B_FRAMES, count=60, size_hw=(96, 128))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 188 * 188
    del content[middle : middle + 5 * 188]
    path.write_bytes(content)
    return path


def turned(folder: Path) -> Path:
    path = folder / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options=B_FRAMES)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.set_display_rotation(90)
        for number in range(36):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")))
        container.mux(stream.encode(None))
    return path


KINDS = dict(
    [
        made("B-frames.mp4", options=B_FRAMES),
        made("B-frames.mov", options=B_FRAMES),
        made("B-frames.mkv", options=B_FRAMES),
        made("B-frames.ts", options=B_FRAMES),
        made("B-frames.flv", options=B_FRAMES),
        made("B-frames.avi", options=B_FRAMES),
        made("B-frames.3gp", options=B_FRAMES),
        made("blu-ray.m2ts", options=B_FRAMES),
        made("raw.h264", options=B_FRAMES),
        made("raw.hevc", "libx265", options=OPEN_HEVC),
        made("open-gop.mp4", options=OPEN_H264),
        made("open-gop.ts", options=OPEN_H264),
        made("open-gop raw-open.h264", options=OPEN_H264),
        made("hevc-open.mp4", "libx265", options=OPEN_HEVC),
        made("hevc-open.mkv", "libx265", options=OPEN_HEVC),
        made("hevc-open.ts", "libx265", options=OPEN_HEVC),
        made("hevc-10-bit.mp4", "libx265", options={"x265-params": X265}, pix_fmt="yuv420p10le"),
        made("fragmented.mp4", options=B_FRAMES, container_options=FRAGMENTED),
        made("fragmented-hevc.mp4", "libx265", options=OPEN_HEVC, container_options=FRAGMENTED),
        made("intra-refresh.mp4", options=REFRESH),
        made("intra-refresh.ts", options=REFRESH),
        made("one-key.mp4", options=ONE_KEY),
        made("one-key.avi", options=ONE_KEY),
        made("interlaced.ts", options=INTERLACED),
        made("varying.mkv", options=B_FRAMES, times_ms=VARYING_MS),
        made("varying.mp4", options=B_FRAMES, times_ms=VARYING_MS),
        made("late.mkv", options=B_FRAMES, times_ms=[5000 + 100 * number for number in range(36)]),
        made("late.mp4", options=B_FRAMES, times_ms=[5000 + 100 * number for number in range(36)]),
        made("edit-list.mp4", options=B_FRAMES, times_ms=[-450 + 100 * number for number in range(36)]),
        made("odd.mkv", size_hw=(51, 67), options=B_FRAMES, pix_fmt="yuv444p"),
        made("10-bit.mkv", options=B_FRAMES, pix_fmt="yuv420p10le"),
        made("mpeg4.avi", "mpeg4", options={"g": "8", "bf": "2"}),
        made("mpeg4.mp4", "mpeg4", options={"g": "8", "bf": "2"}),
        made("mpeg2.mpg", "mpeg2video", options={"g": "8", "bf": "2"}, pix_fmt="yuv420p"),
        made("mpeg2.vob", "mpeg2video", options={"g": "8", "bf": "2"}),
        made("mpeg2.m2v", "mpeg2video", options={"g": "8", "bf": "2"}),
        made("mpeg1.mpg", "mpeg1video", options={"g": "8", "bf": "2"}),
        made("sorenson.flv", "flv", options={"g": "8"}),
        made("vp8.webm", "libvpx", options={"g": "8", "auto-alt-ref": "1", "lag-in-frames": "8", "b": "1M"}),
        made("vp9.webm", "libvpx-vp9", options={"g": "8", "auto-alt-ref": "1", "lag-in-frames": "8"}),
        made("wmv2.wmv", "wmv2", options={"g": "8"}),
        made("motion.mjpeg", "mjpeg", pix_fmt="yuvj420p"),
        made("motion.avi", "mjpeg", pix_fmt="yuvj420p"),
        made("prores.mov", "prores_ks", pix_fmt="yuv422p10le"),
        made("lossless.mkv", "ffv1"),
        made("animation.gif", "gif", pix_fmt="rgb8"),
        cut("cut.mkv", 5, options=B_FRAMES),
        cut("cut.ts", 5, options=B_FRAMES),
        cut("cut.mp4", 5, options=B_FRAMES),
        cut("cut-hevc.mkv", 5, codec="libx265", options=OPEN_HEVC),
        cut("cut-open-hevc.mkv", 8, codec="libx265", options=OPEN_HEVC),
        cut("cut.mpg", 5, "whole.mpg", "mpeg2video", options={"g": "8", "bf": "2"}),
        ("joined.ts", joined),
        ("damaged.ts", damaged),
        ("turned.mp4", turned),
    ]
)


# damaged, turned, in few colours, or with numbers that begin again
PICTURES_OF_THEIR_OWN = {"damaged.ts", "turned.mp4", "animation.gif", "joined.ts"}


def decoded(path: Path) -> list[np.ndarray]:
    """What FFmpeg decodes; packets that it cannot decode give nothing."""
    frames = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                frames += [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
            except av.error.FFmpegError:
                continue
    return frames


@pytest.mark.parametrize("kind", KINDS)
def test_frame_i_is_the_ith_decoded_picture(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = KINDS[kind](tmp_path)
    expected = decoded(path)
    if kind == "turned.mp4":
        expected = [np.rot90(frame) for frame in expected]
    with open_clip(path) as clip, open_clip(path) as again:
        assert len(clip) == len(expected)
        assert clip.names[-1] == f"{len(expected) - 1:05d}"
        assert all(np.array_equal(*pair) for pair in zip(clip, expected, strict=True))
        order = np.random.default_rng(1).permutation(len(expected))
        for index in [*range(len(clip) - 1, -1, -1), *order]:
            assert np.array_equal(again.read(int(index)), expected[index]), index
        assert clip.identity == again.identity
    if kind not in PICTURES_OF_THEIR_OWN:
        numbers = [number_of(frame) for frame in expected]
        assert numbers == list(range(36 - len(expected), 36))


DAMAGED = {
    "h264.mp4": ("libx264", B_FRAMES, "yuv420p"),
    "h264-open.mkv": ("libx264", OPEN_H264, "yuv420p"),
    "h264.ts": ("libx264", B_FRAMES, "yuv420p"),
    "h264.flv": ("libx264", B_FRAMES, "yuv420p"),
    "raw.h264": ("libx264", B_FRAMES, "yuv420p"),
    "vp9.mp4": ("libvpx-vp9", {"g": "8", "lag-in-frames": "8"}, "yuv420p"),
    "mpeg2.ts": ("mpeg2video", {"g": "8", "bf": "2"}, "yuv420p"),
    "mpeg4.avi": ("mpeg4", {"g": "8", "bf": "2"}, "yuv420p"),
    "motion.avi": ("mjpeg", {}, "yuvj420p"),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("seed", range(4))
def test_frames_of_a_damaged_video_are_the_same_in_any_order(
    kind: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoders repair damage by pictures before it, several threads not alike, and leave pictures out."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    codec, options, pix_fmt = DAMAGED[kind]
    path = write_video(tmp_path / kind, codec, 60, (96, 128), pix_fmt, options)
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    size = (8, 40, 200, 1000)[seed]
    for start in rng.integers(len(content) // 8, len(content) * 7 // 8 - size, 3):
        content[start : start + size] = rng.bytes(size)
    path.write_bytes(content)
    with open_clip(path) as clip:
        in_order = list(clip)
    with open_clip(path) as again:
        assert len(again) == len(in_order)
        for index in [*range(len(again) - 1, -1, -1), *rng.permutation(len(again))]:
            assert np.array_equal(again.read(int(index)), in_order[index]), index


def test_threads_that_decode_do_not_wait_to_report_damage(tmp_path: Path) -> None:
    """With a level, as old torchvision sets it, they wait for a thread that may wait for them, for ever."""
    path = KINDS["cut.mkv"](tmp_path)
    av.logging.set_level(av.logging.ERROR)
    with open_clip(path):
        assert av.logging.get_level() is None
