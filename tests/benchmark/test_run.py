from dataclasses import replace

import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask
from PIL import Image
from tiny_benchmark import run_inline, tiny_settings, write_davis
from tiny_run import stop_after
from tiny_sam import thin_sam2

from dextr_vos.benchmark import run
from dextr_vos.benchmark.report.page import write_report
from dextr_vos.benchmark.table import read_table
from dextr_vos.errors import ConfigError, InputError, Interrupted
from dextr_vos.masks import write_labels

pytestmark = pytest.mark.usefixtures("narrow_lite", "one_thread")


@pytest.fixture
def root(tmp_path):
    return write_davis(tmp_path / "davis", {"bear": 4, "dog": 5})


def thin(root, **changes):
    return tiny_settings(root, parent={"lite": "none"}, **changes)


def test_grid_is_run_and_finished_cells_never_again(root, out):
    settings = thin(root, clips=("dog",), supervision=("gt", "grabcut"))
    grid = run_inline(settings, out)
    assert not any(entry.error for entry in grid.cells)
    rows = read_table(out)
    assert len(rows) == 5 * 2 * 2
    scored = [row for row in rows if row["scored"]]
    assert len(scored) == 3 * 2 * 2
    assert all(0 <= row["jf"] <= 1 and 0 <= row["confidence"] <= 1 for row in scored)
    first = next(row for row in rows if row["supervision"] == "gt" and row["keyframes"] == 2)
    assert (first["keyframe"], first["keyframe_iou"], first["people_s"]) == (1, 1.0, 158.0)
    assert {row["people_s"] for row in rows if row["supervision"] == "grabcut"} == {7.5, 15.0}
    assert not list(out.glob("cells/*/work"))
    assert not list(out.glob("cells/*/state.json"))
    before = (out / "table.csv").read_bytes()
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/result.json")}
    run_inline(settings, out)
    assert (out / "table.csv").read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_more_cells_reuse_finished_ones(root, out):
    few = run_inline(thin(root, clips=("bear",), supervision=("gt",), keyframes=(1,)), out)
    path = out / "cells" / few.cells[0].key / "result.json"
    stamp = path.stat().st_mtime_ns
    more = run_inline(thin(root, clips=("bear",), supervision=("gt",)), out)
    assert more.cells[0].key == few.cells[0].key
    assert path.stat().st_mtime_ns == stamp


def test_suggested_frames_are_annotated_one_after_the_other(root, out):
    settings = thin(root, clips=("dog",), supervision=("gt",), keyframes=(1, 3), choose=("even", "suggest"))
    grid = run_inline(settings, out)
    results = run.results_of(out, grid)
    assert [(one.cell.choose, len(one.keyframes)) for one in results] == [
        ("even", 1),
        ("suggest", 1),
        ("even", 3),
        ("suggest", 3),
    ]
    assert results[3].keyframes[0] == "00000"
    assert results[0].key == results[1].key


def test_a_cell_stopped_in_the_middle_ends_like_one_that_was_not(root, tmp_path):
    settings = thin(root, clips=("dog",), supervision=("grabcut",), keyframes=(3,), choose=("suggest",))
    whole = run_inline(settings, tmp_path / "whole")
    stops = 0
    while True:
        try:
            run_inline(settings, tmp_path / "stopped", stop_after(3))
            break
        except Interrupted:
            stops += 1
    assert stops > 2
    one, other = (run.results_of(tmp_path / name, whole)[0] for name in ("whole", "stopped"))
    assert one.objects == other.objects
    assert one.keyframes == other.keyframes


def test_sam2_is_stopped_and_ends_like_one_that_was_not(root, tmp_path, monkeypatch):
    checkpoint = thin_sam2(tmp_path, monkeypatch)
    settings = tiny_settings(
        root,
        clips=("dog",),
        keyframes=(2,),
        models=("sam2",),
        parent={"sam2": str(checkpoint)},
        clicks={"model": "sam2", "weights": checkpoint},
    )
    whole = run_inline(settings, tmp_path / "whole")
    assert not any(entry.error for entry in whole.cells)
    results = run.results_of(tmp_path / "whole", whole)
    assert [(one.cell.supervision, one.cell.model, one.steps) for one in results] == [
        ("gt", "sam2", 0),
        ("dextr", "sam2", 0),
    ]
    assert results[0].scored == ("00001", "00002", "00003")
    for calls in (1, 2, 4):  # each time more: frames before the first missing one are segmented again
        with pytest.raises(Interrupted):
            run_inline(settings, tmp_path / "stopped", stop_after(calls))
    run_inline(settings, tmp_path / "stopped")
    for one, other in zip(results, run.results_of(tmp_path / "stopped", whole), strict=True):
        assert one.objects == other.objects
        assert one.keyframe_iou == other.keyframe_iou


