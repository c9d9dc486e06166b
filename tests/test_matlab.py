"""MATLAB files as SciPy writes them, and damaged ones, some of which SciPy cannot read without a crash."""

import struct
import zlib

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from dextr_vos.matlab import read_matlab

LABELS = np.arange(12, dtype=np.uint8).reshape(3, 4)
BYTES = 1 << 20


def cells(*values):
    array = np.empty((1, len(values)), dtype=object)
    for place, value in enumerate(values):
        array[0, place] = value
    return array


def contents():
    edges = cells(csc_array(LABELS.astype(float)), csc_array((3, 4), dtype=float))
    objects = {"Segmentation": LABELS, "Boundaries": edges, "Categories": np.array([[5.0], [300.5]])}
    return {
        "other": 1,
        "GTinst": objects,
        "kernels": cells(np.zeros((2, 3, 4, 5), np.float32), np.zeros((0, 0))),
    }


@pytest.fixture
def path(tmp_path):
    savemat(tmp_path / "a.mat", contents())
    return tmp_path / "a.mat"


@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_cells_and_structures_are_what_was_written(tmp_path, compressed):
    savemat(tmp_path / "a.mat", contents(), do_compression=compressed)
    found = read_matlab(tmp_path / "a.mat", ("GTinst", "kernels", "absent"), BYTES)
    assert set(found) == {"GTinst", "kernels"}
    objects = found["GTinst"]
    assert objects["Segmentation"].dtype == np.uint8
    np.testing.assert_array_equal(objects["Segmentation"], LABELS)
    np.testing.assert_array_equal(objects["Categories"], [[5.0], [300.5]])
    assert objects["Boundaries"] == [None, None]
    assert [kernel.shape for kernel in found["kernels"]] == [(2, 3, 4, 5), (0, 0)]


def test_files_of_machines_with_the_other_order_of_bytes(tmp_path):
    shape = struct.pack(">IIii", 5, 8, 2, 1)
    name, numbers = struct.pack(">HH4s", 1, 1, b"a"), struct.pack(">HHhh", 4, 3, 1, -2)  # within their tags
    matrix = struct.pack(">IIII", 6, 8, 6, 0) + shape + name + numbers
    (tmp_path / "a.mat").write_bytes(bytes(124) + b"\1\0MI" + struct.pack(">II", 14, len(matrix)) + matrix)
    found = read_matlab(tmp_path / "a.mat", ("a",), BYTES)["a"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[1], [-2]])


def test_whatever_is_damaged_is_read_or_refused(path):
    whole = path.read_bytes()
    damaged = [whole[:at] + b"\xff\xff" + whole[at + 2 :] for at in range(124, len(whole), 4)]
    damaged += [whole[:at] for at in range(124, len(whole), 50)]
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            read_matlab(path, ("GTinst", "kernels"), BYTES)
        except ValueError:
            refused += 1
    assert refused > 100


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def cell_of(*inner: bytes, name: bytes = b"") -> bytes:
    """A cell array as an element."""
    shape = element(5, struct.pack("<ii", len(inner), 1))
    head = element(6, struct.pack("<II", 1, 0)) + shape + element(1, name)
    return element(14, head + b"".join(inner))


def matrix(kind: int, content: bytes, *axes: int) -> bytes:
    """A matrix of a class, named a, as an element; its first axis is 1."""
    shape = element(5, struct.pack(f"<{1 + max(1, len(axes))}i", 1, *(axes or (1,))))
    return element(14, element(6, struct.pack("<II", kind, 0)) + shape + element(1, b"a") + content)


def test_what_takes_too_much_memory_or_goes_too_deep_is_refused(path):
    deep = element(14, b"")
    for _ in range(100):
        deep = cell_of(deep)
    header = path.read_bytes()[:128]
    for content, message in (
        (struct.pack("<II", 14, 1 << 28) + bytes(1 << 22), "holds more"),
        (cell_of(deep, name=b"a"), "within one another"),
        (cell_of(*[element(14, b"")] * 120_000, name=b"a"), "too many elements"),
        (matrix(2, element(5, struct.pack("<i", 3)) + element(1, b"ab\0" * 120_000)), "too many elements"),
        (matrix(6, element(2, bytes(BYTES // 4)), BYTES // 4), "holds more"),  # bytes that become doubles
        (matrix(6, b"", *[1] * 100_000), "a matrix of 100001 axes"),
    ):
        packed = zlib.compress(content)
        path.write_bytes(header + struct.pack("<II", 15, len(packed)) + packed)
        with pytest.raises(ValueError, match=message):
            read_matlab(path, ("a",), BYTES)
    path.write_bytes(header + bytes(BYTES))
    with pytest.raises(ValueError, match="larger than any such file"):
        read_matlab(path, ("a",), BYTES)
