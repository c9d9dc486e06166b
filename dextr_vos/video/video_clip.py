"""A video file as a clip: frame i is the i-th picture that FFmpeg decodes, however it is reached.

A damaged picture is what one thread makes of it from a fixed place on: the restart point before it, where the
packets tell the frames, so that what is lost has no other consequences; the start of the file otherwise, as
checksums prove. Where a packet gives no picture at all, its frame repeats the one before. Some decoders, such
as those of HEVC and ProRes, leave out parts of a damaged picture without saying so; such a part shows what
their memory held.
"""

import logging
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from dextr_vos.clip import DEFAULT_FPS, Clip, frame_numbers
from dextr_vos.errors import InputError
from dextr_vos.images import ImageRgb
from dextr_vos.video.index import checksum, make_index
from dextr_vos.video.packets import DamageError, PacketReader

log = logging.getLogger(__name__)

_Place = tuple[int, int]  # where decoding may start: index of the frame, number of its packet
_SPACING = 12  # frames, at least, between these where frames depend on others
_BEGINNING: _Place = (0, 0)
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
        self._closed, self._warned, self._careful, self._next = False, False, False, 0
        self._frames: Iterator[tuple[int, av.VideoFrame]] = iter(())
        # places where fast decoding comes upon damage, and the frames that can be decoded from there
        self._damaged: dict[_Place, list[int]] = {}
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
        self._restarts = _spaced([place for place in places if place[0] >= 0 and identified], len(frames))
        self.names = frame_numbers(len(frames))
        self._start(_BEGINNING)
        self.size_hw = _upright(self._decode(0)).shape[:2]
        self._start(_BEGINNING)
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
                f"{_reason(error)}; the file is damaged there, export it again"
            ) from None
        if image_rgb.shape[:2] != self.size_hw:
            raise InputError(
                f"frame {index} of the video {self.path} is {image_rgb.shape[1]}×{image_rgb.shape[0]} "
                f"pixels, the first is {self.size_hw[1]}×{self.size_hw[0]}; "
                "all frames of a clip must have one size"
            )
        return image_rgb

    def _decode(self, index: int) -> av.VideoFrame:
        return self._decode_or_repeat(index) if self._index.checksums is None else self._decode_proved(index)

    def _decode_or_repeat(self, index: int) -> av.VideoFrame:
        """Frame `index`, or the last one before it that can be decoded."""
        while index >= 0:
            place = self._restart_before(index)
            if place not in self._damaged:
                frame = self._decode_from(place, index)
                if frame is not None:
                    return frame
                self._damaged[place] = self._decodable_from(place)
            there = self._damaged[place]
            known = bisect_right(there, index)
            if known:
                if there[known - 1] < index:
                    self._warn_of_repeating(index)
                frame = self._decode_from(place, there[known - 1], careful=True)
                if frame is not None:
                    return frame
            index = min(index, place[0]) - 1
        raise StopIteration

    def _decode_proved(self, index: int) -> av.VideoFrame:
        """Frame `index`, the same picture as in decoding from the start."""
        back = 1
        place = self._restart_before(index)
        while True:
            for careful in (True,) if place in self._damaged else (False, True):
                frame = self._decode_from(place, index, careful)
                if frame is not None:
                    return frame
            self._damaged[place] = []
            if place == _BEGINNING:
                raise StopIteration
            # decoding from there gives other pictures than decoding from the start
            number = self._restarts.index(place) - back
            self._restarts.remove(place)
            place = self._restarts[number] if number >= 0 else _BEGINNING
            back *= 2

    def _restart_before(self, index: int) -> _Place:
        """The last place from which frame `index` can be decoded; without any, the start of the file."""
        for place in range(bisect_right(self._restarts, (index, len(self._reader.table.marks))) - 1, -1, -1):
            if self._restarts[place][1] <= self._index.frames[index]:
                return self._restarts[place]
        return _BEGINNING

    def _decode_from(self, place: _Place, index: int, careful: bool = False) -> av.VideoFrame | None:
        """Frame `index` by decoding from a place on; None where it is not, or not the same picture."""
        if self._index.checksums is not None:
            running = place[0] <= self._next
        else:
            alone = len(self._restarts) == len(self._index.frames)  # key frames only: none depends on others
            running = self._careful == careful and (
                self._started == place or (alone and not careful and place[0] <= self._next)
            )
        if running and self._next <= index:
            frame = self._advance_to(index)
            if frame is not None:
                return frame
        self._start(place, careful)
        return self._advance_to(index)

    def _start(self, place: _Place, careful: bool = False) -> None:
        """Let `_frames` begin with the frame at a place."""
        self._started, self._careful = place, careful
        self._next = place[0]
        self._frames = self._placed_frames(place, careful)

    def _placed_frames(self, place: _Place, careful: bool) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames with their indices; those before the place, which may be wrong, are left out."""
        position, number = place
        proved = self._index.checksums is not None
        alone = not careful and len(self._restarts) == len(self._index.frames)
        end = None if proved or alone else self._end_of(place)
        for count, frame in enumerate(self._reader.decode_from(number, careful, end)):
            found = count if proved and number == 0 else self._place_of_packet.get(frame.pts, -1)
            if found >= position:
                yield found, frame

    def _advance_to(self, index: int) -> av.VideoFrame | None:
        """Frame `index` from the running decoder; None where it does not come, or is not the same picture."""
        try:
            for found, frame in self._frames:
                if found == index and self._is_proved(frame, index):
                    self._next = index + 1
                    return frame
                if found >= index and not (self._careful and self._index.checksums is None):
                    break
        except DamageError:
            pass
        self._next = len(self._index.frames)  # whatever is read next, decoding starts again
        return None

    def _is_proved(self, frame: av.VideoFrame, index: int) -> bool:
        checksums = self._index.checksums
        canonical = self._careful and self._started == _BEGINNING
        return checksums is None or canonical or checksum(frame) == checksums[index]

    def _decodable_from(self, place: _Place) -> list[int]:
        """Indices of the frames that come from a place on, up to the next one."""
        self._start(place, careful=True)
        there = sorted({found for found, _ in self._frames})
        self._next = len(self._index.frames)
        return there

    def _end_of(self, place: _Place) -> int | None:
        """The number after the last packet whose frame is before the next place to start; None at the end."""
        following = bisect_right(self._restarts, place)
        if following == len(self._restarts):
            return None
        return max(self._index.frames[place[0] : self._restarts[following][0]], default=place[1]) + 1

    def _warn_of_repeating(self, index: int) -> None:
        if not self._warned:
            log.warning(
                "the video %s is damaged near frame %s: frames that cannot be decoded show the one before",
                self.path,
                self.names[index],
            )
        self._warned = True

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


def _spaced(restarts: list[_Place], frames: int) -> list[_Place]:
    """Some of the places where decoding may start, since each start takes time; all, if each frame is one."""
    if len(restarts) == frames:
        return restarts
    kept: list[_Place] = []
    for place in restarts:
        if not kept or place[0] >= kept[-1][0] + _SPACING:
            kept.append(place)
    return kept


def _upright(frame: av.VideoFrame) -> ImageRgb:
    """RGB of a frame, rotated as it should be displayed (phones store the rotation separately)."""
    image_rgb = frame.to_ndarray(format="rgb24")
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image_rgb, quarter_turns))


def _reason(error: Exception) -> str:
    if isinstance(error, StopIteration):
        return "it ends before that frame"
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
