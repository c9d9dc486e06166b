"""Mattes, alpha channels and a green screen, read back with FFmpeg; sound, times and tags of the source."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask
from export.commands import call

from dextr_vos.clip import open_clip
from dextr_vos.export.film import FILM_FORMATS, feathered
from dextr_vos.export.overlay import write_overlay_video
from dextr_vos.masks import write_labels
from dextr_vos.workspace import ResultMasks

TIMES_MS = (0, 40, 80, 200, 240, 400)  # not at one rate


@pytest.fixture
def masks(tmp_path):
    for index in range(6):
        labels = tiny_mask(index)
        labels[2:8, 50:60] = 4
        write_labels(tmp_path / "masks" / f"{index:05d}.png", labels)
    return tmp_path / "masks"


def write_source(path, sound="aac", colours=(1, 1, 1)):
    """A video with a variable rate, wide pixels, tags (BT.709) and sound, whose clock starts late."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        context = stream.codec_context
        stream.time_base = context.time_base = Fraction(1, 1000)
        context.sample_aspect_ratio = Fraction(16, 11)
        context.colorspace, context.color_primaries, context.color_trc = colours
        context.color_range = 1
        tone = out.add_stream(sound, rate=48000)
        for index, time in enumerate(TIMES_MS):
            frame = av.VideoFrame.from_ndarray(tiny_frame(index), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=colours[0] if colours[0] != 2 else 5)
            frame.colorspace, frame.color_primaries, frame.color_trc = colours
            frame.pts, frame.time_base = time + 500, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        wave = (np.sin(np.arange(24000) / 20) * 9000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 24000, Fraction(1, 48000)
        out.mux(tone.encode(frame))
        out.mux(tone.encode(None))
        out.mux(stream.encode(None))
    return path


def tags_of_frames(path):
    """Matrix, primaries and transfer of the first decoded frame, which readers believe."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.colorspace, frame.color_primaries, frame.color_trc


def look(path):
    """Times of frames from the first one, stream facts, and samples of sound."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        facts = (stream.sample_aspect_ratio, context.colorspace, context.color_primaries, context.color_trc)
        times = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
    sound = []
    with av.open(str(path)) as container:
        if container.streams.audio:
            sound = [(frame.time, frame.samples) for frame in container.decode(audio=0)]
    return times, facts, sound


def test_a_webm_that_cannot_say_its_pixel_aspect_is_told(masks, tmp_path, caplog):
    source = write_source(tmp_path / "source.mkv")
    call("export", source, "--masks", masks, "--format", "webm-alpha", "-o", tmp_path / "out.webm")
    assert "source.mkv has pixels of 16:11, which the WebM file does not say" in caplog.text


# BT.709, BT.601 (NTSC), BT.2020 with HLG, and no tags
@pytest.mark.parametrize("colours", [(1, 1, 1), (6, 6, 6), (9, 9, 18), (2, 2, 2)])
@pytest.mark.parametrize("name", ["prores-4444", "feathered-matte-video", "webm-alpha", "green-screen"])
def test_the_colour_tags_of_frames_are_those_of_the_source(name, colours, masks, tmp_path):
    source = write_source(tmp_path / "source.mkv", colours=colours)
    target = tmp_path / f"out{FILM_FORMATS[name].suffix}"
    call("export", source, "--masks", masks, "--format", name, "-o", target)
    assert tags_of_frames(target) == colours


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        ("25", Fraction(25)),
        ("29.97", Fraction(30000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("60", Fraction(60)),
    ],
)
def test_rates_of_ntsc_are_exact(fps, rate, tiny_clip, masks, tmp_path):
    given = ("export", tiny_clip, "--masks", masks, "--format", "prores-4444", "--fps", fps)
    call(*given, "-o", tmp_path / "a.mov")
    with av.open(str(tmp_path / "a.mov")) as video:
        assert video.streams.video[0].average_rate == rate
    assert tags_of_frames(tmp_path / "a.mov") == (1, 1, 1)


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_an_overlay_has_the_times_aspect_tags_and_sound_of_its_source(container, masks, tmp_path):
    source = write_source(tmp_path / f"source.{container}")
    clip = open_clip(source)
    write_overlay_video(tmp_path / "overlay.mp4", clip, ResultMasks.find(masks))
    times, facts, sound = look(tmp_path / "overlay.mp4")
    before, facts_before, sound_before = look(source)
    assert np.diff(times) == pytest.approx(np.diff(before), abs=0.002)
    assert facts == facts_before == (Fraction(16, 11), 1, 1, 1)
    assert sum(samples for _, samples in sound) == pytest.approx(
        sum(samples for _, samples in sound_before), abs=2048
    )
    # picture and sound keep their distance
    assert sound[0][0] - times[0] == pytest.approx(sound_before[0][0] - before[0], abs=0.03)


def test_a_range_of_frames_keeps_its_times_and_its_sound(masks, tmp_path):
    source = write_source(tmp_path / "source.mkv")
    given = ("--masks", masks, "--frames", "1-3")
    call("export", source, *given, "--video", tmp_path / "a.mp4")
    call("export", source, *given, "--format", "prores-4444", "-o", tmp_path / "b.mov")
    for path in (tmp_path / "a.mp4", tmp_path / "b.mov"):
        times, _, sound = look(path)
        assert np.diff(times) == pytest.approx([0.04, 0.12], abs=0.002)
        # frames 1 to 3 are shown from 40 to 240 ms
        assert sum(samples for _, samples in sound) / 48000 == pytest.approx(0.2, abs=0.05)
    given = ("export", source, "--masks", masks, "--frames", "1,3", "--video", tmp_path / "c.mp4")
    assert "consecutive frames" in call(*given, status=2).stderr


@pytest.mark.parametrize("name", ["webm-alpha", "prores-4444", "green-screen"])
def test_sound_that_a_container_cannot_hold_is_encoded_again(name, masks, tmp_path):
    source = write_source(tmp_path / "source.mkv", sound="flac")
    target = tmp_path / f"out{FILM_FORMATS[name].suffix}"
    call("export", source, "--masks", masks, "--format", name, "-o", target)
    times, _, sound = look(target)
    assert len(times) == 6
    assert sum(samples for _, samples in sound) / 48000 == pytest.approx(0.5, abs=0.06)


def test_frames_of_a_folder_play_at_the_rate_that_is_asked_for(tiny_clip, masks, tmp_path):
    call("export", tiny_clip, "--masks", masks, "--video", tmp_path / "a.mp4", "--fps", "12.5")
    assert np.diff(look(tmp_path / "a.mp4")[0]) == pytest.approx(0.08)
    source = write_source(tmp_path / "source.mp4")
    given = ("export", source, "--masks", masks, "--video", tmp_path / "b.mp4", "--fps", "12.5")
    assert "--fps is for folders" in call(*given, status=2).stderr
    assert not (tmp_path / "b.mp4").exists()


def test_nothing_is_burnt_in_unless_asked(tiny_clip, masks, tmp_path):
    call("export", tiny_clip, "--masks", masks, "--video", tmp_path / "a.mp4")
    call("export", tiny_clip, "--masks", masks, "--video", tmp_path / "b.mp4", "--captions")
    corners = []
    for name in ("a.mp4", "b.mp4"):
        with av.open(str(tmp_path / name)) as video:
            corners.append(next(video.decode(video=0)).to_ndarray(format="rgb24")[:12, :40].astype(int))
    assert np.abs(corners[0] - tiny_frame(0)[:12, :40]).mean() < 20
    assert np.abs(corners[1] - corners[0]).mean() > 30


def decoded_alpha(path, codec=None):
    """Alpha of each frame; FFmpeg's own VP9 decoder drops it, libvpx keeps it."""
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        if codec is None:
            return [frame.to_ndarray(format="rgba") for frame in video.decode(stream)]
        decoder = av.CodecContext.create(codec, "r")
        frames = [frame for packet in video.demux(stream) for frame in decoder.decode(packet)]
        return [frame.to_ndarray(format="rgba") for frame in frames]


@pytest.mark.parametrize(("name", "codec"), [("prores-4444", None), ("webm-alpha", "libvpx-vp9")])
def test_alpha_is_there(name, codec, tiny_clip, masks, tmp_path):
    target = tmp_path / f"out{FILM_FORMATS[name].suffix}"
    call(
        "export",
        tiny_clip,
        "--masks",
        masks,
        "--format",
        name,
        "--only",
        "1",
        "--feather",
        "0",
        "-o",
        target,
    )
    frames = decoded_alpha(target, codec)
    assert len(frames) == 6
    for index, frame in enumerate(frames):
        inside = tiny_mask(index) == 1
        assert ((frame[..., 3] > 127) == inside).mean() > 0.99
        apart = np.abs(frame[inside][:, :3].astype(int) - tiny_frame(index)[inside])
        assert apart.mean() < (8 if name == "prores-4444" else 30)


def test_a_png_sequence_with_alpha_keeps_the_frames(tiny_clip, masks, tmp_path):
    call("export", tiny_clip, "--masks", masks, "--format", "rgba", "--feather", "0", "-o", tmp_path / "rgba")
    image = cv2.imread(str(tmp_path / "rgba" / "00002.png"), cv2.IMREAD_UNCHANGED)
    assert (image[..., 2::-1] == tiny_frame(2)).all()
    expected = tiny_mask(2) == 1
    expected[2:8, 50:60] = True
    assert (image[..., 3] == expected * 255).all()


def test_mattes_are_16_bits_a_folder_an_object(tiny_clip, masks, tmp_path):
    call("export", tiny_clip, "--masks", masks, "--format", "feathered-mattes", "-o", tmp_path / "m")
    assert sorted(folder.name for folder in (tmp_path / "m").iterdir()) == ["1_object 1", "4_object 4"]
    matte = cv2.imread(str(tmp_path / "m" / "1_object 1" / "00000.png"), cv2.IMREAD_UNCHANGED)
    assert matte.dtype == np.uint16
    assert (matte[24, 5:11] == [0, 0, 16384, 49151, 65535, 65535]).all()


def test_a_green_screen_is_green_around_the_object(tiny_clip, masks, tmp_path):
    call("export", tiny_clip, "--masks", masks, "--format", "green-screen", "-o", tmp_path / "g.mp4")
    with av.open(str(tmp_path / "g.mp4")) as video:
        frame = next(video.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(frame[40:, 40:] - [0, 177, 64]).max() < 12
    assert np.abs(frame[18:30, 12:22] - tiny_frame(0)[18:30, 12:22]).mean() < 30


def test_a_matte_video_is_grey(tiny_clip, masks, tmp_path):
    call("export", tiny_clip, "--masks", masks, "--format", "feathered-matte-video", "-o", tmp_path / "m.mov")
    with av.open(str(tmp_path / "m.mov")) as video:
        frame = next(video.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.ptp(frame, axis=2).max() <= 2
    assert ((frame[..., 0] > 127) == (tiny_mask(0) == 1))[12:].mean() > 0.98


def test_objects_are_chosen_by_id_or_name(tiny_clip, masks, tmp_path):
    given = ("export", tiny_clip, "--masks", masks, "--format", "rgba", "--feather", "0")
    call(*given, "--only", "object 4", "-o", tmp_path / "four")
    image = cv2.imread(str(tmp_path / "four" / "00000.png"), cv2.IMREAD_UNCHANGED)
    assert np.count_nonzero(image[..., 3]) == 60
    shown = call(*given, "--only", "9", "-o", tmp_path / "nine", status=2).stderr
    assert "no object '9'; it has 1 (object 1), 4 (object 4)" in shown


def test_a_ramp_lies_across_the_edge():
    mask = np.zeros((9, 20), bool)
    mask[:, 10:] = True
    assert feathered(mask, 4)[4, 7:13].tolist() == pytest.approx([0, 0.125, 0.375, 0.625, 0.875, 1])
    assert (feathered(mask, 0) == mask).all()
