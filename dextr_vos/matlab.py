"""MATLAB files of version 5: numbers, cell arrays and structures, with bounds of memory, elements and depth.

The MAT-File Format (MathWorks) as data sets and published weights use it. SciPy reads more of it, but ends
the whole process on some damaged files.
"""

import math
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_HEADER_BYTES = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15  # kinds of elements beside these
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CELL, _STRUCTURE = 1, 2  # classes of matrices beside these
_IS_COMPLEX = 0x800
_MAX_DEPTH, _MAX_AXES = 8, 8


def read_matlab(path: Path, names: Collection[str], max_bytes: int) -> dict[str, Any]:
    """Variables of a MATLAB file of version 5, compressed or not.

    Args:
        path: of the file.
        names: of the variables. Others are decompressed, and count in the bounds, but are not returned.
        max_bytes: of the file, and of everything in it once decompressed and of the types it is said to have.

    Returns:
        Those that are there, by name: numbers as an array in the order of MATLAB's axes, a cell array as the
        list of its cells, column by column, a structure as a dictionary, an array of several structures as
        their list; None for what is none of these: texts, complex numbers, sparse arrays, objects.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or no such file.
    """
    if path.stat().st_size > max_bytes:
        raise ValueError("it is larger than any such file")
    content = memoryview(path.read_bytes())
    order = _ORDERS.get(bytes(content[_HEADER_BYTES - 2 : _HEADER_BYTES]))
    if order is None:
        raise ValueError("it is no MATLAB file of version 5")
    file = _File(order, max_bytes)
    found, elements = {}, _Elements(content[_HEADER_BYTES:], file)
    while elements.is_more:
        kind, data = elements.take(_MATRIX, _COMPRESSED)
        if kind == _COMPRESSED:
            _, data = _Elements(memoryview(_decompressed(data, file)), file).take(_MATRIX)
        name, value = _matrix(data, file, names)
        if name in names:
            found[name] = value
    return found


@dataclass
class _File:
    """The order of bytes in a file, and how much more memory and how many more elements it may take."""

    order: str
    max_bytes: int
    max_elements: int = 100_000

    def take_bytes(self, count: int) -> None:
        """Count memory that is about to be taken."""
        self.max_bytes -= max(count, 0)
        if self.max_bytes < 0:
            raise ValueError("it holds more than any such file")

    def take_elements(self, count: int) -> None:
        """Count elements that are about to be read."""
        self.max_elements -= count
        if self.max_elements < 0:
            raise ValueError("it has too many elements")


class _Elements:
    """The elements in a part of a file, one after the other: what kind, how many bytes, and these."""

    def __init__(self, content: memoryview, file: _File) -> None:
        self._content, self._file, self._at = content, file, 0

    @property
    def is_more(self) -> bool:
        return self._at < len(self._content)

    def take(self, *kinds: int) -> tuple[int, memoryview]:
        """The next element, which must be one of these kinds."""
        self._file.take_elements(1)
        tag = self._content[self._at : self._at + 8]
        if len(tag) < 8:
            raise ValueError("it ends too early")
        kind, size = struct.unpack(self._file.order + "II", tag)
        start = self._at + 8
        if kind >> 16:  # up to four bytes within the tag
            kind, size, start = kind & 0xFFFF, kind >> 16, self._at + 4
            if size > 4:
                raise ValueError(f"{size} bytes where four are the most")
        if kind not in kinds:
            raise ValueError(f"an element of kind {kind} where {' or '.join(map(str, kinds))} was expected")
        if start + size > len(self._content):
            raise ValueError("it ends too early")
        padding = 0 if kind == _COMPRESSED else -(start + size - self._at) % 8
        self._at = start + size + padding
        return kind, self._content[start : start + size]

    def numbers(self, *kinds: int) -> npt.NDArray[Any]:
        """The numbers of the next element."""
        kind, data = self.take(*(kinds or _NUMBERS))
        return np.frombuffer(data, np.dtype(self._file.order + _NUMBERS[kind]))

    def text(self) -> bytes:
        """The text of the next element."""
        return bytes(self.take(1, 2, 16)[1])


def _decompressed(data: memoryview, file: _File) -> bytes:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, max(1, file.max_bytes))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    file.take_bytes(len(content) + len(stream.unconsumed_tail))
    return content


def _matrix(
    data: memoryview, file: _File, names: Collection[str] | None = None, depth: int = 0
) -> tuple[str, Any]:
    """Name and value of a matrix; only the name where that is not among `names`."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"more than {_MAX_DEPTH} structures or cells within one another")
    if not data:  # what MATLAB writes for an empty cell
        return "", np.zeros((0, 0))
    elements = _Elements(data, file)
    flags, axes = elements.numbers(6), elements.numbers(5)
    name = elements.text().decode("ascii", "replace")
    if names is not None and name not in names:
        return name, None
    if len(flags) != 2 or not 2 <= len(axes) <= _MAX_AXES or min(axes) < 0:
        raise ValueError(f"a matrix of {len(axes)} axes, or of a negative size")
    shape = tuple(axes.tolist())
    kind, count = int(flags[0]) & 0xFF, math.prod(shape)
    if kind == _CELL:
        return name, [_inner(elements, file, depth) for _ in range(count)]
    if kind == _STRUCTURE:
        return name, _structures(elements, file, count, depth)
    if kind not in _CLASSES or int(flags[0]) & _IS_COMPLEX:
        return name, None
    numbers = elements.numbers()
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers for a matrix of shape {shape}")
    file.take_bytes(count * np.dtype(_CLASSES[kind]).itemsize - numbers.nbytes)
    return name, numbers.astype(_CLASSES[kind]).reshape(shape, order="F")


def _structures(elements: _Elements, file: _File, count: int, depth: int) -> Any:
    """One structure, or the list of several."""
    width = elements.numbers(5)
    text = elements.text()
    if len(width) != 1 or width[0] < 1 or len(text) % int(width[0]):
        raise ValueError("the names of the fields of a structure are damaged")
    starts = range(0, len(text), int(width[0]))
    file.take_elements(len(starts))
    fields = [text[at : at + int(width[0])].partition(b"\0")[0].decode("ascii", "replace") for at in starts]
    if not fields:
        return {} if count == 1 else []
    found = [{field: _inner(elements, file, depth) for field in fields} for _ in range(count)]
    return found[0] if count == 1 else found


def _inner(elements: _Elements, file: _File, depth: int) -> Any:
    return _matrix(elements.take(_MATRIX)[1], file, depth=depth + 1)[1]
