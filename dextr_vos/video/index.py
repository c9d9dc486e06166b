"""Which packet of a video each frame comes from, so that a frame is the same however it is reached.

Frame i is the i-th picture that FFmpeg decodes from the start of a file that is whole. There are two
ways to know it:

- from the packets, without decoding, where they tell everything: one picture a packet, shown in the order of
  time stamps that all differ, in H.264, HEVC, VP9, AV1, and codecs that have key frames only. The first
  frames are decoded to see that it is so. Where a later packet turns out to give no picture, its frame
  repeats the one before, see `dextr_vos.video.video_clip`.
- by decoding the file once, everywhere else: raw streams, AVI, MPEG-2, interlaced or damaged video, other
  codecs. The list is kept in the user's cache folder, with a checksum of each frame, which shows at each use
  whether decoding may start where it did.
"""

import hashlib
import json
import logging
import time
import zlib
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from dextr_vos.errors import InputError
from dextr_vos.files import cache_folder, read_json, write_text
from dextr_vos.video.packets import DamageError, PacketReader, PacketTable

log = logging.getLogger(__name__)

_MAX_REORDERING = 32  # places between storage and display; H.264 and HEVC allow 16
_CHECKED_FRAMES = 24
_WORTH_KEEPING_S = 1.0
_LONG = 2000  # packets; decoding so many takes seconds
_PLANES_OF_8_BITS = frozenset(
    {"gray", "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv410p", "yuv411p"}
)
_FORMAT = "dextr-vos video index 2"


class VideoIndex(NamedTuple):
    """The frames of a video in order.

    Attributes:
        frames: for each frame the number of its packet.
        checksums: of the frames, see `checksum`; None where the packets told the frames.
    """

    frames: list[int]
    checksums: list[int] | None = None


def make_index(reader: PacketReader, path: Path) -> VideoIndex:
    """The frames of a video.

    Args:
        reader: the open file.
        path: its path.

    Raises:
        InputError: nothing of it can be decoded.
        FFmpegError: it cannot be read.
    """
    cached = _cache_file(path)
    known = _read_cached(cached, len(reader.table.marks))
    if known is not None:
        return known
    expected = _expected_frames(reader.table)
    if expected is not None:
        found = _first_frames(reader)
        numbers = [frame.pts for frame in found]
        # frames before the first that can be decoded are those of a clip that was cut between key frames
        start = expected.index(numbers[0]) if numbers and numbers[0] in expected else 0
        interlaced = any(frame.interlaced_frame for frame in found)
        if numbers and not interlaced and expected[start : start + len(numbers)] == numbers:
            _warn_of_missing(path, len(expected) - start, len(expected))
            return VideoIndex(expected[start:])
    index, seconds = _decode_all(reader, path)
    if seconds > _WORTH_KEEPING_S:
        _keep(cached, index, path)
    return index


def checksum(frame: av.VideoFrame) -> int:
    """Adler-32 of a frame's pixels."""
    if frame.format.name not in _PLANES_OF_8_BITS or any(plane.line_size <= 0 for plane in frame.planes):
        return zlib.adler32(frame.to_ndarray(format="rgb24").tobytes())
    total = 1
    for plane in frame.planes:  # their rows may be padded
        rows = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
        total = zlib.adler32(rows[: plane.height, : plane.width].tobytes(), total)
    return total


def _expected_frames(table: PacketTable) -> list[int] | None:
    """The frames as the packets tell them; None where they do not tell everything."""
    if table.flawed or not table.exact or not table.restarts:
        return None
    if len(table.restarts) == len(table.shown):
        return table.shown  # key frames only
    stamps = {number: table.marks[number].pts for number in table.shown}
    if None in stamps.values() or len(set(stamps.values())) < len(stamps):
        return None
    frames = sorted(table.shown, key=lambda number: stamps[number] or 0)
    reordering = max(abs(one - other) for one, other in zip(frames, table.shown, strict=True))
    return frames if reordering <= _MAX_REORDERING else None


def _first_frames(reader: PacketReader) -> list[av.VideoFrame]:
    try:
        return list(islice(reader.decode_from(0), _CHECKED_FRAMES))
    except DamageError:
        return list(islice(reader.decode_from(0, careful=True), _CHECKED_FRAMES))


def _decode_all(reader: PacketReader, path: Path) -> tuple[VideoIndex, float]:
    """The index of a file by decoding it, and the seconds that this took."""
    packets = len(reader.table.marks)
    level = logging.INFO if packets > _LONG else logging.DEBUG
    log.log(
        level, "decoding %s once, since its container does not tell its frames (%d packets)", path, packets
    )
    began = time.monotonic()
    index = None
    with suppress(DamageError):
        index = _decode(reader, careful=False)
    # several threads may drop frames near the end of a damaged file without an error
    if index is None or len(index.frames) < len(reader.table.shown):
        index = _decode(reader, careful=True)
    if not index.frames:
        raise InputError(f"no frame of the video {path} can be decoded; it is damaged, export it again")
    _warn_of_missing(path, len(index.frames), len(reader.table.shown))
    return index, time.monotonic() - began


def _decode(reader: PacketReader, careful: bool) -> VideoIndex:
    numbers, checksums = [], []
    for frame in reader.decode_from(0, careful):
        numbers.append(-1 if frame.pts is None else frame.pts)
        checksums.append(checksum(frame))
    return VideoIndex(numbers, checksums)


def _keep(cached: Path, index: VideoIndex, path: Path) -> None:
    """Write an index to the cache."""
    try:
        write_text(cached, json.dumps({"format": _FORMAT, **index._asdict()}))
    except OSError as error:
        log.warning("%s will be decoded again next time: cannot write %s: %s", path, cached, error)


@cache
def _warn_of_missing(path: Path, frames: int, packets: int) -> None:
    if frames < packets:
        log.warning(
            "%s has %d frames that can be decoded; %d of its %d packets give none, as after a cut or in "
            "damaged parts",
            path,
            frames,
            packets - frames,
            packets,
        )


def _cache_file(path: Path) -> Path:
    """Where the index of a file is kept, as long as the file and FFmpeg are the same."""
    state = path.stat()
    key = (str(path.resolve()), state.st_size, state.st_mtime_ns, av.library_versions["libavcodec"])
    digest = hashlib.sha256(repr(key).encode(errors="surrogateescape")).hexdigest()
    return cache_folder("videos") / f"{digest[:32]}.json"


def _read_cached(path: Path, packets: int) -> VideoIndex | None:
    """The index in a file; None when it is missing or broken."""
    try:
        content = read_json(path)
        frames, checksums = ([int(one) for one in content[key]] for key in ("frames", "checksums"))
        usable = content["format"] == _FORMAT and frames and len(frames) == len(checksums)
        return VideoIndex(frames, checksums) if usable and max(frames) < packets else None
    except (OSError, InputError, ValueError, ArithmeticError, TypeError, KeyError):
        return None
