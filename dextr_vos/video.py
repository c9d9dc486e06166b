"""Video files as clips, through PyAV: an index from the packets, frames decoded when asked for."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import av
import numpy as np

from dextr_vos.clip import DEFAULT_FPS, Clip, frame_numbers
from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb

# Containers that number frames in the order of storage, not of display.
_TIMELESS_CONTAINERS = ("avi", "h264", "hevc", "m4v", "mpegvideo")
# Other containers note a duration, which may be rounded up by this much.
_DURATION_SLACK_S = 1.0


class VideoClip(Clip):
    """The frames of a video file, named `00000`, `00001` and so on.

    Reading forward continues the running decoder; any other order seeks to the last key frame before, or
    decodes from the start where the container has no timestamps.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._closed, self._next_index = False, 0
        try:
            self._container = av.open(str(path))
        except av.error.FFmpegError as error:
            raise self._unreadable(error) from None
        try:
            self._open()
        except (av.error.FFmpegError, StopIteration) as error:
            self.close()
            raise self._unreadable(error) from None
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        if not self._container.streams.video:
            raise InputError(f"{self.path} has no video stream; expected a video file or a folder of images")
        self._times = self._index()
        timeless = self._container.format.name in _TIMELESS_CONTAINERS
        self._seekable = not timeless and None not in self._times and self._all_times_differ()
        self._frames = self._decode_from(0)
        first = _upright(next(self._frames))
        self._restart(0)
        self.names = frame_numbers(len(self._times))
        self.size_hw = (first.shape[0], first.shape[1])
        self.fps = self._rate()

    def close(self) -> None:
        """See `Clip.close`."""
        self._closed = True
        self._container.close()

    def read(self, index: int) -> ImageRgb:
        """See `Clip.read`."""
        if self._closed:
            raise InputError(f"the video {self.path} was closed; open it again to read frames")
        try:
            if index != self._next_index:
                self._restart(index)
            image_rgb = _upright(next(self._frames))
        except (av.error.FFmpegError, StopIteration) as error:
            raise InputError(
                f"cannot decode frame {index} of {len(self)} of the video {self.path}: "
                f"{_reason(error)}; the file is damaged there, export it again"
            ) from None
        self._next_index = index + 1
        if image_rgb.shape[:2] != self.size_hw:
            raise InputError(
                f"frame {index} of the video {self.path} is {image_rgb.shape[1]}×{image_rgb.shape[0]} "
                f"pixels, the first is {self.size_hw[1]}×{self.size_hw[0]}; "
                "all frames of a clip must have one size"
            )
        return image_rgb

    def _index(self) -> list[int | None]:
        """Presentation time of every frame in order (None where the container has none), by demuxing."""
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        times: list[int | None] = []
        end_s = 0.0
        for packet in self._container.demux():
            if packet.pts is not None:
                end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            usable = packet.size > 0 and not packet.is_discard and not packet.is_corrupt
            if packet.stream is stream and usable:
                times.append(packet.pts)
        self._check_whole(len(times), end_s)
        return sorted(times, key=lambda time: -1 if time is None else time)

    def _rate(self) -> float:
        """Average number of frames per second; containers may note another, nominal rate."""
        stream = self._container.streams.video[0]
        first, last = self._times[0], self._times[-1]
        if self._seekable and len(self._times) > 1 and first is not None and last is not None:
            return (len(self._times) - 1) / float((last - first) * stream.time_base)
        return float(stream.average_rate or DEFAULT_FPS)

    def _all_times_differ(self) -> bool:
        return len(set(self._times)) == len(self._times)

    def _check_whole(self, usable: int, end_s: float) -> None:
        container, stream = self._container, self._container.streams.video[0]
        if usable == 0:
            raise InputError(
                f"the video {self.path} holds no frames; it is empty or cut off, export it again"
            )
        size = self.path.stat().st_size
        # older releases of PyAV do not show the index
        promised = [entry.pos + entry.size for entry in getattr(stream, "index_entries", ())]
        if promised and max(promised) > size:
            missing = sum(end > size for end in promised)
            raise InputError(
                f"the video {self.path} is cut off: {missing} of the {len(promised)} frames in its index lie "
                "beyond the end of the file; copy or export it again"
            )
        if container.duration is not None:
            start_s = (container.start_time or 0) / av.time_base
            expected_s = start_s + container.duration / av.time_base
            if end_s < expected_s - _DURATION_SLACK_S:
                raise InputError(
                    f"the video {self.path} is cut off: it promises {expected_s:.1f} s, "
                    f"{end_s:.1f} s are there; copy or export it again"
                )

    def _restart(self, index: int) -> None:
        self._frames = self._decode_from(index)
        self._next_index = index

    def _decode_from(self, index: int) -> Iterator[av.VideoFrame]:
        stream = self._container.streams.video[0]
        time = self._times[index]
        if not self._seekable or time is None:
            self._container.seek(0)
            for position, frame in enumerate(self._container.decode(stream)):
                if position >= index:
                    yield frame
            return
        for frame in self._decode_from_before(index, time):
            if frame.pts is None or frame.pts >= time:
                yield frame

    def _decode_from_before(self, index: int, time: int) -> Iterator[av.VideoFrame]:
        """Frames from a key frame on that is displayed no later than `time`, that of frame `index`."""
        stream = self._container.streams.video[0]
        back = 0
        while True:
            # containers seek by decoding time: the key frame found may be displayed after the frame
            start = self._times[max(0, index - back)]
            self._container.seek(time if start is None else start, stream=stream, backward=True)
            frames = self._container.decode(stream)
            first = next(frames, None)
            if first is None:
                return iter(())
            if first.pts is None or first.pts <= time or back > index:
                return chain([first], frames)
            back = 2 * back + 1

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(
            f"cannot read the video {self.path}: {_reason(error)}; "
            "expected a whole video file or a folder of images"
        )


def _upright(frame: av.VideoFrame) -> ImageRgb:
    """RGB of a frame, rotated as it should be displayed (phones store the rotation separately)."""
    image_rgb = frame.to_ndarray(format="rgb24")
    quarter_turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image_rgb, quarter_turns))


def _reason(error: Exception) -> str:
    if isinstance(error, StopIteration):
        return "it ends before that frame"
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
