"""The packets of a video stream, numbered in the order of storage, and the pictures decoded from them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import av

from dextr_vos.errors import InputError
from dextr_vos.images import check_size
from dextr_vos.video.restart_points import RestartPoints

_PACKETS_WITHOUT_A_NUMBER = 64  # after seeking in MPEG-TS, the first ones may be parts
# their decoders give other pictures from time to time when several threads decode frames
_ONE_THREAD = frozenset({"theora", "vp3", "vp4"})


class DamageError(Exception):
    """A packet cannot be decoded, or not without repairs that depend on what was decoded before."""


class _Source(NamedTuple):
    """A container that is open, and its video stream."""

    container: "av.container.InputContainer"
    stream: "av.VideoStream"


class Mark(NamedTuple):
    """What tells a packet from others: place in the file, bytes, and time stamps, as far as there are any."""

    pos: int | None
    size: int
    pts: int | None
    dts: int | None


def _mark(packet: av.Packet) -> Mark:
    return Mark(packet.pos, packet.size, packet.pts, packet.dts)


@dataclass
class PacketTable:
    """The packets of a video stream that hold data, in the order of storage.

    Attributes:
        marks: of each packet.
        shown: numbers of the packets that are not marked to be left out, as by an edit list.
        restarts: numbers of the packets from which decoding may start, see `RestartPoints`.
        exact: whether these are safe.
        flawed: whether the stream is damaged, or spliced from several.
        end_s: end of the last packet of any stream, in seconds.
    """

    marks: list[Mark] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    restarts: list[int] = field(default_factory=list)
    exact: bool = True
    flawed: bool = False
    end_s: float = 0.0


class PacketReader:
    """An open video file.

    Args:
        path: the file.

    Attributes:
        table: the packets of the stream.

    Raises:
        InputError: the file has no video stream, or its frames are too large.
        FFmpegError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._can_seek = True
        self._sources: dict[bool, _Source] = {}
        try:
            codec = self.stream.codec_context
            if codec is None:
                raise InputError(f"no decoder reads the video {path}, or it is damaged; export it again")
            check_size((codec.height, codec.width), f"the video {path}")
            self.table = self._scan()
        except BaseException:
            self.close()
            raise
        self._numbers = self._by_mark()

    @property
    def container(self) -> "av.container.InputContainer":
        """The open container."""
        return self._source(careful=False).container

    @property
    def stream(self) -> "av.VideoStream":
        """Its video stream."""
        return self._source(careful=False).stream

    def close(self) -> None:
        """Close the file."""
        for source in self._sources.values():
            source.container.close()

    def decode_from(
        self, number: int, careful: bool = False, end: int | None = None
    ) -> Iterator[av.VideoFrame]:
        """Decode from packet `number` on; the `pts` of a frame is the number of its packet.

        Args:
            number: of the first packet.
            careful: decode by one thread, so that damaged parts give the same pictures each time; packets
                that cannot be decoded give no frame.
            end: number after the last packet; all by default.

        Raises:
            DamageError: not with `careful`: a packet cannot be decoded without repairs.
            FFmpegError: the file cannot be read.
        """
        for each, packet in self._packets_from(number, careful):
            if end is not None and each >= end:
                break
            packet.pts = each  # decoders hand the stamp on to the frame, also where the container has none
            yield from self._decoded(packet, careful)
        yield from self._decoded(None, careful)

    def _decoded(self, packet: av.Packet | None, careful: bool) -> list[av.VideoFrame]:
        try:
            frames: list[av.VideoFrame] = self._source(careful).stream.codec_context.decode(packet)
        except av.error.FFmpegError as error:
            if careful:
                return []
            raise DamageError from error
        if not careful and any(frame.is_corrupt for frame in frames):
            raise DamageError
        return frames

    def _source(self, careful: bool) -> _Source:
        """The open container for one way of decoding; opened when it is first needed."""
        if careful not in self._sources:
            self._sources[careful] = self._open(careful)
        return self._sources[careful]

    def _open(self, careful: bool) -> _Source:
        # with a level, which older releases of torchvision set, the threads of a decoder report damage only
        # under Python's lock, and the thread that holds it may be waiting for them to end
        av.logging.set_level(None)
        # tags need not be UTF-8
        container = av.open(str(self._path), metadata_errors="replace")
        streams = container.streams.video
        if not streams:
            container.close()
            raise InputError(f"{self._path} has no video stream; expected a video file or a folder of images")
        # the picture of a cover is a stream, too
        stream = next((each for each in streams if not _is_cover(each)), streams[0])
        codec = stream.codec_context
        if codec is not None:
            one_thread = careful or codec.name in _ONE_THREAD
            codec.thread_type = "NONE" if one_thread else "AUTO"
            if one_thread:
                codec.thread_count = 1
            # Decoders repair damage by pictures before it. A picture that refers to none has nothing to be
            # repaired by but memory as it happens to be.
            if not careful or codec.codec.intra_only:
                codec.options = {"err_detect": "explode"}
        return _Source(container, stream)

    def _scan(self) -> PacketTable:
        """Read all packets once, without decoding."""
        table = PacketTable()
        points = RestartPoints(self.stream.codec_context)
        for packet in self.container.demux():
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None:
                base = packet.time_base
                end_s = (stamp + (packet.duration or 0)) * base.numerator / base.denominator
                table.end_s = max(table.end_s, end_s)
            if packet.stream is not self.stream or not packet.size:
                continue
            number = len(table.marks)
            table.marks.append(_mark(packet))
            table.flawed |= bool(packet.is_corrupt)
            if packet.is_discard:
                continue
            table.shown.append(number)
            if points.is_one(packet):
                table.restarts.append(number)
        table.exact = points.exact
        table.flawed |= points.spliced
        return table

    def _by_mark(self) -> dict[tuple[int | None, ...], int]:
        """Numbers of packets by what no other packet has."""
        keys = [(key, number) for number, mark in enumerate(self.table.marks) for key in _keys(mark)]
        count = Counter(key for key, _ in keys)
        return {key: number for key, number in keys if count[key] == 1}

    def _packets_from(self, number: int, careful: bool) -> Iterator[tuple[int, av.Packet]]:
        each, packets = self._seek(number, careful) if self._can_seek else (None, iter(()))
        if each is None:
            self._can_seek = False
            if careful in self._sources:
                self._sources.pop(careful).container.close()
            each, packets = 0, self._with_data(careful)
        for packet in packets:
            if each >= number:
                yield each, packet
            each += 1

    def _seek(self, number: int, careful: bool) -> tuple[int | None, Iterator[av.Packet]]:
        """Seek to a packet or before it.

        Returns:
            The number of the packet that was found, None where that failed, and all packets from it on.
        """
        mark = self.table.marks[number]
        stamps = [stamp for stamp in (mark.pts, mark.dts) if stamp is not None]
        nothing: Iterator[av.Packet] = iter(())
        if not stamps:
            return None, nothing
        container, stream = self._source(careful)
        try:
            container.seek(min(stamps), stream=stream, backward=True)
            packets = self._with_data(careful)
            for packet in islice(packets, _PACKETS_WITHOUT_A_NUMBER):
                keys = _keys(_mark(packet))
                found = next((self._numbers[key] for key in keys if key in self._numbers), None)
                if found is not None:
                    return (found, chain([packet], packets)) if found <= number else (None, nothing)
        except av.error.FFmpegError:
            pass
        return None, nothing

    def _with_data(self, careful: bool) -> Iterator[av.Packet]:
        container, stream = self._source(careful)
        return (packet for packet in container.demux(stream) if packet.size)


def _keys(mark: Mark) -> tuple[tuple[int | None, ...], ...]:
    """Place and size; size and time stamps: after seeking, some containers give others of one of them."""
    placed = mark.pos is not None and mark.pos >= 0
    return ((mark.pos, mark.size), (mark.size, mark.pts, mark.dts)) if placed else (mark[1:],)


def _is_cover(stream: "av.VideoStream") -> bool:
    return bool(stream.disposition & type(stream.disposition).attached_pic)
