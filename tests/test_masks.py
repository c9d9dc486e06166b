from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.masks import labels_from_probs, object_ids, read_labels, voc_palette, write_labels

LABELS = np.array([[0, 1, 2], [3, 0, 255]], dtype=np.uint8)


def save(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


def test_palette_is_that_of_pascal_voc() -> None:
    expected = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 15: (192, 128, 128)}
    for index, colour in {**expected, 20: (0, 64, 128), 255: (224, 224, 192)}.items():
        assert tuple(voc_palette()[index]) == colour


def test_labels_survive_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.png"
    write_labels(path, LABELS)
    assert (read_labels(path) == LABELS).all()
    with Image.open(path) as image:
        assert image.mode == "P"
        assert (np.array(image.convert("RGB"))[0, 1] == (128, 0, 0)).all()
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_binary_masks_of_davis_2016(tmp_path: Path) -> None:
    grey = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    for name, image in {
        "grey": Image.fromarray(grey),
        "bits": Image.fromarray(grey > 0),
        "rgb": Image.fromarray(np.dstack([grey] * 3)),
        "alpha": Image.fromarray(np.dstack([grey] * 3 + [grey + 9])),
    }.items():
        assert (read_labels(save(tmp_path / f"{name}.png", image)) == (grey > 0)).all(), name


def test_a_grey_palette_means_grey(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    image = image.convert("P")
    assert read_labels(save(tmp_path / "a.png", image)).tolist() == [[0, 1]]


def test_void_stays_void_in_indexed_masks(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.png", np.array([[0, 255]], dtype=np.uint8))
    assert read_labels(tmp_path / "a.png").tolist() == [[0, 255]]


def test_grey_numbers_are_object_numbers(tmp_path: Path) -> None:
    assert (read_labels(save(tmp_path / "a.png", Image.fromarray(LABELS))) == LABELS).all()


def test_voc_colours_are_object_numbers(tmp_path: Path) -> None:
    image = Image.fromarray(voc_palette()[LABELS])
    assert (read_labels(save(tmp_path / "a.png", image)) == LABELS).all()


class TestRefused:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"there is no mask .*a\.png"):
            read_labels(tmp_path / "a.png")

    def test_not_an_image(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_text("x")
        with pytest.raises(InputError, match=r"cannot read the mask .*a\.png"):
            read_labels(tmp_path / "a.png")

    def test_anti_aliased(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", Image.fromarray(np.array([range(0, 256, 15)], dtype=np.uint8)))
        with pytest.raises(InputError, match="looks anti-aliased"):
            read_labels(path)

    def test_other_colours(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", Image.fromarray(np.full((2, 2, 3), (1, 2, 3), dtype=np.uint8)))
        with pytest.raises(InputError, match="not the PASCAL VOC palette"):
            read_labels(path)

    def test_wrong_size(self, tmp_path: Path) -> None:
        write_labels(tmp_path / "a.png", LABELS)
        with pytest.raises(InputError, match="is 3×2 pixels, its frame is 4×2"):
            read_labels(tmp_path / "a.png", (2, 4))


class TestLabelsFromProbs:
    def test_one_object_is_a_threshold(self) -> None:
        prob = np.array([[0.5, 0.51, 0.8, 0.81]], dtype=np.float32)
        assert labels_from_probs([prob]).tolist() == [[0, 1, 1, 1]]
        assert labels_from_probs([prob], threshold=0.8).tolist() == [[0, 0, 0, 1]]

    def test_the_more_probable_object_wins(self) -> None:
        probs = np.array([[[0.9, 0.6, 0.1, 0.0]], [[0.8, 0.7, 0.2, 1.0]]], dtype=np.float32)
        assert labels_from_probs(probs).tolist() == [[1, 2, 0, 2]]
        assert probs[0, 0, 0] == np.float32(0.9)  # what is handed over stays as it is

    def test_many_doubtful_objects_make_no_certain_one(self) -> None:
        assert not labels_from_probs(np.full((150, 2, 2), 0.3, dtype=np.float32)).any()


def test_object_ids_leave_out_background_and_void() -> None:
    assert object_ids(LABELS) == [1, 2, 3]


def test_black_and_white_palettes_mean_what_they_show(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    for palette, expected in (([255] * 3 + [0] * 3, [[1, 0]]), ([0] * 3 + [255] * 3, [[0, 1]])):
        image.putpalette(palette)
        assert read_labels(save(tmp_path / "a.png", image)).tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 65535], [0, 1]),
        ([0, 255], [0, 1]),
        ([0, 5], [0, 5]),
        ([0, 5, 7], [0, 5, 7]),
        ([5, 255], [5, 255]),
    ],
)
def test_sixteen_bits(tmp_path: Path, values: list[int], expected: list[int]) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(np.array([values], dtype=np.uint16)))
    assert read_labels(path).tolist() == [expected]


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint16, np.int64])
def test_labels_of_any_integer_type_are_written(tmp_path: Path, kind: type) -> None:
    labels = np.array([[0, 1], [1, 0]], dtype=kind)
    write_labels(str(tmp_path / "a.png"), labels)
    assert read_labels(str(tmp_path / "a.png")).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS / 2, r"expected labels as H×W integers from 0 to 255 or bool, got float64 of shape \(2, 3\)"),
        (LABELS[0], r"got uint8 of shape \(3,\)"),
        (LABELS[..., None], r"got uint8 of shape \(2, 3, 1\)"),
        (LABELS[:0], r"got uint8 of shape \(0, 3\)"),
        (LABELS.astype(int) - 1, "expected labels with values from 0 to 255, got -1 to 254"),
        (LABELS.astype(np.uint16) * 2, "expected labels with values from 0 to 255, got 0 to 510"),
        ([[0, 1], [1]], "expected labels as H×W integers from 0 to 255 or bool, got rows of several lengths"),
    ],
)
def test_unusable_labels_are_refused(tmp_path: Path, labels: npt.ArrayLike, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_labels(tmp_path / "a.png", labels)
    with pytest.raises(InputError, match=r"a\.jpg must end in \.png"):
        write_labels(tmp_path / "a.jpg", LABELS)
    assert not list(tmp_path.iterdir())
