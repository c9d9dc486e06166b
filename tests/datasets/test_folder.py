from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dextr_vos.config import load_settings
from dextr_vos.datasets.folder import FolderDescription, FolderObjects
from dextr_vos.datasets.instances import Concat
from dextr_vos.errors import ConfigError, InputError
from dextr_vos.masks import write_labels

HEAD = "images: images\nlabels: masks\n"
# two parts of 1 (6 pixels and a speck), one region of 2, a void pixel
LABELS = np.array(
    [
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 2, 2, 0, 0],
        [0, 255, 0, 0, 2, 2, 0, 0],
    ],
    dtype=np.uint8,
)


def make_image(path, size_hw=LABELS.shape, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(path)
    return rgb


@pytest.fixture
def make(tmp_path):
    """A set of two images `a` and `b`, the second without objects, from the rest of its YAML."""
    make_image(tmp_path / "images" / "a.png")
    make_image(tmp_path / "images" / "b.png", seed=1)
    write_labels(tmp_path / "masks" / "a.png", LABELS)
    write_labels(tmp_path / "masks" / "b.png", np.zeros_like(LABELS))

    def made(text, head=HEAD, **options):
        (tmp_path / "set.yaml").write_text(head + text)
        return FolderObjects(tmp_path / "set.yaml", **options)

    return made


def told(objects):
    return [
        (ref.image.removeprefix("images/"), ref.object_id, ref.category, ref.area) for ref in objects.refs
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{name: thing, values: [1-2]}", [("a", 0, "thing", 11)]),
        ("{name: thing, values: [1]}", [("a", 0, "thing", 7)]),
        ("{name: thing, values: [1], min_part: 2}", [("a", 0, "thing", 6)]),
        ("{name: thing, values: [1], parts: true}", [("a", 0, "thing", 6), ("a", 1, "thing", 1)]),
        ("{name: thing, values: [1], parts: true, min_area: 2}", [("a", 0, "thing", 6)]),
        ("{name: thing, values: [1-3], each: true}", [("a", 0, "thing", 7), ("a", 1, "cat", 4)]),
        (
            "{name: thing, values: [2, 1], each: true, parts: true, min_area: 4}",
            [("a", 0, "thing", 6), ("a", 1, "cat", 4)],
        ),
    ],
)
def test_rules_say_what_the_objects_are(make, rule, expected):
    assert told(make(f"objects:\n  - {rule}\nnames: {{2: cat}}\n")) == expected


def test_read_gives_image_mask_and_void(make, tmp_path):
    objects = make("objects:\n  - {name: one, values: [1]}\n  - {name: two, values: [2]}\nvoid: [255]\n")
    for index, region in enumerate((LABELS == 1, LABELS == 2)):
        example = objects.read(index)
        assert example.ref == objects.refs[index]
        np.testing.assert_array_equal(example.mask, region)
        np.testing.assert_array_equal(example.void, LABELS == 255)
        np.testing.assert_array_equal(example.image_rgb, make_image(tmp_path / "images" / "a.png"))


def test_parts_give_back_the_mask(make):
    objects = make("objects:\n  - {name: one, values: [1], parts: true}\n")
    masks = [objects.read(index).mask for index in range(2)]
    np.testing.assert_array_equal(masks[0] | masks[1], LABELS == 1)
    assert not (masks[0] & masks[1]).any()
    assert not objects.read(0).void.any()


def test_cached_images_are_read_once_and_cannot_be_spoilt(make, tmp_path):
    cached = make("objects: [{name: one, values: [1]}]")
    fresh = make("objects: [{name: one, values: [1]}]", cache=False)
    before = cached.read(0).image_rgb
    with pytest.raises(ValueError):
        before[0, 0] = 0
    (tmp_path / "images" / "a.png").unlink()
    assert cached.read(0).image_rgb is before
    cached.read(0).mask[:] = False
    assert cached.read(0).mask.any()
    with pytest.raises(InputError, match=r"there is no image .*a.png"):
        fresh.read(0)


def test_root_may_lie_elsewhere(make, tmp_path):
    make("objects: [{name: one, values: [1]}]")
    elsewhere = tmp_path / "configs" / "set.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text((tmp_path / "set.yaml").read_text())
    assert told(FolderObjects(elsewhere, tmp_path)) == [("a", 0, "one", 7)]
    with pytest.raises(InputError, match=r"there is no folder of images .*configs/images; give the root"):
        FolderObjects(elsewhere)


def test_sets_join(make):
    one = make("objects: [{name: one, values: [1]}]")
    two = make("objects: [{name: two, values: [2]}]")
    joined = Concat([one, two])
    np.testing.assert_array_equal(joined.read(1).mask, LABELS == 2)


POLYGONS = "format: polygons\nobjects:\n  - {name: thing, values: [0-9]}\nnames: {3: cup}\n"


@pytest.fixture
def polygons(make, tmp_path):
    def made(lines, text=POLYGONS):
        for name in ("a", "b"):
            (tmp_path / "masks" / f"{name}.txt").write_text(lines if name == "a" else "\n")
        return make(text)

    return made


