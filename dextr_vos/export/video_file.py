"""Video files that are made of a clip: with its frame times, pixel aspect, colour tags and sound."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path
from dextr_vos.video.video_clip import VideoClip

log = logging.getLogger(__name__)

# values of ISO/IEC 23091-2; 2 is unspecified
_BT709, _UNSPECIFIED = 1, 2
_LIMITED_RANGE = 1
_SWSCALE_DEFAULT = 5  # BT.601, with which video without a tag is decoded
_MATRICES = frozenset({1, 4, 5, 6, 7, 9})  # that swscale knows
_FINEST_RATE = 1001  # largest denominator of a frame rate
_NTSC_RATES = (24, 30, 48, 60, 120)  # which are 1000/1001 of these
_NTSC_DIGITS = 0.005  # people write 23.98 and 29.97
# sound that is copied as it is; other sound is encoded again
_COPIED = {
    ".mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus"},
    ".mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be"},
    ".webm": {"opus", "vorbis"},
}


@dataclass(frozen=True)
class VideoFormat:
    """How a video is encoded.

    Attributes:
        suffix: of the file.
        codec: FFmpeg's name of the encoder.
        pixels: FFmpeg's name of the pixel format.
        options: of the encoder.
        even: sides must be even; the last row or column is repeated.
        sound: FFmpeg's name of the encoder for sound that cannot be copied.
        metadata: of the video stream.
    """

    suffix: str
    codec: str
    pixels: str
    options: dict[str, str] = field(default_factory=dict)
    even: bool = True
    sound: str = "aac"
    metadata: dict[str, str] = field(default_factory=dict)


H264 = VideoFormat(".mp4", "libx264", "yuv420p", {"crf": "20", "preset": "veryfast"})
PRORES_HQ = VideoFormat(".mov", "prores_ks", "yuv422p10le", {"profile": "hq"}, sound="pcm_s16le")
PRORES_4444 = VideoFormat(
    ".mov",
    "prores_ks",
    "yuva444p10le",
    {"profile": "4444", "alpha_bits": "16"},
    even=False,
    sound="pcm_s16le",
)
VP9_ALPHA = VideoFormat(
    ".webm",
    "libvpx-vp9",
    "yuva420p",
    {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "auto-alt-ref": "0"},
    sound="libopus",
    metadata={"alpha_mode": "1"},
)


class VideoWriter:
    """Frames into an open container; see `open_video_writer`."""

    def __init__(self, out: Any, clip: Clip, how: VideoFormat, fps: float | None, frames: range) -> None:
        self._out, self._how = out, how
        self._source = _Source(clip)
        rate = frame_rate(fps or clip.fps)
        self._times = self._source.times_s or [index / rate for index in range(len(clip))]
        self._start_s = self._source.start_s if frames.start == 0 else self._times[frames.start]
        self._end_s = None if frames.stop == len(clip) else float(self._times[frames.stop] - self._start_s)
        self._sides = tuple(side + side % 2 if how.even else side for side in clip.size_hw)
        stream = out.add_stream(how.codec, rate=rate, options=dict(how.options))
        stream.height, stream.width = self._sides
        stream.pix_fmt = how.pixels
        stream.time_base = stream.codec_context.time_base = self._source.time_base or 1 / rate
        stream.metadata.update(how.metadata)
        context = stream.codec_context
        context.sample_aspect_ratio = self._source.pixel_aspect
        if how.suffix == ".webm" and self._source.pixel_aspect != 1:
            log.warning(
                "%s has pixels of %s, which the WebM file does not say: set it in the program that opens it",
                *(self._source.path, str(self._source.pixel_aspect).replace("/", ":")),
            )
        context.color_range = _LIMITED_RANGE
        context.colorspace, context.color_primaries, context.color_trc = self._source.colour_tags
        self._stream, self._ticks = stream, Fraction(stream.codec_context.time_base)
        self._sound = _Sound(out, self._source.path, how, self._start_s, cut=frames.start > 0)

    def write(self, index: int, image: npt.NDArray[np.uint8]) -> None:
        """Encode frame `index`.

        Args:
            index: of the clip; frames come in order.
            image: H×W×3 uint8 RGB, or H×W×4 with straight alpha.
        """
        below, right = (side - given for side, given in zip(self._sides, image.shape, strict=False))
        if below or right:
            image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        layout = "rgb24" if image.shape[2] == 3 else "rgba"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=layout)
        matrix = self._source.matrix
        frame = frame.reformat(format=self._how.pixels, dst_colorspace=matrix, dst_color_range=_LIMITED_RANGE)
        # ProRes has tags in each frame, which readers believe rather than those of the file
        frame.colorspace, frame.color_primaries, frame.color_trc = self._source.colour_tags
        time_s = self._times[index] - self._start_s
        frame.pts, frame.time_base = round(time_s / self._ticks), self._ticks
        self._sound.write_until(float(time_s))
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encode what is left, and the rest of the sound."""
        self._mux(self._stream.encode(None))
        self._sound.finish(self._end_s)

    def close(self) -> None:
        """Close the file that the sound comes from."""
        self._sound.close()

    def _mux(self, packets: list[Any]) -> None:
        steps = [two - one for one, two in pairwise(self._times)]
        usual = round((sorted(steps)[len(steps) // 2] if steps else self._ticks) / self._ticks)
        for packet in packets:
            packet.duration = packet.duration or max(1, usual)
            self._out.mux(packet)


@contextmanager
def open_video_writer(
    path: Path, clip: Clip, how: VideoFormat, fps: float | None = None, frames: range | None = None
) -> Iterator[VideoWriter]:
    """A video file that is complete once the block succeeds, and absent otherwise.

    Args:
        path: file to write.
        clip: gives size, frame times, pixel aspect, colour tags and sound.
        how: encoding.
        fps: frames per second, of clips without frame times; None for the clip's.
        frames: those that are written, in order; None for all. The sound is that of their time.

    Raises:
        InputError: another suffix, or `fps` for a video that has times of its own.
    """
    if path.suffix.lower() != how.suffix:
        raise InputError(f"the video {path} must end in {how.suffix}")
    if fps is not None and isinstance(clip, VideoClip) and clip.times_s is not None:
        raise InputError(f"--fps is for folders of frames; the frames of {clip.path} keep their times")
    options = {} if how.suffix == ".webm" else {"movflags": "faststart"}
    with atomic_path(path) as temporary, av.open(str(temporary), "w", options=options) as out:
        writer = VideoWriter(out, clip, how, fps, frames or range(len(clip)))
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


def frame_rate(fps: float) -> Fraction:
    """Frames per second as a fraction: 29.97 is 30000/1001, like the other rates of NTSC."""
    whole = next((rate for rate in _NTSC_RATES if abs(fps - rate * 1000 / 1001) < _NTSC_DIGITS), None)
    return Fraction(fps).limit_denominator(_FINEST_RATE) if whole is None else Fraction(whole * 1000, 1001)


def consecutive(frames: Sequence[int]) -> range:
    """Frames of a video as a range.

    Raises:
        InputError: they are not consecutive.
    """
    found = range(frames[0], frames[-1] + 1)
    if list(frames) != list(found):
        raise InputError(
            f"a video takes consecutive frames, got {len(frames)} of {len(found)}; give one range"
        )
    return found


class _Source:
    """What a video file says of its frames; the usual, where the clip is no video file."""

    def __init__(self, clip: Clip) -> None:
        self.path: Path | None = None
        self.times_s: tuple[Fraction, ...] | None = None
        self.time_base: Fraction | None = None
        self.start_s = Fraction(0)
        self.pixel_aspect = Fraction(1)
        self.matrix, self.colour_tags = _BT709, (_BT709, _BT709, _BT709)
        if isinstance(clip, VideoClip):
            self._read(clip)

    def _read(self, clip: VideoClip) -> None:
        self.path, self.times_s = clip.path, clip.times_s
        with av.open(str(clip.path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            if self.times_s is not None:
                self.time_base = Fraction(stream.time_base)
                self.start_s = min(self.times_s[0], Fraction(container.start_time or 0, av.time_base))
            aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
            turned = (context.height, context.width) != clip.size_hw
            self.pixel_aspect = 1 / Fraction(aspect) if turned and aspect else Fraction(aspect or 1)
            # frames are coded again with the matrix with which they were decoded
            self.matrix = context.colorspace if context.colorspace in _MATRICES else _SWSCALE_DEFAULT
            tags = (context.colorspace, context.color_primaries, context.color_trc)
            self.colour_tags = tags if tags[0] in _MATRICES else (_UNSPECIFIED, *tags[1:])


class _Sound:
    """The sound of a video file, written as the frames go along; with `cut` from `start_s` on."""

    def __init__(
        self, out: Any, path: Path | None, how: VideoFormat, start_s: Fraction, cut: bool = False
    ) -> None:
        self._out, self._start_s, self._cut, self._source = out, start_s, cut, None
        self._targets: dict[int, tuple[Any, bool]] = {}
        self._samples: dict[int, int] = {}  # that were encoded, by stream
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        if path is None:
            return
        self._source = av.open(str(path), metadata_errors="replace")
        streams = [stream for stream in self._source.streams.audio if stream.codec_context is not None]
        for stream in streams:
            # decoders may compute with floats: mp3float
            copied = stream.codec_context.name.removesuffix("float") in _COPIED[how.suffix]
            target = out.add_stream_from_template(stream) if copied else self._target(stream, how)
            self._targets[stream.index] = target, copied
        if streams:
            self._packets = self._source.demux(streams)
            self._next = next(self._packets, None)

    def write_until(self, time_s: float | None) -> None:
        """Write the sound up to a time; None writes all that is left."""
        while self._next is not None:
            packet = self._next
            at_s = None if packet.pts is None else float(packet.pts * packet.time_base - self._start_s)
            if time_s is not None and at_s is not None and at_s > time_s:
                return
            if not (self._cut and at_s is not None and at_s < 0):
                self._write(packet)
            self._next = next(self._packets, None)

    def finish(self, time_s: float | None) -> None:
        """Write the sound up to a time, None for all that is left, and end it."""
        self.write_until(time_s)
        for target, copied in self._targets.values():
            if not copied:
                self._out.mux(target.encode(None))
        self._targets = {}

    def close(self) -> None:
        """Close the file."""
        if self._source is not None:
            self._source.close()

    def _target(self, stream: Any, how: VideoFormat) -> Any:
        rate = 48000 if how.sound == "libopus" else stream.codec_context.sample_rate
        return self._out.add_stream(how.sound, rate=rate)

    def _write(self, packet: Any) -> None:
        target, copied = self._targets[packet.stream.index]
        if copied:
            if packet.dts is None:  # the packet that ends the stream
                return
            shift = round(self._start_s / Fraction(packet.time_base))
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = target
            self._out.mux(packet)
            return
        for frame in packet.decode():
            # counted in samples from the first on, since coarser clocks repeat themselves
            rate = frame.sample_rate
            if packet.stream.index not in self._samples:
                at = (frame.pts or 0) * Fraction(frame.time_base) - self._start_s
                self._samples[packet.stream.index] = round(at * rate)
            frame.pts, frame.time_base = self._samples[packet.stream.index], Fraction(1, rate)
            self._samples[packet.stream.index] += frame.samples
            self._out.mux(target.encode(frame))
