import json
import re

import pytest
from made_results import result, write_results

from dextr_vos.benchmark.annotation_time import AnnotationTime
from dextr_vos.benchmark.grid import Cell
from dextr_vos.benchmark.report.cost import published
from dextr_vos.benchmark.report.page import write_report
from dextr_vos.benchmark.result import ObjectSeries
from dextr_vos.benchmark.run import every_cell
from dextr_vos.benchmark.table import COLUMNS, read_table
from dextr_vos.errors import InputError


@pytest.fixture
def folder(tmp_path):
    scores = {"gt": 0.9, "dextr": 0.8, "grabcut": 0.6}
    results = [
        result(clip, supervision, count, score + count / 50, official_difference=2e-16)
        for clip in ("bear", "dog")
        for supervision, score in scores.items()
        for count in (1, 3)
    ]
    lost = Cell(clip="<cat>", supervision="gt", keyframes=1, choose="even", model="lite", seed=0)
    return write_results(tmp_path / "out", results, {lost: "it <broke>"})


def test_the_page_holds_everything_and_loads_nothing(folder):
    text = write_report(folder).read_text()
    assert "12 of 13 cells finished" in text
    assert "<strong>within 10.0 points</strong>" in text
    assert text.count("<svg") == 6  # two curves, differences, keyframes, J over frames of two clips
    assert text.count("data:image/jpeg;base64,") == 2 * 3 * 2
    assert "it &lt;broke&gt;" in text
    assert "<cat>" not in text
    assert "2.0e-16 (12 cells)" in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert "prefers-color-scheme: dark" in text


def test_one_clip_has_no_interval_and_its_sentence_is_there_once(tmp_path):
    results = [result("bear", "gt", 1, 0.9), result("bear", "dextr", 1, 0.8)]
    text = write_report(write_results(tmp_path / "out", results)).read_text()
    assert text.count("DEXTR masks of four simulated clicks come") == 1
    assert "one clip, so without an interval" in text
    assert "95 % interval over" not in text
    assert "80.0 … 80.0" not in text
    assert "−10.0 … −10.0" not in text
    assert "Every other pair" not in text, "there is none"


def test_published_curves_are_drawn_with_their_source(folder):
    text = write_report(folder).read_text()
    assert "CVPR 2018" in text
    assert text.count('class="dotted"') == 2 * len(published().curves) == 4
    assert published().curves[0].points[0] == (79, 77.4)


def test_other_times_move_the_curves_and_are_kept(folder):
    assert "7.5 s of a person" in write_report(folder).read_text()
    write_report(folder, AnnotationTime(click_s=20, measured=4, median_s=19))
    text = write_report(folder).read_text()
    assert "20 s of a person" in text
    assert "mean of 4 measured" in text
    rows = read_table(folder)
    assert {row["people_s"] for row in rows if row["supervision"] == "dextr"} == {20.0, 60.0}


def test_the_table_has_a_row_a_frame_and_reads_back(folder):
    write_report(folder)
    rows = read_table(folder)
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 12 * 6
    assert rows[0]["jf"] is None
    assert rows[1]["jf"] == pytest.approx(0.92)
    assert rows[0]["keyframe_iou"] == 1.0
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    assert parquet.read_table(folder / "table.parquet").num_rows == len(rows)


def test_a_run_that_has_only_begun_has_a_page_too(tmp_path):
    cell = Cell(clip="bear", supervision="gt", keyframes=1, choose="even", model="lite", seed=0)
    out = write_results(tmp_path / "out", [], {cell: ""})
    assert "No cell is finished yet" in write_report(out).read_text()
    write_results(out, [result("bear", "dextr", 1, 0.5)])
    assert "1 of 1 cell finished" in write_report(out).read_text()


def test_cells_of_earlier_grids_are_shown_when_asked_for(tmp_path):
    out = tmp_path / "out"
    write_results(out, [result("bear", "gt", 1, 0.9), result("bear", "dextr", 1, 0.8)])
    suggested = result("bear", "gt", 3, 0.95)
    cell = suggested.cell.model_copy(update={"choose": "suggest"})
    write_results(out, [suggested.model_copy(update={"cell": cell})])
    assert "1 of 1 cell" in write_report(out).read_text()
    assert "different" not in write_report(out).read_text()
    text = write_report(out, everything=True).read_text()
    assert "4 of 4 cells" in text  # one keyframe is both even and as suggested
    assert "drawn masks (suggested)" in text


def test_of_several_results_of_a_cell_the_newest_is_shown(tmp_path):
    out = tmp_path / "out"
    write_results(out, [result("bear", "gt", 1, 0.5)])
    newer = result("bear", "gt", 1, 0.9)
    for key in ("0" * 24, "f" * 24):  # whatever the keys
        write_results(out, [newer.model_copy(update={"key": key})])
        grid = every_cell(out)
        assert [entry.key for entry in grid.cells] == [key]


def test_a_warning_where_points_are_means_over_different_clips(tmp_path):
    results = [result("bear", "gt", 1, 0.9), result("dog", "gt", 1, 0.8), result("bear", "gt", 3, 0.9)]
    assert (
        "Not every point is the mean over the same clips"
        in write_report(write_results(tmp_path / "out", results)).read_text()
    )


def test_a_folder_without_benchmark_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no benchmark"):
        write_report(tmp_path)


def test_results_of_version_1_open(tmp_path):
    lost = Cell(clip="cat", supervision="gt", keyframes=1, choose="even", model="lite", seed=0)
    out = write_results(tmp_path / "out", [result("bear", "gt", 1, 0.9)], {lost: "it broke"})
    for path in (out / "grid.json", *out.glob("cells/*/result.json")):
        older = json.loads(path.read_text())
        older.pop("model", None)
        for cell in [older["cell"]] if "cell" in older else [entry["cell"] for entry in older["cells"]]:
            cell["network"] = {"lite": "osvos"}[cell.pop("model")]
        for entry in older.get("cells", []):
            entry["fault"] = entry.pop("error")
        path.write_text(json.dumps(older | {"version": 1}))
    text = write_report(out).read_text()
    assert "it broke" in text
    assert {row["model"] for row in read_table(out)} == {"paper"}


def test_the_page_says_how_far_confidence_is_off(tmp_path):
    series = ObjectSeries(object=1, j=(0.5,) * 4, f=(0.5,) * 4, confidence=(0.7,) * 4)
    out = write_results(tmp_path / "out", [result("bear", "gt", 1, 0.5, objects=(series,))])
    text = write_report(out).read_text()
    assert "<h2>Confidence</h2>" in text
    assert "<strong>0.200</strong>" in text
    assert "4 of 4" in text
    assert (
        "<h2>Confidence</h2>"
        not in write_report(write_results(tmp_path / "older", [result("bear", "gt", 1, 0.5)])).read_text()
    )
