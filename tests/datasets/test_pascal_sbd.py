import numpy as np
import pytest
from scipy.io import savemat
from tiny_datasets import make_sbd, make_voc, scene, voc_names

from dextr_vos.datasets.pascal import SbdObjects, read_instances, voc_and_sbd
from dextr_vos.errors import InputError


@pytest.fixture
def sbd(tmp_path):
    make_sbd(tmp_path)
    return tmp_path


def opened(root, split="train", **options):
    return SbdObjects(root, split, index_folder=root / "index", **options)


@pytest.mark.parametrize("below", ["", "benchmark_RELEASE", "benchmark_RELEASE/dataset"])
def test_the_root_may_be_any_of_three(sbd, below):
    assert len(SbdObjects(sbd / below, index_folder=sbd / "index").refs) == 6


@pytest.mark.parametrize(("split", "count"), [("train", 3), ("val", 2), ("trainval", 5)])
def test_splits(sbd, split, count):
    objects = opened(sbd, split)
    assert len(objects.images) == count
    assert len(objects.refs) == 2 * count


def test_an_object_has_its_mask_and_category(sbd):
    objects = opened(sbd)
    for index, ref in enumerate(objects.refs):
        example = objects.read(index)
        _, labels = scene(int(ref.image[-6:]))
        np.testing.assert_array_equal(example.mask, labels == ref.object_id + 1)
        assert ref.category == ("bicycle", "bird")[ref.object_id]
        assert ref.area == example.mask.sum()
        assert not example.void.any()
        assert example.image_rgb.shape == (*labels.shape, 3)


@pytest.mark.parametrize("objects", [1, 3])
def test_one_object_and_many(tmp_path, objects):
    make_sbd(tmp_path, train=1, objects=objects)
    assert len(opened(tmp_path).refs) == objects


def test_small_objects_can_be_left_out(sbd):
    areas = sorted(ref.area for ref in opened(sbd).refs)
    assert len(opened(sbd, min_area=areas[2]).refs) == 4


def test_a_missing_data_set_says_what_to_get(tmp_path):
    with pytest.raises(
        InputError, match=r"has no img, inst, train.txt, val.txt; get the Semantic Boundaries Dataset"
    ):
        opened(tmp_path)


def test_broken_files_are_named(sbd, tmp_path):
    folder = sbd / "benchmark_RELEASE/dataset/inst"
    path = folder / f"{voc_names(1, first=2001)[0]}.mat"
    objects = opened(sbd)
    path.write_bytes(b"MATLAB 5.0 MAT-file, but cut off")
    with pytest.raises(InputError, match=rf"cannot read .*{path.name}: expected GTinst"):
        objects.read(0)
    savemat(path, {"GTinst": {"Segmentation": np.ones((9, 9), np.uint8), "Categories": 1}})
    whole, numbers = path.read_bytes(), b"\x02\0\0\0\x51\0\0\0"
    assert numbers in whole
    path.write_bytes(whole.replace(numbers, b"\xff\xff" + numbers[2:]))  # a kind that there is not
    with pytest.raises(InputError, match=rf"cannot read .*{path.name}: expected GTinst"):
        objects.read(0)
    good = np.ones((9, 9), np.uint8)
    for damaged in (
        np.ones((2, 2)),
        {"Segmentation": good},
        {"Segmentation": good, "Categories": "person"},
        {"Segmentation": good, "Categories": {"a": 1}},
        {"Segmentation": good, "Categories": np.empty((1, 0), dtype=object)},  # no cells
        {"Segmentation": good, "Categories": np.array([np.nan])},
        {"Segmentation": np.ones((2, 2, 2)), "Categories": 1},
    ):
        savemat(path, {"GTinst": damaged})
        with pytest.raises(InputError, match=rf"cannot read .*{path.name}: expected GTinst"):
            objects.read(0)
    savemat(path, {"other": 1})
    with pytest.raises(InputError, match=rf"cannot read .*{path.name}: expected GTinst"):
        opened(sbd)
    path.unlink()
    with pytest.raises(InputError, match=rf"there is no .*{path.name}"):
        opened(sbd)
    with pytest.raises(InputError, match=r"there is no .*; get the Semantic Boundaries Dataset again"):
        read_instances(path)


def test_voc_and_sbd_without_val_and_without_doubles(tmp_path):
    a, b, c, d, e, f = voc_names(6)
    make_voc(tmp_path, train=[a, b], val=[c, d])
    # a is in VOC train, c and d in VOC val, whichever list of SBD they are in
    make_sbd(tmp_path, train=[a, c, e], val=[d, f])
    joined = voc_and_sbd(tmp_path, tmp_path, index_folder=tmp_path / "index")
    assert [ref.image for ref in joined.refs] == [a, a, b, b, e, e, f, f]
    # VOC's outlines have a void, SBD's have none
    assert [bool(joined.read(index).void.any()) for index in range(8)] == [True] * 4 + [False] * 4
    assert joined.read(6).ref == joined.refs[6]


def test_voc_and_sbd_leave_small_objects_out_of_both(tmp_path):
    make_voc(tmp_path)
    make_sbd(tmp_path)
    index = tmp_path / "index"
    every = voc_and_sbd(tmp_path, tmp_path, index_folder=index).refs
    large = voc_and_sbd(tmp_path, tmp_path, min_area=400, index_folder=index).refs
    assert large == [ref for ref in every if ref.area >= 400] != every
