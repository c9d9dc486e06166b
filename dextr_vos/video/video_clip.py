"""A video file as a clip: frame i is the i-th picture that FFmpeg decodes, however it is reached.

A frame that a damaged file promises and does not have is an error, see `dextr_vos.video.index`.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from dextr_vos.clip import DEFAULT_FPS, Clip, frame_numbers
from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb
from dextr_vos.video.index import checksum, index_for_next_use, make_index
from dextr_vos.video.packets import PacketReader

# Formats without a container; the duration that FFmpeg gives for them is an estimate.
_RAW_FORMATS = frozenset(
    {"h264", "hevc", "m4v", "mpegvideo", "mjpeg", "obu", "vc1", "av1", "dirac", "h263", "vvc", "evc"}
)
# Containers note a duration, which may be rounded up by this much.
_DURATION_SLACK_S = 1.0


class VideoClip(Clip):
    """The frames of a video file, named `00000`, `00001` and so on.

    Reading forward continues the running decoder. Otherwise decoding starts at the last packet before the
    frame from which it gives the same pictures as from the start of the file, see `make_index`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.files = path, (path,)
        self._closed, self._next = False, 0
        self._frames: Iterator[tuple[int, av.VideoFrame]] = iter(())
        try:
            self._reader = PacketReader(path)
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
        self._check_whole()
        self._index = make_index(self._reader, self.path)
        frames, table = self._index.frames, self._reader.table
        self._place_of_packet = {number: place for place, number in enumerate(frames)}
        # where to start: index of the frame, and number of its packet, both ascending; nowhere, if the
        # decoder does not tell from which packet a frame came
        identified = len(self._place_of_packet) == len(frames) and min(frames) >= 0
        places = [(self._place_of_packet.get(number, -1), number) for number in table.restarts]
        self._restarts = [place for place in places if place[0] >= 0 and identified]
        self._start(0, 0)
        _, first = next(self._frames)
        self.size_hw = _upright(first).shape[:2]
        self._start(0, 0)
        self.names = frame_numbers(len(frames))
        self.fps = self._rate()

    @cached_property
    def times_s(self) -> tuple[Fraction, ...] | None:
        """When each frame is shown, in seconds on the file's clock; None where the file does not say."""
        marks, stream = self._reader.table.marks, self._reader.stream
        stamps = [marks[number].pts for number in self._index.frames]
        known = [stamp * Fraction(stream.time_base) for stamp in stamps if stamp is not None]
        ascending = all(one < other for one, other in pairwise(known))
        return tuple(known) if ascending and len(known) == len(stamps) else None

    def close(self) -> None:
        """See `Clip.close`."""
        self._closed = True
        self._reader.close()

    def read(self, index: int) -> ImageRgb:
        """See `Clip.read`."""
        if self._closed:
            raise InputError(f"the video {self.path} was closed; open it again to read frames")
        try:
            image_rgb = _upright(self._decode(index))
        except (av.error.FFmpegError, StopIteration) as error:
            raise InputError(
                f"cannot decode frame {index} of {len(self)} of the video {self.path}: "
                f"{_reason(error)}; {self._way_out}"
            ) from None
        if image_rgb.shape[:2] != self.size_hw:
            raise InputError(
                f"frame {index} of the video {self.path} is {image_rgb.shape[1]}×{image_rgb.shape[0]} "
                f"pixels, the first is {self.size_hw[1]}×{self.size_hw[0]}; "
                "all frames of a clip must have one size"
            )
        return image_rgb

    @cached_property
    def _way_out(self) -> str:
        """What to do about a frame that does not come: the file may be usable without it.

        The file is decoded for that, once, however many frames do not come.
        """
        there = None
        if self._index.checksums is None:
            with suppress(av.error.FFmpegError):
                there = index_for_next_use(self._reader, self.path)
        if there is None:
            return "the file is damaged there, export it again"
        return (
            "the file is damaged there; export it again, or open it again to use the "
            f"{there} frames that can be decoded, with other numbers from there on and in a new workspace, "
            f"since one of {len(self)} frames does not fit them"
        )

    def _decode(self, index: int) -> av.VideoFrame:
        position, number = self._restart_before(index)
        if not position <= self._next <= index:
            self._start(position, number)
        while True:
            frame = self._advance_to(index)
            if frame is not None:
                return frame
            self._next = len(self)  # whatever is read next, decoding starts again
            if self._started == (0, 0) or self._index.checksums is None:
                raise StopIteration
            # decoding from there gives other pictures than decoding from the start
            self._restarts.remove(self._started)
            self._start(*self._restart_before(index))

    def _restart_before(self, index: int) -> tuple[int, int]:
        """The last place from which frame `index` can be decoded; without any, the start of the file."""
        for place in range(bisect_right(self._restarts, (index, len(self._reader.table.marks))) - 1, -1, -1):
            if self._restarts[place][1] <= self._index.frames[index]:
                return self._restarts[place]
        return 0, 0

    def _start(self, position: int, number: int) -> None:
        """Let `_frames` begin with frame `position`, by decoding from packet `number` on."""
        self._started = position, number
        self._next = position
        self._frames = self._placed_frames(position, number)

    def _placed_frames(self, position: int, number: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames with their positions; those before `position`, which may be wrong, are left out."""
        counted = number == 0 and self._index.checksums is not None
        for count, frame in enumerate(self._reader.decode_from(number)):
            place = count if counted else self._place_of_packet.get(frame.pts, -1)
            if place >= position:
                yield place, frame

    def _advance_to(self, index: int) -> av.VideoFrame | None:
        """Frame `index` from the running decoder; None where it does not come, or is not the same picture."""
        for place, frame in self._frames:
            if place < index:
                continue
            self._next = index + 1
            checksums = self._index.checksums
            proved = self._started == (0, 0) or checksums is None or checksum(frame) == checksums[index]
            return frame if place == index and proved else None
        return None

    def _rate(self) -> float:
        """Average number of frames per second; containers may note another, nominal rate."""
        times_s = self.times_s
        if times_s is not None and len(times_s) > 1:
            return (len(times_s) - 1) / float(times_s[-1] - times_s[0])
        return float(self._reader.stream.average_rate or DEFAULT_FPS)

    def _check_whole(self) -> None:
        container, stream = self._reader.container, self._reader.stream
        table = self._reader.table
        if not table.marks:
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
        if container.duration is not None and container.format.name not in _RAW_FORMATS:
            # Matroska notes where the last frame ends, others how long the video is
            absolute = "matroska" in container.format.name
            start_s = 0 if absolute else (container.start_time or 0) / av.time_base
            expected_s = start_s + container.duration / av.time_base
            if table.end_s < expected_s - _DURATION_SLACK_S:
                raise InputError(
                    f"the video {self.path} is cut off: it promises {expected_s:.1f} s, "
                    f"{table.end_s:.1f} s are there; copy or export it again"
                )

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(
            f"cannot read the video {self.path}: {_reason(error)}; "
            "expected a whole video file or a folder of images"
        )


def _upright(frame: av.VideoFrame) -> ImageRgb:
    """RGB of a frame, rotated as it should be displayed (phones store the rotation separately)."""
    image_rgb = frame.to_ndarray(format="rgb24")
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image_rgb, quarter_turns))


def _reason(error: Exception) -> str:
    if isinstance(error, StopIteration):
        return "it ends before that frame"
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
