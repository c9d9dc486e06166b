import csv
import io
import json
from pathlib import Path

from rich.console import Console

from dextr_vos.evaluation.interactive import (
    ObjectResult,
    summarize,
    terminal_table,
    write_objects,
    write_summary,
)

PLAIN = [
    ObjectResult("a", 0, "cat", 50, 0.9, 0.01, 0.02),
    ObjectResult("b, c", 1, "dog", 60, 0.4, 0.03, 0.04),
]
FULL = [
    ObjectResult("a", 0, "cat", 50, 0.9, 0.01, 0.02, {0.85: 4, 0.9: 4}, 0.8),
    ObjectResult("b", 1, "dog", 60, 0.4, 0.03, 0.04, {0.85: 9, 0.9: None}, 0.5),
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
