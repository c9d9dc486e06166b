import numpy as np
import pytest
from tiny_datasets import make_davis, scene

from dextr_vos.datasets.davis import DavisObjects
from dextr_vos.errors import InputError


def opened(root, *settings, **options):
    return DavisObjects(root, *settings, index_folder=root / "index", **options)


def test_every_object_of_every_frame(tmp_path):
    objects = opened(make_davis(tmp_path), "val", 2017)
    assert len(objects.refs) == 2 * 4 * 2
    for index, ref in enumerate(objects.refs):
        clip, _, frame = ref.image.partition("/")
        _, labels = scene({"bear": 0, "dog": 100}[clip] + int(frame))
        example = objects.read(index)
        assert ref.category == clip
        np.testing.assert_array_equal(example.mask, labels == ref.object_id + 1)
        assert ref.area == example.mask.sum()


def test_davis_2016_has_one_object_a_frame(tmp_path):
    objects = opened(make_davis(tmp_path, year=2016), "val", 2016)
    assert len(objects.refs) == 2 * 4
    np.testing.assert_array_equal(objects.read(1).mask, scene(1, 1)[1] == 1)


@pytest.mark.parametrize(("every", "frames"), [(1, 4), (2, 2), (3, 2), (9, 1)])
def test_every_nth_frame_of_each_clip(tmp_path, every, frames):
    objects = opened(make_davis(tmp_path, clips=["bear"]), "val", 2017, every)
    assert sorted({ref.image for ref in objects.refs}) == [
        f"bear/{index * every:05d}" for index in range(frames)
    ]


def test_faults_are_named(tmp_path):
    root = make_davis(tmp_path)
    with pytest.raises(InputError, match="got every=0"):
        opened(root, every=0)
    (root / "JPEGImages/480p/dog/00001.jpg").unlink()
    with pytest.raises(InputError, match=r"dog/00001.png has no frame of its name"):
        opened(root)
    with pytest.raises(InputError, match="there is no DAVIS folder"):
        opened(root / "nowhere")
