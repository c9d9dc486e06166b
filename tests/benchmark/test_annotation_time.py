from pathlib import Path

import pytest

from dextr_vos.annotation.annotations import (
    Annotations,
    KeyframeClicks,
    ObjectClicks,
    ObjectEntry,
    Point,
    load_annotations,
    save_annotations,
)
from dextr_vos.benchmark.annotation_time import (
    AnnotationTime,
    load_annotation_time,
    measured_annotation_time,
    object_seconds,
    save_annotation_time,
)
from dextr_vos.errors import InputError


def document(times, seconds=None, origin="human", **changes):
    """Annotations of one keyframe: by object the seconds at which it was clicked, and those recorded."""
    clicked = {
        object_id: ObjectClicks(
            points=tuple(
                Point(x=8 + at, y=20, time=f"2026-05-04T09:30:{at:06.3f}Z", origin=origin) for at in each
            ),
            made_by="lite",
            **changes,
        )
        for object_id, each in times.items()
    }
    return Annotations(
        objects=tuple(ObjectEntry(id=object_id, name=f"object {object_id}") for object_id in times),
        keyframes={"00000": KeyframeClicks(objects=clicked)},
        seconds={} if seconds is None else {"00000": seconds},
    )


def saved(path: Path, annotations: Annotations) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_annotations(path, annotations)
    assert load_annotations(path) == annotations
    return path


def test_the_times_of_the_paper_are_the_default():
    time = AnnotationTime()
    assert time.seconds("gt", 3) == 3 * 79
    assert time.seconds("dextr", 3) == time.seconds("grabcut", 3) == time.seconds("clicks", 3) == 22.5


def test_recorded_seconds_are_used_where_the_document_has_them(tmp_path):
    path = saved(tmp_path / "annotations.json", document({1: [0, 1, 2, 3], 2: [4, 5, 6, 7]}, {1: 42.0}))
    time = measured_annotation_time([path])
    assert (time.measured, time.click_s, time.median_s) == (2, 23.0, 23.0)
    only = saved(tmp_path / "one.json", document({1: [0, 1, 2, 3]}, {1: 42.0}))
    assert measured_annotation_time([only]).click_s == 42.0


def test_gaps_between_clicks_are_added_and_pauses_left_out():
    assert object_seconds(document({1: [0, 1, 3, 4], 2: [6, 7, 30, 31]})) == [4, 4]  # 1 + 2 + 1, 2 + 1 + 1


@pytest.mark.parametrize("changes", [{"origin": "file"}, {"origin": "simulated"}, {"painted": True}])
def test_only_clicks_of_people_that_made_the_mask_are_measured(tmp_path, changes):
    path = saved(tmp_path / "annotations.json", document({1: [0, 1, 2, 3]}, {1: 42.0}, **changes))
    with pytest.raises(InputError, match="no time can be measured"):
        measured_annotation_time([path])


def test_folders_are_searched_and_all_objects_averaged(tmp_path):
    saved(tmp_path / "x" / "annotations.json", document({1: [0, 1, 2, 3]}))
    saved(tmp_path / "y" / "z" / "annotations.json", document({1: [0, 1, 2, 3]}, {1: 9.0}))
    time = measured_annotation_time([tmp_path], draw_s=50)
    assert (time.click_s, time.median_s, time.measured, time.draw_s) == (6.0, 6.0, 2, 50)
    assert "mean of 2 measured" in str(time)
    save_annotation_time(tmp_path / "times.json", time)
    assert load_annotation_time(tmp_path / "times.json") == time


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "not an annotations file"),
        ('{"format": "dextr-vos annotations"}', "version None, expected 2"),
        ("no json", "not valid JSON"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        measured_annotation_time([path])


def test_a_folder_without_annotations_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no annotations\.json"):
        measured_annotation_time([tmp_path])
