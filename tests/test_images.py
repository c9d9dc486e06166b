from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.images import image_size, read_image, write_image

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
