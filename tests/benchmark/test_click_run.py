import json

import pytest
from tiny_benchmark import write_davis
from tiny_run import stop_after

from dextr_vos.benchmark import click_run
from dextr_vos.benchmark.click_run import is_complete, plan_clicks, read_results, run_clicks
from dextr_vos.benchmark.click_settings import ClickEvaluationSettings
from dextr_vos.benchmark.report.clicks import write_clicks_report
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.folder_lock import FolderLock


def settings_of(root, **changes):
    values = {
        "datasets": [{"name": "DAVIS", "kind": "davis", "root": root, "every": 1}],
        "models": [{"name": "GrabCut", "model": "grabcut"}],
        "jitter_px": [0, 3],
        "extra_clicks": False,
    }
    return ClickEvaluationSettings.model_validate(values | changes)


@pytest.fixture
def root(tmp_path):
    return write_davis(tmp_path / "davis", {"bear": 3, "dog": 4})


@pytest.fixture
def settings(root):
    """Two cells of seven objects."""
    return settings_of(root)


def run(settings, out, stop_asked=lambda: False):
    cells = plan_clicks(settings, out.parent)
    return cells, run_clicks(settings, cells, out, lambda title: lambda done, total: None, stop_asked)


def table_of(out):
    write_clicks_report(out)
    return (out / "table.csv").read_text()


def test_every_dataset_model_and_jitter_is_a_row_of_the_report(root, tmp_path):
    out = tmp_path / "out"
    settings = settings_of(root, extra_clicks=True, max_clicks=5)
    cells, failed = run(settings, out)
    assert (len(cells), len({cell.key for cell in cells}), failed) == (2, 2, {})
    page = write_clicks_report(out).read_text()
    assert "2 of 2 cells finished" in page
    assert "NoC<br>@85" in page
    assert "data:image/jpeg" in page
    table = (out / "table.csv").read_text().splitlines()
    assert table[0].startswith("dataset,model,jitter_px,image,object")
    assert len(table) == 1 + 2 * 7
    assert json.loads((cells[0].folder(out) / "summary.json").read_text())["overall"]["iou"] > 0.8


def test_a_stopped_run_resumes_and_ends_the_same(settings, tmp_path):
    run(settings, tmp_path / "whole")
    stops = 0
    while True:
        try:
            cells, _ = run(settings, tmp_path / "stopped", stop_after(2))
            break
        except Interrupted:
            stops += 1
    assert stops > 2
    assert table_of(tmp_path / "stopped") == table_of(tmp_path / "whole")
    for name in ("worst.jpg", "objects.jsonl"):
        one, other = (cells[1].folder(tmp_path / out) / name for out in ("whole", "stopped"))
        assert one.read_bytes() == other.read_bytes()


def test_a_stopped_cell_has_tables_of_what_is_done(settings, tmp_path):
    with pytest.raises(Interrupted, match="stopped after 3 of 7 objects of DAVIS, GrabCut"):
        run(settings, tmp_path / "out", stop_after(2))
    cell = plan_clicks(settings, tmp_path)[0]
    folder = cell.folder(tmp_path / "out")
    assert len((folder / "objects.csv").read_text().splitlines()) == 1 + 3
    assert not is_complete(folder, cell.key)
    assert json.loads((folder / "summary.json").read_text())["objects_in_all"] == 7
    assert "0 of 2 cells finished" in write_clicks_report(tmp_path / "out").read_text()


def test_a_line_cut_off_by_a_kill_is_evaluated_again(settings, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(settings, out, stop_after(2))
    (path,) = out.glob("cells/*/objects.jsonl")
    path.write_text(path.read_text()[:-9])
    cell = plan_clicks(settings, tmp_path)[0]
    assert len(read_results(path.parent, cell)) == 2
    run(settings, out)
    assert len(read_results(path.parent, cell)) == 7


def test_complete_cells_are_not_run_again(settings, tmp_path):
    out = tmp_path / "out"
    cells, _ = run(settings, out)
    stamps = [(cell.folder(out) / "summary.json").stat().st_mtime_ns for cell in cells]
    cells, failed = run(settings, out, stop_after(0))
    assert not failed
    assert [(cell.folder(out) / "summary.json").stat().st_mtime_ns for cell in cells] == stamps


def test_results_of_another_cell_in_the_folder_are_replaced(settings, tmp_path):
    first, second = plan_clicks(settings, tmp_path)
    for cell in (first, second):
        click_run.run_cell(settings, cell, tmp_path / "out")
        assert is_complete(tmp_path / "out", cell.key)
    assert read_results(tmp_path / "out", first) == []


def test_a_failed_cell_is_reported_and_the_others_are_run(root, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    models = [{"name": "broken", "model": "lite", "weights": broken}, {"name": "GrabCut", "model": "grabcut"}]
    _, failed = run(settings_of(root, models=models, jitter_px=[0]), tmp_path / "out")
    (error,) = failed.values()
    assert "broken.safetensors" in error
    page = write_clicks_report(tmp_path / "out").read_text()
    assert "1 of 2 cells finished" in page
    assert "DAVIS, broken: " in page


def test_people_stand_beside_simulated_clicks(root, tmp_path):
    points = [[8, 20], [25, 20], [15, 14], [15, 33]]
    human = tmp_path / "human.json"
    human.write_text(json.dumps({"bear/00000": {"1": points}}))
    data = {"name": "DAVIS", "kind": "davis", "root": root, "every": 1, "human": human}
    cells, _ = run(settings_of(root, datasets=[data]), tmp_path / "out")
    assert [len(cell.objects.refs) for cell in cells] == [1, 1]
    assert "people's clicks end" in write_clicks_report(tmp_path / "out").read_text()


def test_a_cell_that_another_process_works_on_is_waited_for(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(click_run, "_POLL_S", 0.01)
    out = tmp_path / "out"
    lock = FolderLock(plan_clicks(settings, tmp_path)[0].folder(out))
    lock.acquire()
    with pytest.raises(Interrupted, match="the same command resumes"):
        run(settings, out, stop_after(3))
    assert not list(out.glob("cells/*/objects.jsonl"))
    polls = []

    def other_ends():
        polls.append(1)
        if len(polls) == 3:
            lock.release()
        return False

    cells, failed = run(settings, out, other_ends)
    assert not failed
    assert all(is_complete(cell.folder(out), cell.key) for cell in cells)


@pytest.mark.parametrize("content", ["no json", '{"kind": "clicks", "cells": [{"set": "DAVIS"}]}'])
def test_an_evaluation_of_an_older_version_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="holds no evaluation of clicks"):
        write_clicks_report(tmp_path)
    (tmp_path / "clicks.json").write_text(content)
    with pytest.raises(InputError, match="of an older version; run dextr-vos benchmark again"):
        write_clicks_report(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"datasets": [{"name": "x", "kind": "voc"}]}, "needs its root"),
        ({"datasets": [{"name": "x", "kind": "folder"}]}, "needs its description"),
        ({"models": [{"name": "x", "model": "paper"}]}, "needs weights"),
    ],
)
def test_what_is_missing_is_refused_before_anything_is_run(root, tmp_path, changes, words):
    with pytest.raises(Exception, match=words):
        plan_clicks(settings_of(root, **changes), tmp_path)
