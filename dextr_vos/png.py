"""Indexed and grey PNGs of 8 bits read quickly: masks are, and scoring reads thousands of them.

OpenCV decodes faster than Pillow but turns indices into colours; handed the same pixels as a grey picture, it
leaves them as they are.
"""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.uint8]
Palette = npt.NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _INDEXED = 0, 3
_FIELDS = struct.Struct(">IIBBBBB")


def read_8_bits(path: Path) -> tuple[Indices, Palette | None] | None:
    """The values of an indexed or grey PNG as they stand in the file.

    Args:
        path: any file.

    Returns:
        H×W values, and the palette, N×3, of an indexed one. None when the file is anything else, is damaged,
        or has transparency: another reader must look at it, or say what is wrong.

    Raises:
        OSError: the file cannot be read.
    """
    chunks = _chunks(path.read_bytes())
    if chunks is None or len(chunks.get(b"IHDR", b"")) != _FIELDS.size or b"tRNS" in chunks:
        return None
    width, height, bits, kind, compression, filters, interlaced = _FIELDS.unpack(chunks[b"IHDR"])
    if bits != 8 or kind not in (_GREY, _INDEXED) or compression or filters or interlaced:
        return None
    colours = chunks.get(b"PLTE", b"")
    if kind == _INDEXED and (not colours or len(colours) % 3):
        return None
    header = _FIELDS.pack(width, height, bits, _GREY, 0, 0, 0)
    plain = _SIGNATURE + b"".join(
        _chunk(name, content)
        for name, content in ((b"IHDR", header), (b"IDAT", chunks.get(b"IDAT", b"")), (b"IEND", b""))
    )
    values = cv2.imdecode(np.frombuffer(plain, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    if values is None or values.shape != (height, width):
        return None
    palette = np.frombuffer(colours, dtype=np.uint8).reshape(-1, 3) if kind == _INDEXED else None
    return values, palette


def _chunks(content: bytes) -> dict[bytes, bytes] | None:
    """The chunks by name, those of one name joined; None when they are not whole to the last one."""
    if not content.startswith(_SIGNATURE):
        return None
    found: dict[bytes, bytes] = {}
    place = len(_SIGNATURE)
    while place + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, place)
        name, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + size]
        end = content[place + 8 + size : place + 12 + size]
        if len(end) < 4 or zlib.crc32(data, zlib.crc32(name)) != int.from_bytes(end, "big"):
            return None
        if name == b"IEND":
            return found
        found[name] = found[name] + data if name in found else data
        place += 12 + size
    return None


def _chunk(name: bytes, content: bytes) -> bytes:
    size, check = len(content), zlib.crc32(content, zlib.crc32(name))
    return size.to_bytes(4, "big") + name + content + check.to_bytes(4, "big")
