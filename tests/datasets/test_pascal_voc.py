import numpy as np
import pytest
from tiny_datasets import make_voc, scene, voc_names

from dextr_vos.datasets.pascal import VocObjects
from dextr_vos.errors import InputError
from dextr_vos.masks import read_labels, write_labels


@pytest.fixture
def voc(tmp_path):
    make_voc(tmp_path)
    return tmp_path


def opened(root, split="train", **options):
    return VocObjects(root, split, index_folder=root / "index", **options)


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_the_root_may_be_any_of_three(voc, below):
    objects = VocObjects(voc / below, index_folder=voc / "index")
    assert [ref.image for ref in objects.refs] == [name for name in voc_names(4) for _ in range(2)]


@pytest.mark.parametrize(("split", "count"), [("train", 4), ("val", 2), ("trainval", 6)])
def test_splits(voc, split, count):
    objects = opened(voc, split)
    assert len(objects.images) == count
    assert len(objects.refs) == 2 * count


def test_an_object_has_its_mask_void_and_category(voc):
    objects = opened(voc)
    for index, ref in enumerate(objects.refs):
        example = objects.read(index)
        rgb, labels = scene(int(ref.image[-6:]))
        assert example.ref == ref
        assert ref.category == ("aeroplane", "bicycle")[ref.object_id]
        assert ref.area == example.mask.sum() > 0
        assert not (example.mask & example.void).any()
        # within its outline, and whole but for the void
        assert not (example.mask & (labels != ref.object_id + 1)).any()
        assert not ((labels == ref.object_id + 1) & ~example.mask & ~example.void).any()
        assert np.abs(example.image_rgb.astype(int) - rgb).mean() < 10  # JPEG


def test_small_objects_can_be_left_out(voc):
    areas = sorted(ref.area for ref in opened(voc).refs)
    assert [ref.area >= areas[3] for ref in opened(voc, min_area=areas[3]).refs] == [True] * 5


def test_an_image_without_objects_counts(voc):
    for kind in ("SegmentationObject", "SegmentationClass"):
        path = voc / "VOCdevkit/VOC2012" / kind / f"{voc_names(1)[0]}.png"
        write_labels(path, np.zeros_like(read_labels(path)))
    objects = opened(voc)
    assert len(objects.images) == 4
    assert len(objects.refs) == 6


def test_the_index_follows_the_data_set(voc):
    before = opened(voc).refs
    assert len(list((voc / "index").iterdir())) == 1
    assert opened(voc).refs == before
    path = voc / "VOCdevkit/VOC2012/SegmentationObject" / f"{voc_names(1)[0]}.png"
    labels = read_labels(path)
    write_labels(path, np.where(labels == 2, 0, labels).astype(np.uint8))
    assert len(opened(voc).refs) == len(before) - 1


def test_a_missing_data_set_says_what_to_get(tmp_path):
    words = r"get the .* data of PASCAL VOC 2012 with dextr-vos download voc, .*VOCdevkit/VOC2012"
    with pytest.raises(InputError, match=rf"there is no folder .*nowhere; {words}"):
        opened(tmp_path / "nowhere")
    with pytest.raises(InputError, match=rf"has no JPEGImages, SegmentationObject.*{words}"):
        opened(tmp_path)
    (tmp_path / "VOCdevkit/VOC2012/JPEGImages").mkdir(parents=True)
    with pytest.raises(InputError, match=r"VOC2012 has no SegmentationObject, SegmentationClass, ImageSets"):
        opened(tmp_path)


def test_an_unknown_split_names_those_there_are(voc):
    with pytest.raises(InputError, match=r"no list of the split 'test'; its splits are train, trainval, val"):
        opened(voc, "test")


def test_half_a_data_set_is_named(voc):
    folder = voc / "VOCdevkit/VOC2012"
    name = voc_names(1)[0]
    objects = opened(voc)
    (folder / "JPEGImages" / f"{name}.jpg").unlink()
    with pytest.raises(InputError, match=rf"there is no image .*{name}.jpg"):
        objects.read(0)
    write_labels(folder / "SegmentationObject" / f"{name}.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match=rf"{name}.png and those of its objects differ in size"):
        opened(voc)
    (folder / "SegmentationClass" / f"{name}.png").unlink()
    with pytest.raises(
        InputError, match=rf"there is no .*SegmentationClass/{name}.png, which the data set's lists"
    ):
        opened(voc)


def test_labels_that_changed_since_are_named(voc):
    objects = opened(voc)
    path = voc / "VOCdevkit/VOC2012/SegmentationObject" / f"{objects.refs[0].image}.png"
    write_labels(path, np.zeros_like(read_labels(path)))
    with pytest.raises(InputError, match="do not fit their image or have changed"):
        objects.read(0)
