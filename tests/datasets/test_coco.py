import json

import numpy as np
import pytest
from tiny_datasets import make_coco, save, scene

from dextr_vos.datasets.coco import CocoObjects
from dextr_vos.errors import InputError

LABELS = "annotations/instances_val2017.json"


@pytest.fixture
def coco(tmp_path):
    return make_coco(tmp_path)


def change(root, edit):
    path = root / LABELS
    told = json.loads(path.read_text())
    edit(told)
    path.write_text(json.dumps(told))


def test_objects_in_the_order_of_images_without_crowds(coco):
    objects = CocoObjects(coco)
    assert [(int(ref.image), ref.object_id, ref.category) for ref in objects.refs] == [
        (image, number, category) for image in (1, 2, 3) for number, category in ((0, "dog"), (1, "cat"))
    ]


def test_polygons_and_run_lengths_give_the_mask(coco):
    objects = CocoObjects(coco)
    for index, ref in enumerate(objects.refs):
        example = objects.read(index)
        _, labels = scene(int(ref.image) - 1)
        truth = labels == {"cat": 1, "dog": 2}[ref.category]
        if ref.category == "dog":
            np.testing.assert_array_equal(example.mask, truth)
            assert ref.area == truth.sum()
        else:  # the polygon runs through the middles of the outermost pixels
            assert (example.mask & truth).sum() / (example.mask | truth).sum() > 0.85
        assert not example.void.any()


def test_categories_and_areas_choose(coco):
    every = CocoObjects(coco).refs
    cats = CocoObjects(coco, categories=["cat"]).refs
    assert cats == [ref for ref in every if ref.category == "cat"]
    areas = sorted(ref.area for ref in every)
    middle = CocoObjects(coco, area=(areas[1], areas[4])).refs
    assert middle == [ref for ref in every if areas[1] <= ref.area <= areas[4]]


def test_unknown_category_names_the_nearest(coco):
    with pytest.raises(InputError, match=r"has no category 'cats'; the nearest are cat"):
        CocoObjects(coco, categories=["dog", "cats"])
    with pytest.raises(InputError, match=r"the nearest are cat, dog, person"):
        CocoObjects(coco, categories=["zzzzz"])


def test_images_below_images(coco):
    (coco / "images").mkdir()
    (coco / "val2017").rename(coco / "images" / "val2017")
    assert CocoObjects(coco.parent / coco.name).read(0).mask.any()


def test_packed_run_lengths(coco):
    from pycocotools import mask

    _, labels = scene(0)

    def pack(told):
        packed = mask.encode(np.asfortranarray((labels == 2).astype(np.uint8)))
        told["annotations"][1]["segmentation"] = {"size": packed["size"], "counts": packed["counts"].decode()}

    change(coco, pack)
    np.testing.assert_array_equal(CocoObjects(coco).read(0).mask, labels == 2)


def test_outlines_without_a_pixel_are_left_out(coco):
    def shrink(told):
        told["annotations"][0].update(segmentation=[[3.1, 3.1, 3.2, 3.1, 3.2, 3.2]], area=0.005)
        told["annotations"][2].update(segmentation=[[3, 3, 9, 9]], area=2)

    change(coco, shrink)
    assert len(CocoObjects(coco).refs) == 4


def test_a_missing_data_set_says_what_to_get(coco, tmp_path):
    with pytest.raises(
        InputError,
        match=r"has no annotations/instances_train2017.json; get COCO with dextr-vos download coco, or from",
    ):
        CocoObjects(coco, "train2017")
    (coco / "val2017").rename(coco / "elsewhere")
    with pytest.raises(InputError, match=r"has no val2017; get COCO .* val2017/\*.jpg"):
        CocoObjects(coco)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot read .*instances_val2017.json"),
        ("[]", "expected COCO's instances in"),
        ('{"images": [], "annotations": []}', "expected COCO's instances in.* KeyError 'categories'"),
    ],
)
def test_broken_annotations_are_named(coco, text, words):
    (coco / LABELS).write_text(text)
    with pytest.raises(InputError, match=words):
        CocoObjects(coco)


def test_scaled_images_are_refused(coco):
    save(coco / "val2017" / "000000000001.jpg", np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(InputError, match=r"is 20×10 pixels, its annotations say 96×72"):
        CocoObjects(coco).read(0)
