"""Packets of a video from which decoding may start, so that frames come out as in reading from the start.

A container's flag "key frame" does not promise that; for H.264 and HEVC the packets tell. In H.264 (ITU-T
H.264) decoding may start at IDR pictures, and at recovery points that promise exact pictures from themselves
on (annex D.2.8). In HEVC (ITU-T H.265) it may start at IRAP pictures; those stored after but shown before
one, its leading pictures, do not come out right, and are reached from an earlier one.
"""

from collections.abc import Iterator

import av

_H264_IDR, _H264_SEI, _SEI_RECOVERY_POINT = 5, 6, 6
_HEVC_IRAP = range(16, 24)
_HEVC_BLA = range(16, 19)
_HEVC_END_OF_SEQUENCE = (36, 37)
# a key frame of these resets everything that later frames refer to
_RESETTING_CODECS = frozenset({"av1", "libdav1d", "libaom-av1", "vp9", "libvpx-vp9"})


class RestartPoints:
    """Judges the packets of one stream.

    Args:
        codec: the decoder of the stream.

    Attributes:
        exact: whether restart points are safe. Where they are not, a key frame is a place to try.
        spliced: whether a packet was seen after which the HEVC standard leaves pictures out.
    """

    def __init__(self, codec: av.CodecContext) -> None:
        self._name = codec.name
        self._intra_only = bool(codec.codec.intra_only)
        self._length_bytes = _length_bytes(codec.name, bytes(codec.extradata or b""))
        self.exact = self._intra_only or codec.name in {"h264", "hevc"} | _RESETTING_CODECS
        self.spliced = False

    def is_one(self, packet: av.Packet) -> bool:
        """Whether decoding may start at this packet."""
        if self._intra_only:
            return True
        if not packet.is_keyframe or self._name not in ("h264", "hevc"):
            return bool(packet.is_keyframe)
        units = list(_units(bytes(packet), self._length_bytes))
        if self._name == "h264":
            return any(unit[0] & 31 == _H264_IDR or _is_recovery_point(unit) for unit in units)
        kinds = [unit[0] >> 1 & 63 for unit in units]
        self.spliced |= any(kind in _HEVC_BLA or kind in _HEVC_END_OF_SEQUENCE for kind in kinds)
        return any(kind in _HEVC_IRAP for kind in kinds)


def _is_recovery_point(unit: bytes) -> bool:
    """Whether an H.264 unit says that this and all pictures shown later can be decoded exactly."""
    if unit[0] & 31 != _H264_SEI:
        return False
    place = 1
    while place + 2 < len(unit):
        fields = []
        for _ in ("kind", "size"):
            value = 0
            while place < len(unit) - 1 and unit[place] == 255:
                value, place = value + 255, place + 1
            fields.append(value + unit[place])
            place += 1
        if fields[0] == _SEI_RECOVERY_POINT and place < len(unit):
            # no frames to wait for, an exact match, no broken link: the bits 1, 1, 0
            return unit[place] >> 5 == 0b110
        place += fields[1]
    return False


def _length_bytes(name: str, extradata: bytes) -> int:
    """Bytes of the length in front of each NAL unit; 0 where start codes separate the units."""
    place = {"h264": 4, "hevc": 21}.get(name, 0)
    if len(extradata) <= place or extradata[0] != 1:
        return 0
    return (extradata[place] & 3) + 1


def _units(content: bytes, length_bytes: int) -> Iterator[bytes]:
    """The NAL units of a packet."""
    if not length_bytes:
        yield from (unit for unit in content.split(b"\x00\x00\x01")[1:] if unit)
        return
    place = 0
    while place + length_bytes < len(content):
        size = int.from_bytes(content[place : place + length_bytes], "big")
        place += length_bytes
        if size:
            yield content[place : place + size]
        place += size
