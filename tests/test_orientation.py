"""Orientation in EXIF: the same before and after pixels are decoded, wherever a file has it."""

import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError
from dextr_vos.images import image_size, read_image
from dextr_vos.masks import read_labels
from dextr_vos.orientation import orientation_of, turned

LABELS = np.arange(6, dtype=np.uint8).reshape(2, 3)


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png_with_exif_last(values, orientation):
    """A PNG whose EXIF follows its pixels."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return with_exif_last(file.getvalue(), orientation)


def with_exif_last(content, orientation):
    """The content of a PNG, with EXIF before its end."""
    exif = exif_of(orientation).tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + exif
    whole = len(exif).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    end = content.rindex(b"IEND") - 4
    return content[:end] + whole + content[end:]


@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "colour"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_values_are_turned_as_pillow_turns_images(orientation, channels):
    values = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)[:, :, : 3 if channels else 1].squeeze()
    image = Image.fromarray(values)
    image.info["exif"] = exif_of(orientation).tobytes()
    assert orientation_of(image) == orientation
    assert np.array_equal(turned(values, orientation), np.array(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_after_the_pixels_of_a_png_counts(orientation, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_with_exif_last(LABELS, orientation))
    expected = turned(LABELS, orientation)
    assert image_size(path) == expected.shape
    assert np.array_equal(read_image(path)[..., 0], expected)
    for size_hw in (None, expected.shape):
        assert np.array_equal(read_labels(path, size_hw), expected)


@pytest.mark.parametrize("width", [40, 64, 100, 333])
def test_exif_is_found_behind_pixels_in_several_chunks(width, tmp_path):
    values = np.random.default_rng(width).integers(0, 256, (300, width), dtype=np.uint8)
    whole, late = tmp_path / "whole.png", tmp_path / "late.png"
    cv2.imwrite(str(whole), values)
    content = whole.read_bytes()
    assert content.count(b"IDAT") > 1
    late.write_bytes(with_exif_last(content, 6))
    for path, orientation in ((whole, 1), (late, 6)):
        with Image.open(path) as image:
            assert orientation_of(image) == orientation
            assert np.array_equal(np.array(image), values)


def test_exif_after_16_bit_pixels_counts(tmp_path):
    deep = LABELS.astype(np.uint16) * 1000
    (tmp_path / "a.png").write_bytes(png_with_exif_last(deep, 6))
    assert image_size(tmp_path / "a.png") == (3, 2)
    assert np.array_equal(np.argsort(read_image(tmp_path / "a.png")[..., 0].ravel()), [1, 3, 5, 0, 2, 4])


def test_a_clip_of_one_such_image_opens(tmp_path):
    (tmp_path / "0.png").write_bytes(png_with_exif_last(LABELS, 6))
    clip = open_clip(tmp_path)
    assert clip.size_hw == clip.read(0).shape[:2] == (3, 2)


@pytest.mark.parametrize("late", [False, True])
def test_orientation_in_xmp_is_the_same_in_header_and_pixels(late, tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    Image.fromarray(LABELS).save(tmp_path / "a.png", pnginfo=info)
    content = (tmp_path / "a.png").read_bytes()
    if late:
        start, pixels, end = (content.index(name) - 4 for name in (b"iTXt", b"IDAT", b"IEND"))
        content = content[:start] + content[pixels:end] + content[start:pixels] + content[end:]
        (tmp_path / "a.png").write_bytes(content)
    assert read_image(tmp_path / "a.png").shape[:2] == image_size(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").shape == image_size(tmp_path / "a.png")


def test_cut_off_exif_after_the_pixels_is_refused_in_a_sentence(tmp_path):
    content, path = png_with_exif_last(LABELS, 6), tmp_path / "a.png"
    path.write_bytes(content[: content.index(b"IDAT") + 4])
    assert image_size(path) == LABELS.shape
    path.write_bytes(content[: content.index(b"eXIf") + 8])
    for read in (image_size, read_image, read_labels):
        with pytest.raises(InputError, match="cannot read the"):
            read(path)
