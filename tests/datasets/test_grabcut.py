import numpy as np
import pytest
from PIL import Image
from tiny_datasets import make_grabcut, outlined, scene

from dextr_vos.datasets.grabcut import GrabCutObjects
from dextr_vos.errors import InputError


@pytest.mark.parametrize("below", ["", "grabcut"])
def test_one_object_an_image_with_its_void(tmp_path, below):
    make_grabcut(tmp_path / below)
    objects = GrabCutObjects(tmp_path)
    assert [ref.image for ref in objects.refs] == ["shape0", "shape1", "shape2"]
    for index, ref in enumerate(objects.refs):
        truth = outlined(scene(index, 1)[1])
        example = objects.read(index)
        np.testing.assert_array_equal(example.mask, truth == 1)
        np.testing.assert_array_equal(example.void, truth == 255)
        assert ref.area == example.mask.sum()


def test_the_mode_of_the_ground_truth_does_not_matter(tmp_path):
    root = make_grabcut(tmp_path)
    before = GrabCutObjects(root).read(0)
    for path in (root / "boundary_GT").iterdir():
        with Image.open(path) as opened:
            colours = opened.convert("RGB")
        colours.save(path)
    after = GrabCutObjects(root).read(0)
    np.testing.assert_array_equal(before.mask, after.mask)
    np.testing.assert_array_equal(before.void, after.void)


def test_faults_are_named(tmp_path):
    with pytest.raises(
        InputError, match=r"has no data_GT, boundary_GT; get the GrabCut data set of Microsoft"
    ):
        GrabCutObjects(tmp_path)
    root = make_grabcut(tmp_path)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / "boundary_GT" / "shape1.bmp")
    with pytest.raises(InputError, match=r"expected 255 for the object in the ground truth .*shape1.bmp"):
        GrabCutObjects(root)
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(root / "boundary_GT" / "shape1.bmp")
    with pytest.raises(InputError, match=r"shape1.bmp is not of its image's size"):
        GrabCutObjects(root).read(1)
    (root / "boundary_GT" / "shape1.bmp").unlink()
    with pytest.raises(InputError, match=r"has no ground truth of shape1; get"):
        GrabCutObjects(root)
