"""Masks read quickly are the masks that Pillow reads."""

import numpy as np
import pytest
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.images import read_8_bits
from dextr_vos.masks import read_labels, voc_palette, write_labels


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(50), np.arange(70)) // 9  # makes an encoder choose every kind of filter
    return np.where(rng.random((50, 70)) < 0.1, rng.integers(0, 256, (50, 70)), smooth).astype(np.uint8)


def saved(path, values, mode, **options):
    picture = Image.fromarray(values)
    if mode == "P":
        picture.putpalette(voc_palette().tobytes())
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["L", "P"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"compress_level": 0}])
def test_values_are_those_of_the_file(tmp_path, values, mode, options):
    got, palette = read_8_bits(saved(tmp_path / "a.png", values, mode, **options))
    assert (got == values).all()
    assert got.dtype == np.uint8
    assert (palette is None) == (mode == "L")
    if mode == "P":
        assert (palette == voc_palette()[: len(palette)]).all()


def test_other_files_are_left_to_others(tmp_path, values):
    path = tmp_path / "a.png"
    for picture in (
        Image.fromarray(np.dstack([values] * 3)),
        Image.fromarray(values > 9),
        Image.fromarray(values.astype(np.uint16)),
    ):
        picture.save(path)
        assert read_8_bits(path) is None
    saved(path, values, "P", transparency=0)
    assert read_8_bits(path) is None
    saved(path, values % 4, "P", bits=2)
    assert read_8_bits(path) is None
    Image.fromarray(values).save(tmp_path / "a.jpg")
    assert read_8_bits(tmp_path / "a.jpg") is None


@pytest.mark.parametrize("mode", ["L", "P"])
def test_damage_is_never_read_as_a_mask(tmp_path, mode):
    path = saved(tmp_path / "a.png", np.eye(40, dtype=np.uint8) * 255, mode)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert read_8_bits(path) is None
    start = whole.index(b"IDAT") + 4
    path.write_bytes(whole[:start] + bytes([whole[start] ^ 255]) + whole[start + 1 :])
    assert read_8_bits(path) is None
    with pytest.raises(InputError, match="cannot read the mask"):
        read_labels(path)


def test_labels_survive_being_written(tmp_path, values):
    write_labels(tmp_path / "a.png", values)
    assert (read_labels(tmp_path / "a.png") == values).all()
