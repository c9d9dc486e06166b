import struct
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.mask_file import find_mask_file, mask_files, read_stored
from dextr_vos.masks import read_labels, voc_palette, write_labels

LABELS = np.array([[0, 1, 2], [3, 0, 255]], dtype=np.uint8)


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
    stored = read_stored(saved(tmp_path / "a.png", values, mode, **options))
    assert (stored.values == values).all()
    assert stored.values.dtype == np.uint8
    assert (stored.palette is None) == (mode == "L")
    if mode == "P":
        assert (stored.palette[:, :3] == voc_palette()[: len(stored.palette)]).all()


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".TIFF", ".bmp", ".webp"])
@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_every_lossless_format_gives_the_same_labels(tmp_path, suffix, mode):
    image = Image.fromarray(voc_palette()[LABELS] if mode == "RGB" else LABELS)
    if mode == "P":
        image.putpalette(voc_palette().tobytes())
    image.save(tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    assert (read_labels(tmp_path / f"a{suffix}", (2, 3)) == LABELS).all()


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int8, np.uint16, np.int64, np.float16, np.float32])
def test_arrays_are_masks(tmp_path, kind):
    np.save(tmp_path / "a.npy", np.array([[0, 1]], dtype=kind))
    assert read_labels(tmp_path / "a.npy", (1, 2)).tolist() == [[0, 1]]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_turned_as_they_are_shown(tmp_path, suffix, orientation):
    """Programs that copy the EXIF of a photograph into its mask mean it to lie as the photograph does."""
    path, exif = tmp_path / f"a{suffix}", Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(LABELS).save(path, exif=exif, **options)
    expected = {
        **{1: LABELS, 2: LABELS[:, ::-1], 3: LABELS[::-1, ::-1], 4: LABELS[::-1]},
        **{5: LABELS.T, 6: LABELS.T[:, ::-1], 7: LABELS.T[::-1, ::-1], 8: LABELS.T[::-1]},
    }[orientation]
    assert np.array_equal(read_labels(path, expected.shape), expected)


def png(path, bits, kind, rows, width, height=None):
    """A PNG of any depth, which Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height or len(rows), bits, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


@pytest.mark.parametrize(("bits", "row"), [(2, 0b00011011), (4, 0x0F)])
def test_grey_values_of_few_bits_are_not_stretched(tmp_path, bits, row):
    stored = read_stored(png(tmp_path / "a.png", bits, 0, [bytes([row])], 8 // bits))
    assert stored.values.tolist() == [[0, 1, 2, 3] if bits == 2 else [0, 15]]


def test_colour_images_of_16_bits_keep_all_bits(tmp_path):
    for kind, pixels in ((2, (2, 2, 2, 0, 0, 0)), (4, (2, 65535, 0, 65535)), (6, (2, 2, 2, 9, 0, 0, 0, 9))):
        path = png(tmp_path / "a.png", 16, kind, [struct.pack(f">{len(pixels)}H", *pixels)], 2)
        assert read_labels(path).tolist() == [[2, 0]]
    stretched = (voc_palette()[LABELS].astype(">u2") * 257).reshape(2, -1)
    path = png(tmp_path / "b.png", 16, 2, [row.tobytes() for row in stretched], 3)
    assert (read_labels(path) == LABELS).all()


def test_the_size_is_checked_before_pixels_are_decoded(tmp_path):
    huge = png(tmp_path / "a.png", 8, 0, [b"\0"], 60_000, 60_000)
    with pytest.raises(InputError, match="is 60000×60000 pixels, its frame is 4×2"):
        read_labels(huge, (2, 4))
    with pytest.raises(InputError, match="is 60000×60000 pixels, 3600 million; expected at most 67 million"):
        read_labels(huge)
    np.save(tmp_path / "a.npy", LABELS)
    with pytest.raises(InputError, match="is 3×2 pixels, its frame is 4×2"):
        read_labels(tmp_path / "a.npy", (2, 4))


@pytest.mark.parametrize("mode", ["L", "P"])
def test_damage_is_never_read_as_a_mask(tmp_path, mode):
    path = saved(tmp_path / "a.png", np.eye(40, dtype=np.uint8) * 255, mode)
    whole = path.read_bytes()
    pixels = (
        whole.index(b"IDAT") + len(b"IDAT") + int.from_bytes(whole[whole.index(b"IDAT") - 4 :][:4], "big")
    )
    for length in range(pixels - 4):  # the last four bytes of the data are a checksum
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="cannot read the mask"):
            read_stored(path)
    start = whole.index(b"IDAT") + 4
    path.write_bytes(whole[:start] + bytes([whole[start] ^ 255]) + whole[start + 1 :])
    with pytest.raises(InputError, match="cannot read the mask"):
        read_stored(path)


@pytest.mark.parametrize("suffix", ["npy", "png", "tif", "bmp", "webp"])
def test_damage_anywhere_is_one_sentence_or_a_mask(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, LABELS)
    else:
        Image.fromarray(LABELS).save(path, **({"lossless": True} if suffix == "webp" else {}))
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for place in rng.permutation(len(whole))[:150]:
        changed = bytearray(whole)
        changed[place] = rng.integers(256)
        path.write_bytes(changed)
        try:
            assert read_stored(path).values.ndim in (2, 3)
        except InputError:
            refused += 1
    assert refused > 3


def test_files_that_are_no_masks_are_refused(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "a.png")
    with pytest.raises(InputError, match="is a JPEG, expected PNG"):
        read_labels(tmp_path / "a.png")
    pages = [Image.fromarray(LABELS), Image.fromarray(LABELS)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match="holds 2 images, expected one"):
        read_labels(tmp_path / "a.tif")
    for array, words in (
        (LABELS / 2, "holds fractions"),
        (LABELS * 1j, "complex128"),
        (LABELS[None], r"\(1, 2, 3\)"),
        (np.array([None]), "Python objects"),
    ):
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        with pytest.raises(InputError, match=words):
            read_labels(tmp_path / "a.npy")


def test_masks_are_found_by_any_suffix_in_natural_order(tmp_path):
    for name in ("10.png", "9.PNG", "1.tif", "a.txt", ".2.png"):
        (tmp_path / name).touch()
    assert [file.name for file in mask_files(tmp_path).values()] == ["1.tif", "9.PNG", "10.png"]
    assert [find_mask_file(tmp_path, name) for name in ("9", "1", "2")] == [
        tmp_path / "9.PNG",
        tmp_path / "1.tif",
        None,
    ]
    assert not mask_files(tmp_path / "none")
    assert find_mask_file(tmp_path / "none", "1") is None
    (tmp_path / "9.tif").touch()
    with pytest.raises(InputError, match=r"two masks of the frame '9', 9\.PNG and 9\.tif; keep one"):
        mask_files(tmp_path)


def test_names_are_compared_in_one_unicode_form(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Schärfe_0") for form in ("NFC", "NFD"))
    write_labels(tmp_path / f"{decomposed}.png", LABELS)
    assert list(mask_files(tmp_path)) == [composed]
    for name in (composed, decomposed):
        assert find_mask_file(tmp_path, name).exists()
