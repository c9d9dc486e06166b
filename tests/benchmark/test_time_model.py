import json

import pytest

from dextr_vos.benchmark.time_model import TimeModel, measured_times, object_seconds
from dextr_vos.errors import InputError


def document(path, objects, origin="human"):
    """`annotations.json` of one keyframe: per object the seconds of its clicks, and perhaps its `seconds`."""
    content = {
        "format": "dextr-vos annotations",
        "version": 1,
        "objects": [],
        "keyframes": {
            "00000": {
                "objects": {
                    number: {
                        "points": [
                            {"x": 1, "y": 1, "time": f"2026-05-04T09:30:{at:06.3f}Z", "origin": origin}
                            for at in times
                        ],
                        **({} if told is None else {"seconds": told}),
                    }
                    for number, (times, told) in objects.items()
                }
            }
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_the_paper_s_times_are_the_default():
    times = TimeModel()
    assert times.seconds("gt", 3) == 3 * 79
    assert times.seconds("dextr", 3) == times.seconds("grabcut", 3) == times.seconds("clicks", 3) == 22.5


def test_gaps_between_clicks_are_added_and_long_ones_left_out(tmp_path):
    path = document(tmp_path / "a.json", {"1": ([0, 1, 3, 4], None), "2": ([6, 7, 30, 31], None)})
    assert object_seconds(path) == [4.0, 4.0]  # 1 + 2 + 1, and 2 + 1 + (23 left out) + 1


def test_seconds_that_the_document_tells_count_more_than_its_clicks(tmp_path):
    path = document(tmp_path / "a.json", {"1": ([0, 1, 2, 3], 6.5), "2": ([4, 5, 6, 7], None)})
    assert sorted(object_seconds(path)) == [4.0, 6.5]


def test_only_people_take_time(tmp_path):
    path = document(tmp_path / "a.json", {"1": ([0, 1, 2, 3], None)}, origin="file")
    with pytest.raises(InputError, match="no time can be told"):
        measured_times([path])


def test_folders_are_searched_and_all_objects_averaged(tmp_path):
    document(tmp_path / "x" / "annotations.json", {"1": ([0, 1, 2, 3], None)})
    document(tmp_path / "y" / "z" / "annotations.json", {"1": ([0, 1, 2, 3], 9.0)})
    times = measured_times([tmp_path], draw_s=50)
    assert (times.click_s, times.median_s, times.measured, times.draw_s) == (6.0, 6.0, 2, 50)
    assert "mean of 2 measured" in str(times)


@pytest.mark.parametrize("content", ["[]", '{"format": "dextr-vos annotations"}', "no json"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError):
        measured_times([path])


def test_a_folder_without_documents_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no annotations\.json"):
        measured_times([tmp_path])
