from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.images import image_size, read_8_bits, read_image, write_image
from dextr_vos.masks import read_labels, voc_palette, write_labels

COLOURS = np.linspace(0, 255, 4 * 6 * 3).reshape(4, 6, 3).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".bmp"])
def test_lossless_formats_keep_every_value(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    path = save(tmp_path / f"a{suffix}", Image.fromarray(COLOURS), **options)
    assert (read_image(path) == COLOURS).all()


def test_jpeg_is_close(tmp_path: Path) -> None:
    smooth = np.full((16, 16, 3), (200, 90, 40), dtype=np.uint8)
    path = save(tmp_path / "a.jpg", Image.fromarray(smooth), quality=95)
    assert np.abs(read_image(path).astype(int) - smooth).max() <= 3


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.png", Image.fromarray(COLOURS[..., 0])))
    assert image.shape == (4, 6, 3)
    assert (image == COLOURS[..., :1]).all()


def test_alpha_is_dropped(tmp_path: Path) -> None:
    rgba = np.dstack([COLOURS, np.full((4, 6), 7, dtype=np.uint8)])
    assert (read_image(save(tmp_path / "a.png", Image.fromarray(rgba))) == COLOURS).all()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_keep_the_upper_byte(tmp_path: Path, suffix: str) -> None:
    deep = COLOURS[..., 0].astype(np.uint16) * 256 + 77
    image = read_image(save(tmp_path / f"a{suffix}", Image.fromarray(deep)))
    assert image.dtype == np.uint8
    assert (image == COLOURS[..., :1]).all()


def test_palette_becomes_colour(tmp_path: Path) -> None:
    indexed = Image.fromarray(COLOURS).quantize(24)
    assert (read_image(save(tmp_path / "a.png", indexed)) == np.array(indexed.convert("RGB"))).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".webp"])
def test_exif_rotation_is_applied(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    wide = np.zeros((16, 32, 3), dtype=np.uint8)
    wide[:, :16] = 250
    path = save(tmp_path / f"a{suffix}", Image.fromarray(wide), exif=exif)
    image = read_image(path)
    assert image.shape == (32, 16, 3)
    assert image[:8].mean() > 200
    assert image[-8:].mean() < 50
    assert image_size(path) == (32, 16)


def test_float_tiff_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tiff", Image.fromarray(np.ones((4, 4), dtype=np.float32)))
    with pytest.raises(InputError, match=r"a\.tiff holds floating-point"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_images_are_written(tmp_path: Path, suffix: str) -> None:
    smooth = np.full((16, 24, 3), (200, 90, 40), dtype=np.uint8)
    path = tmp_path / "new" / f"a{suffix}"
    write_image(path, smooth)
    assert np.abs(read_image(path).astype(int) - smooth).max() <= 6
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(50), np.arange(70)) // 9  # makes an encoder choose every kind of filter
    return np.where(rng.random((50, 70)) < 0.1, rng.integers(0, 256, (50, 70)), smooth).astype(np.uint8)


def saved(path, values, mode, **options):
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette(voc_palette().tobytes())
    image.save(path, **options)
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
    for image in (
        Image.fromarray(np.dstack([values] * 3)),
        Image.fromarray(values > 9),
        Image.fromarray(values.astype(np.uint16)),
    ):
        image.save(path)
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
