import json

import numpy as np
import pytest
from tiny_datasets import make_voc
from tiny_run import Squares, stop_after

from dextr_vos.datasets.pascal import VocObjects
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.evaluation.interactive import mask_iou
from dextr_vos.evaluation.next_click import outline
from dextr_vos.geometry import extreme_points
from dextr_vos.training.hard_examples import find_hard_examples, read_hard_examples


@pytest.fixture
def voc(tmp_path):
    """Rectangles, ellipses and triangles: a segmenter that fills boxes is good at the first alone."""
    return VocObjects(make_voc(tmp_path, 6), "train", index_folder=tmp_path)


class Broken:
    name = "broken"
    threshold = 0.5

    def probabilities(self, image_rgb, objects_xy):
        raise AssertionError("everything was found already")


def find(objects, path, segmenter=None, below=0.9, **options):
    segmenter = segmenter or Squares()
    return find_hard_examples(objects, lambda _: segmenter, below, path, **options)


def test_hard_objects_get_a_fifth_click_on_their_outline(voc, tmp_path, caplog):
    caplog.set_level("INFO")
    reports = []
    found = find(voc, tmp_path / "hard.json", on_object=lambda *counts: reports.append(counts))
    hard = []
    for index in range(len(voc.refs)):
        example = voc.read(index)
        points = extreme_points(example.mask)
        (prob,) = Squares().probabilities(example.image_rgb, [points])
        iou = mask_iou(prob > 0.5, example.mask, example.void)
        if iou >= 0.9:
            continue
        hard.append(iou)
        assert found[index].shape == (1, 2)
        x, y = found[index][0]
        assert outline(example.mask)[y, x]
        assert (x, y) not in {tuple(point) for point in points.tolist()}
    assert 0 < len(hard) == len(found) < len(voc.refs) == 12
    assert reports == [(number, 12) for number in range(1, 13)]
    assert f"{len(hard)} of 12 objects have an IoU below 0.9, mean {np.mean(hard):.3f}" in caplog.text
    content = json.loads((tmp_path / "hard.json").read_text())
    assert [row[:2] for row in content["objects"]] == [[ref.image, ref.object_id] for ref in voc.refs]
    assert all((row[2] < 0.9) == (row[3] is not None) for row in content["objects"])


def test_objects_in_the_file_are_not_segmented_again(voc, tmp_path):
    path = tmp_path / "hard.json"
    assert read_hard_examples(voc, 0.9, path) is None
    first = find(voc, path)
    for again in (find(voc, path, Broken()), read_hard_examples(voc, 0.9, path)):
        assert first.keys() == again.keys()
        assert all(np.array_equal(first[index], again[index]) for index in first)


def test_a_stopped_search_resumes(voc, tmp_path):
    path = tmp_path / "hard.json"
    with pytest.raises(Interrupted, match=r"in 5 of 12 objects; the same command resumes"):
        find(voc, path, stop_asked=stop_after(4))
    assert len(json.loads(path.read_text())["objects"]) == 5
    assert read_hard_examples(voc, 0.9, path) is None
    reports = []
    find(voc, path, on_object=lambda *counts: reports.append(counts))
    assert reports[0] == (6, 12)
    find(voc, tmp_path / "whole.json")
    assert path.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_each_object_is_segmented_by_the_network_it_is_given(voc, tmp_path):
    asked = []

    def segmenter_for(ref):
        asked.append((ref.image, ref.object_id))
        return Squares()

    find_hard_examples(voc, segmenter_for, 0.5, tmp_path / "hard.json")
    assert asked == [(ref.image, ref.object_id) for ref in voc.refs]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        '{"format": "other", "below": 0.9, "objects": []}',
        '{"below": 0.9}',
        '{"format": "other", "below": 0.9, "objects": [["a", 1e999, 0.5, null]]}',
    ],
)
def test_a_file_of_something_else_is_refused(voc, tmp_path, text):
    (tmp_path / "hard.json").write_text(text)
    with pytest.raises(InputError, match=r"hard.json is .*remove it to look for hard examples again"):
        find(voc, tmp_path / "hard.json")


def test_another_bound_and_other_objects_are_refused(voc, tmp_path):
    path = tmp_path / "hard.json"
    find(voc, path)
    with pytest.raises(InputError, match=r"another bound than 0\.7"):
        find(voc, path, below=0.7)
    others = VocObjects(make_voc(tmp_path / "other", ["2008_000001"]), "train", index_folder=tmp_path)
    with pytest.raises(InputError, match="of other objects"):
        find(others, path)