def test_a_failing_cell_is_reported_and_the_others_are_run(root, out):
    settings = thin(root, supervision=("gt",), keyframes=(1,))
    jobs = run.plan(settings, out)
    jobs[0].folder.path.mkdir(parents=True)
    jobs[0].folder.work.write_text("a file where a folder is to be made")
    grid = run_inline(settings, out, jobs=jobs)
    assert [bool(entry.error) for entry in grid.cells] == [True, False]
    assert "work" in grid.cells[0].error
    assert "Traceback" in jobs[0].folder.failure.read_text()
    assert {row["clip"] for row in read_table(out)} == {"dog"}
    jobs[0].folder.work.unlink()
    assert not any(entry.error for entry in run_inline(settings, out, jobs=jobs).cells)
    assert not jobs[0].folder.failure.exists()


def write_youtube_vos(part):
    """A clip of eight frames, every second one with a mask; object 2 comes with the second mask."""
    for index in range(8):
        frame, name = tiny_frame(index), f"0043f083b5/{index:05d}"
        frame[:12, :14] = (40, 90, 230)
        for folder in ("JPEGImages", "Annotations"):
            (part / folder / "0043f083b5").mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(part / "JPEGImages" / f"{name}.jpg")
        labels = tiny_mask(index)
        labels[:12, :14] = 2 if index >= 2 else 0
        if index % 2 == 0:
            write_labels(part / "Annotations" / f"{name}.png", labels)
    (part / "meta.json").write_text("{}")
    return part


@pytest.mark.parametrize("choose", ["even", "suggest"])
def test_clips_of_youtube_vos_are_scored_where_they_have_a_mask(tmp_path, out, choose):
    settings = thin(
        write_youtube_vos(tmp_path / "train"),
        supervision=("gt",),
        keyframes=(2,),
        choose=(choose,),
        year=None,
    )
    (job,) = run.plan(settings, out)
    assert not run_inline(settings, out, jobs=[job]).cells[0].error
    result = job.folder.read()
    assert result.scored == ("00002", "00004")
    assert set(result.keyframes) > {"00000", "00002"}  # where the objects first appear
    assert set(result.keyframes) <= {"00000", "00002", "00004", "00006"}
    assert [np.isnan(one.j).tolist() for one in result.objects] == [[False, False], [True, False]]
    rows = {(row["frame"], row["object"]): row["scored"] for row in read_table(out)}
    assert [rows[f"{index:05d}", 2] for index in range(8)] == [0, 0, 0, 0, 1, 0, 0, 0]
    assert "0043f083b5" in write_report(out).read_text()


def test_what_cannot_be_run_is_refused_before(root, out):
    with pytest.raises(InputError, match="at least 5 frames"):
        run.plan(thin(root, keyframes=(5,)), out)
    with pytest.raises(ConfigError, match=r"recipe\.lite: .*max_step"):
        run.plan(thin(root, recipe={"lite": {"max_step": 3}}), out)
    with pytest.raises(ConfigError, match="--davis-root"):
        run.plan(thin(None), out)
    with pytest.raises(InputError, match="no clip 'cat'"):
        run.plan(thin(root, clips=("cat",)), out)


@pytest.mark.parametrize("other", ["code", "frames"])
def test_a_worker_that_would_make_something_else_is_refused(root, out, other):
    settings = thin(root, clips=("bear",), supervision=("gt",), keyframes=(1,))
    (job,) = run.plan(settings, out)
    if other == "code":
        job = replace(job, code="0123")
    else:
        path = root / "JPEGImages" / "480p" / "bear" / "00001.jpg"
        path.write_bytes((root / "JPEGImages" / "480p" / "bear" / "00002.jpg").read_bytes())
    job.folder.work.mkdir(parents=True)
    with pytest.raises(InputError, match=f"the worker .*: it (runs|finds) other {other}"):
        run_inline(settings, out, jobs=[job])
    assert job.folder.work.exists()  # nothing that another worker made is lost
    assert job.folder.read() is None


def test_what_was_finished_stays_where_a_worker_is_refused(root, out):
    settings = thin(root, supervision=("gt",), keyframes=(1,))
    good, wrong = run.plan(settings, out)
    with pytest.raises(InputError, match="1 of 2 cells are finished"):
        run_inline(settings, out, jobs=[good, replace(wrong, code="0123")])
    assert {row["clip"] for row in read_table(out)} == {"bear"}
    assert not any(entry.error for entry in run_inline(settings, out).cells)
    assert {row["clip"] for row in read_table(out)} == {"bear", "dog"}