def test_a_polygon_is_an_object(polygons):
    # the left half, all of it, one without pixels, and one of a class that nobody asked for
    objects = polygons("3 0 0 0.5 0 0.5 1 0 1\n0 0 0 1.01 0 1 1 0 1\n\n0 1 0 1 1 1 0.5\n77 0 0 1 0 1 1\n")
    assert told(objects) == [("a", 0, "cup", 16), ("a", 1, "thing", 32)]
    assert {ref.image for ref in objects.refs} == {"images/a"}
    left = np.zeros(LABELS.shape, dtype=bool)
    left[:, :4] = True
    np.testing.assert_array_equal(objects.read(0).mask, left)


@pytest.mark.parametrize(
    "line",
    [
        "3 0 0 1 0",
        "3 0 0 1 0 1 1 0",
        "x 0 0 1 0 1 1",
        "3 0 0 20 0 20 20",
        "3 0 0 1 0 1 nan",
        "-1 0 0 1 0 1 1",
    ],
)
def test_bad_polygons_are_named_by_line(polygons, line):
    with pytest.raises(
        InputError, match=r"a.txt line 2: expected a class number and three or more x y pairs"
    ):
        polygons(f"3 0 0 1 0 1 1\n{line}\n")


RULE = "objects: [{name: one, values: [1]}]\n"


def test_images_without_labels(make, tmp_path):
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(
        InputError, match=r"b.png has no label file .*b.png; add it, or say `missing_labels: skip`"
    ):
        make(RULE)
    assert told(make(f"{RULE}missing_labels: skip")) == [("a", 0, "one", 7)]


def test_labels_without_an_image_and_litter_are_left_alone(make, tmp_path):
    write_labels(tmp_path / "masks" / "c.png", LABELS)
    (tmp_path / "images" / "._a.png").write_bytes(b"litter")
    (tmp_path / "images" / "notes.txt").write_text("litter")
    assert len(make(RULE).refs) == 1


def test_files_that_do_not_fit_are_named(make, tmp_path):
    write_labels(tmp_path / "masks" / "b.png", LABELS.T)
    with pytest.raises(InputError, match=r"labels .*b.png are 4×8 pixels, their image b.png is 8×4"):
        make(RULE)
    Image.fromarray(np.zeros((*LABELS.shape, 3), dtype=np.uint8)).save(tmp_path / "masks" / "b.png")
    with pytest.raises(InputError, match=r"b.png are no indexed or grey image with values from 0"):
        make(RULE)
    (tmp_path / "masks" / "b.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot read the mask .*b.png"):
        make(RULE)
    make_image(tmp_path / "images" / "a.jpg")
    with pytest.raises(InputError, match=r"a.png and a.jpg would share one label file"):
        make(RULE)


def test_grey_labels_mean_their_values(make, tmp_path):
    Image.fromarray(np.where(LABELS == 1, 255, 0).astype(np.uint8)).save(tmp_path / "masks" / "a.png")
    assert told(make("objects: [{name: white, values: [255]}]")) == [("a", 0, "white", 7)]


def test_a_set_without_objects_says_so(make):
    with pytest.raises(InputError, match=r"no image in .*images has an object that .*set.yaml asks for"):
        make("objects: [{name: none, values: [9]}]")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"set.yaml: objects: this setting is missing"),
        ("objects: []", "objects: expected at least 1 item, got"),
        ("objects:\n  - {name: a}", "line 4: objects.0.values: this setting is missing"),
        ("objects:\n  - {name: a, values: []}", "objects.0.values: expected at least 1 item, got"),
        (
            "objects:\n  - {name: a, values: [x]}",
            "objects.0.values: expected whole numbers and ranges such as 1-58",
        ),
        ("objects:\n  - {name: a, values: [3-1]}", "got '3-1'"),
        ("objects:\n  - {name: a, values: [-1]}", "got -1"),
        ("objects:\n  - {name: a, values: [true]}", "got True"),
        ("objects:\n  - {name: a, values: 3}", r"expected a list of values such as \[8, 1-58\], got 3"),
        ("objects:\n  - {name: a, values: [70000]}", "expected values of at most 65535"),
        ("objects:\n  - {name: a, values: [1], min_area: 0}", "expected a whole number of at least 1, got 0"),
        ("objects:\n  - {name: a, values: [1], part: true}", r"unknown setting; did you mean parts\?"),
        (f"{RULE}format: png", "line 4: format: expected 'indexed' or 'polygons', got 'png'"),
        (f"{RULE}void: [1]", "expected values that are objects or void, got 1 as both"),
        (f"{RULE}format: polygons\nvoid: [2]", "`void` is for indexed labels"),
        ("format: polygons\nobjects: [{name: a, values: [1], each: true}]", "a polygon is one object"),
    ],
)
def test_faults_of_the_description(make, text, words):
    with pytest.raises(ConfigError, match=words):
        make(text)


SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "datasets").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_descriptions_in_configs_are_right(path):
    assert load_settings(FolderDescription, path).objects


def test_there_are_descriptions_in_configs():
    assert SHIPPED
