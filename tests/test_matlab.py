"""MATLAB files as SciPy writes them, and damaged ones, some of which SciPy cannot read without a crash."""

import struct
import tracemalloc
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


HEADER = bytes(124) + b"\0\1IM"
BIG = (1 << 31) - 1


def variable(
    kind: int, *inner: bytes, axes=(1, 1), flags: int = 0, name: bytes = b"a", name_kind: int = 1
) -> bytes:
    """A matrix of a class as an element."""
    shape = element(5, struct.pack(f"<{len(axes)}i", *axes))
    head = element(6, struct.pack("<II", kind | flags, 0)) + shape + element(name_kind, name)
    return element(14, head + b"".join(inner))


def fields(width: int, names: bytes, *inner: bytes, axes=(1, 1)) -> bytes:
    """A structure, or several, as an element."""
    return variable(2, element(5, struct.pack("<i", width)), element(1, names), *inner, axes=axes)


def read(tmp_path, content: bytes, max_bytes: int = BYTES):
    (tmp_path / "a.mat").write_bytes(HEADER + content)
    return read_matlab(tmp_path / "a.mat", ("a",), max_bytes).get("a")


ONE = variable(9, element(2, b"\7"), name=b"")  # a cell or the value of a field


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_type_of_numbers_keeps_type_and_values(tmp_path, kind):
    limits = np.finfo(kind) if kind[0] == "f" else np.iinfo(kind)
    values = np.array([[limits.min, 0, limits.max]], dtype=kind)
    savemat(tmp_path / "a.mat", {"a": values})
    found = read_matlab(tmp_path / "a.mat", ("a",), BYTES)["a"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("stored", "kind"),
    [(1, "i1"), (2, "u1"), (3, "i2"), (4, "u2"), (5, "i4"), (6, "u4"), (7, "f4"), (12, "i8"), (13, "u8")],
)
def test_doubles_that_are_stored_in_fewer_bytes_keep_their_values(tmp_path, stored, kind):
    values = np.array([0, 100] if kind[0] == "u" else [-100, 100], dtype=kind)
    found = read(tmp_path, variable(6, element(stored, values.tobytes()), axes=(2, 1)))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values[:, None])


def test_truth_values_are_numbers_and_complex_numbers_and_texts_are_none(tmp_path):
    values = {"yes": np.array([[True, False]]), "complex": np.array([[1 + 2j]]), "text": "dog"}
    savemat(tmp_path / "a.mat", values)
    found = read_matlab(tmp_path / "a.mat", tuple(values), BYTES)
    np.testing.assert_array_equal(found.pop("yes"), [[1, 0]])
    assert found == {"complex": None, "text": None}


def test_several_structures_are_a_list_and_one_without_fields_is_empty(tmp_path):
    several = read(tmp_path, fields(4, b"ab\0zc\0\0\0", *[ONE] * 4, axes=(2, 1)))
    assert [{name: value.item() for name, value in each.items()} for each in several] == [
        {"ab": 7, "c": 7}
    ] * 2
    assert read(tmp_path, fields(4, b"")) == {}
    assert read(tmp_path, fields(4, b"", axes=(1 << 20, 1))) == []


def test_names_in_utf_8_and_damaged_variables_that_nobody_asks_for(tmp_path):
    good = variable(9, element(2, b"\7"), name_kind=16)
    assert read(tmp_path, variable(9, element(99, b""), name=b"other") + good).item() == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x0e\0\0\0", "it ends too early"),
        (struct.pack("<II", 14, 100) + bytes(8), "it ends too early"),
        (struct.pack("<II", 15, 4) + b"abcd", "header"),
        (element(13, b""), "an element of kind 13 where 14 or 15 was expected"),
        (element(14, struct.pack("<HHI", 6, 5, 0)), "5 bytes where four are the most"),
        (element(14, struct.pack("<HHI", 0x106, 4, 0)), "an element of kind 262 where 6 was expected"),
        (
            element(14, element(6, bytes(4)) + element(5, struct.pack("<ii", 1, 1)) + element(1, b"a")),
            "a matrix",
        ),
        (variable(9, element(2, b"\7"), axes=(1,)), "a matrix of 1 axes"),
        (variable(9, element(2, b"\7"), axes=(1,) * 9), "a matrix of 9 axes"),
        (variable(1, axes=(-1, 1)), "negative size"),
        (variable(9, element(2, b"\7\7")), r"2 numbers for a matrix of shape \(1, 1\)"),
        (variable(9, element(2, b"\7"), axes=(BIG, BIG)), "1 numbers for a matrix of shape"),
        (variable(1, axes=(BIG, BIG)), "it ends too early"),
        (variable(2, element(5, struct.pack("<ii", 2, 2)), element(1, b"a\0"), ONE), "names of the fields"),
        (fields(0, b"a\0", ONE), "names of the fields"),
        (fields(-1, b"a\0", ONE), "names of the fields"),
        (fields(4, b"ab\0\0c", ONE), "names of the fields"),
    ],
)
def test_each_kind_of_damage_has_its_sentence(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content)


def test_a_file_that_is_none_of_matlab_is_refused(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"RIFF" + bytes(200))
    with pytest.raises(ValueError, match="no MATLAB file of version 5"):
        read_matlab(tmp_path / "a.mat", ("a",), BYTES)


def test_eight_cells_within_one_another_are_read_and_nine_refused(tmp_path):
    inner = ONE
    for _ in range(7):
        inner = variable(1, inner, name=b"")
    found = read(tmp_path, variable(1, inner))
    for _ in range(8):
        (found,) = found
    assert found.item() == 7
    with pytest.raises(ValueError, match="more than 8 structures or cells"):
        read(tmp_path, variable(1, variable(1, inner, name=b"")))


def test_what_shrinks_gives_nothing_back_to_the_bound_of_memory(tmp_path):
    shrinks = variable(8, element(9, bytes(80_000)), axes=(10_000, 1))  # doubles that become bytes
    parts = [
        zlib.compress(each) for each in (shrinks, variable(9, element(2, bytes(100_000)), axes=(100_000, 1)))
    ]
    content = b"".join(struct.pack("<II", 15, len(part)) + part for part in parts)
    assert len(read(tmp_path, content, 190_000)) == 100_000
    with pytest.raises(ValueError, match="it holds more than any such file"):
        read(tmp_path, content, 170_000)


def test_no_more_is_decompressed_than_is_allowed(tmp_path):
    packed = zlib.compress(bytes(100 * BYTES))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="it holds more than any such file"):
            read(tmp_path, struct.pack("<II", 15, len(packed)) + packed)
        assert tracemalloc.get_traced_memory()[1] < 10 * BYTES
    finally:
        tracemalloc.stop()
