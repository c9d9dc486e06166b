import json

import numpy as np
import pytest

from dextr_vos.annotation.annotations import annotations_from, save_annotations
from dextr_vos.annotation.human_clicks import read_human_clicks
from dextr_vos.datasets.instances import ObjectRef
from dextr_vos.errors import InputError

POINTS = [[8, 20], [25, 22], [16, 14], [17, 33]]
REFS = [
    ObjectRef("bear/00000", 0, "bear", 100),
    ObjectRef("bear/00000", 1, "bear", 90),
    ObjectRef("dog/00000", 0, "dog", 80),
    ObjectRef("dog/00010", 0, "dog", 80),
]


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_images_and_objects_by_number(tmp_path):
    path = write(
        tmp_path / "h.json", {"bear/00000": {"2": POINTS}, "dog/00000": {"1": [*POINTS, [17.6, 20]]}}
    )
    human = read_human_clicks(path, REFS)
    assert set(human.points_xy) == {("bear/00000", 1), ("dog/00000", 0)}
    assert human.points_xy["bear/00000", 1].tolist() == POINTS
    assert human.points_xy["dog/00000", 0][-1].tolist() == [18, 20]
    assert human.source == path


def test_annotations_of_a_workspace_by_the_last_part_of_the_name(tmp_path):
    path = tmp_path / "annotations.json"
    save_annotations(path, annotations_from({"00010": {1: np.array(POINTS)}}, origin="human"))
    assert set(read_human_clicks(path, REFS).points_xy) == {("dog/00010", 0)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"00000": {"1": POINTS}}, r"h\.json clicks on '00000', which is not the name of one image"),
        ({"cat/00000": {"1": POINTS}}, "like 'bear/00000'"),
        ({"bear/00000": {"3": POINTS}}, "object 3 of 'bear/00000', which is not among those to evaluate"),
        ({"bear/00000": [POINTS]}, r"at bear/00000: .*; expected annotations\.json"),
        ({"bear/00000": {"1": [[1, 2, 3]]}}, "at bear/00000 → 1 → 0"),
        ({"bear/00000": {"1": [["left", 3]]}}, "at bear/00000 → 1 → 0 → 0"),
        ('{"bear/00000": {"1": [[NaN, 3]]}}', "at bear/00000 → 1 → 0 → 0"),
        ([1], "at the whole"),
        ({}, "no clicks in"),
        ({"bear/00000": {}}, "no clicks in"),
        ("{", "not valid JSON"),
        ({"format": "dextr-vos annotations", "version": 9}, "version 9"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, content, words):
    path = write(tmp_path / "h.json", content)
    with pytest.raises(InputError, match=words) as fault:
        read_human_clicks(path, REFS)
    assert "\n" not in str(fault.value)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_human_clicks(tmp_path / "h.json", REFS)
