import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dextr_vos.evaluation.interactive import (
    VOLUME_THRESHOLDS,
    ClickScores,
    ObjectResult,
    error_rates,
    mask_iou,
    summarize,
    terminal_table,
    write_objects,
    write_summary,
)

NOTHING = np.zeros((20, 30), dtype=bool)


def block(y, x, height, width):
    mask = NOTHING.copy()
    mask[y : y + height, x : x + width] = True
    return mask


def result(iou, category="cat", **more):
    plain = {"image": "p", "object_id": 1, "area": 50, "error": 0.1, "error_in_box": 0.2}
    return ObjectResult(category=category, iou=iou, **{**plain, **more})


def test_perfect_mask():
    truth = block(5, 5, 8, 9)
    assert mask_iou(truth, truth, NOTHING) == 1.0
    assert error_rates(truth, truth, NOTHING) == (0.0, 0.0)


def test_void_counts_neither_way():
    truth, mask = block(5, 5, 8, 10), block(5, 10, 8, 10)
    assert mask_iou(mask, truth, NOTHING) == 40 / 120
    surplus_is_void = block(5, 15, 8, 5)
    assert mask_iou(mask, truth, surplus_is_void) == 40 / 80
    assert error_rates(mask, truth, surplus_is_void) == (40 / 560, 40 / 80)


def test_error_of_a_mask_beyond_the_box_counts_in_the_image_alone():
    truth = block(5, 5, 4, 5)
    assert error_rates(truth | block(15, 20, 2, 3), truth, NOTHING) == (6 / 600, 0.0)


def test_everything_wrong_in_the_box():
    truth = block(5, 5, 4, 5)
    assert error_rates(NOTHING, truth, NOTHING) == (20 / 600, 1.0)


def test_objects_and_groups_weigh_alike():
    summary = summarize([result(0.9), result(0.7), result(0.8), result(0.2, "dog", error=0.5)])
    assert summary.overall.iou == pytest.approx(0.65)
    assert summary.group_mean.iou == pytest.approx((0.8 + 0.2) / 2)
    assert {name: group.objects for name, group in summary.groups.items()} == {"cat": 3, "dog": 1}
    assert summary.overall.error == pytest.approx(0.2)
    assert summary.group_mean.error == pytest.approx(0.3)


def test_apr_is_the_share_above_averaged_over_categories():
    """As in the release: cat 2 of 3 above 0.7 (0.7 itself is not), dog none."""
    scores = summarize([result(0.9), result(0.7), result(0.8), result(0.2, "dog")]).group_mean
    assert scores.above_50 == pytest.approx((1 + 0) / 2)
    assert scores.above_70 == pytest.approx((2 / 3 + 0) / 2)


@pytest.mark.parametrize(("iou", "volume"), [(1.0, 1.0), (0.95, 1.0), (0.55, 5 / 9), (0.1, 0.0), (0.0, 0.0)])
def test_volume_is_the_share_of_thresholds_below(iou, volume):
    assert len(VOLUME_THRESHOLDS) == 9
    assert summarize([result(iou)]).overall.volume == pytest.approx(volume)


def test_clicks_never_enough_count_the_limit():
    results = [result(0.9, noc={0.85: 4, 0.9: 5}), result(0.3, noc={0.85: 7, 0.9: None})]
    scores = summarize(results, max_clicks=20).overall
    assert scores.noc == {0.85: 5.5, 0.9: 12.5}
    assert scores.failure_rate == {0.85: 0.0, 0.9: 0.5}


def test_without_extra_clicks_and_people_nothing_is_made_up():
    scores = summarize([result(0.9)]).overall
    assert scores == ClickScores(1, 0.9, 1.0, 1.0, pytest.approx(8 / 9), 0.1, 0.2, {}, {}, {}, None)


def test_people_are_averaged_over_their_objects():
    scores = summarize([result(0.9, human_iou=0.8), result(0.5, "dog", human_iou=0.6)])
    assert scores.overall.human_iou == pytest.approx(0.7)
    assert scores.groups["dog"].human_iou == 0.6


def test_a_curve_keeps_the_last_iou_of_an_object_that_is_done():
    scores = summarize(FULL)
    assert scores.overall.curve == pytest.approx({4: 0.65, 5: 0.75, 6: 0.875})
    assert scores.groups["cat"].curve == {4: 0.9}
    assert scores.group_mean.curve == pytest.approx({4: 0.65, 5: 0.75, 6: 0.875})
    assert summarize(PLAIN).overall.curve == {}


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one result"):
        summarize([])


PLAIN = [
    ObjectResult("a", 0, "cat", 50, 0.9, 0.01, 0.02),
    ObjectResult("b, c", 1, "dog", 60, 0.4, 0.03, 0.04),
]
FULL = [
    ObjectResult("a", 0, "cat", 50, 0.9, 0.01, 0.02, {0.85: 4, 0.9: 4}, 4, (0.9,), 0.8),
    ObjectResult("b", 1, "dog", 60, 0.4, 0.03, 0.04, {0.85: 9, 0.9: None}, 4, (0.4, 0.6, 0.85), 0.5),
]


def printed(summary, *groups):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal_table(summary, *groups))
    return console.export_text()


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_table_has_a_row_a_group_and_both_means():
    text = printed(summarize(PLAIN))
    for words in ("cat", "dog", "mean of categories", "mean of objects", "0.650", "wrong pixels: 2.00%"):
        assert words in text
    assert "human" not in text
    assert "NoC" not in text


def test_table_fits_80_columns_with_everything_in_it():
    text = printed(summarize(FULL, 20), ("clip", "clips"))
    assert "human" in text
    assert "@85" in text
    assert "IoU of 90% not reached by 50.0% of objects" in text
    assert "…" not in text
    assert "mean of clips" in text


def test_a_row_an_object(tmp_path):
    write_objects(tmp_path / "objects.csv", PLAIN)
    first, second = rows(tmp_path / "objects.csv")
    assert first == {
        "image": "a",
        "object": "1",
        "category": "cat",
        "area": "50",
        "iou": "0.900000",
        "error_percent": "1.000000",
        "error_in_box_percent": "2.000000",
    }
    assert second["image"] == "b, c"


def test_clicks_and_people_have_columns_when_there_are_any(tmp_path):
    write_objects(tmp_path / "objects.csv", FULL)
    first, second = rows(tmp_path / "objects.csv")
    assert (first["noc_85"], first["noc_90"], first["human_iou"]) == ("4", "4", "0.800000")
    assert (second["noc_85"], second["noc_90"]) == ("9", "")


def test_summary_holds_all_figures_and_what_was_asked(tmp_path):
    write_summary(tmp_path / "summary.json", summarize(FULL, 20), {"options": {"root": Path("/data")}})
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["options"] == {"root": "/data"}
    assert content["overall"]["noc"] == {"0.85": 6.5, "0.9": 12.0}
    assert content["groups"]["dog"]["iou"] == 0.4
    assert content["group_mean"]["objects"] == 2
