import json
from contextlib import contextmanager

import pytest
from tiny_benchmark import write_davis
from tiny_run import Squares, stop_after

from dextr_vos.benchmark import clicks_run
from dextr_vos.benchmark.clicks_run import plan_clicks, run_clicks
from dextr_vos.benchmark.clicks_settings import ClicksBenchmarkSettings
from dextr_vos.benchmark.report.clicks import write_clicks_report
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.folder_lock import FolderLock


@pytest.fixture(autouse=True)
def squares(monkeypatch):
    monkeypatch.setattr(clicks_run, "make_segmenter", lambda *_: Squares())


@pytest.fixture
def settings(tmp_path):
    root = write_davis(tmp_path / "davis", {"bear": 4, "dog": 5})
    return ClicksBenchmarkSettings.model_validate(
        {
            "kind": "clicks",
            "sets": [{"name": "DAVIS", "kind": "davis", "root": root, "every": 1}],
            "engines": [{"name": "lite", "engine": "lite"}, {"name": "GrabCut", "engine": "grabcut"}],
            "jitter_px": [0, 3],
            "clicks_limit": 5,
        }
    )


def run(settings, out, stop_asked=lambda: False):
    cells = plan_clicks(settings, out.parent)
    return cells, run_clicks(settings, cells, out, lambda title: lambda done, total: None, stop_asked)


def test_every_set_engine_and_jitter_is_a_row_of_the_report(settings, tmp_path):
    out = tmp_path / "out"
    cells, failed = run(settings, out)
    assert (len(cells), len({cell.key for cell in cells}), failed) == (4, 4, {})
    page = write_clicks_report(out).read_text()
    assert "4 of 4 cells finished" in page
    assert "clicks<br>to 85%" in page
    assert "data:image/jpeg" in page
    table = (out / "table.csv").read_text().splitlines()
    assert table[0].startswith("set,engine,jitter_px,picture,object")
    assert len(table) == 1 + 4 * 9


def test_a_stopped_run_goes_on_and_ends_the_same(settings, tmp_path):
    _, whole = run(settings, tmp_path / "whole")[0], write_clicks_report(tmp_path / "whole")
    stops = 0
    while True:
        try:
            run(settings, tmp_path / "stopped", stop_after(4))
            break
        except Interrupted:
            stops += 1
    assert stops > 4
    write_clicks_report(tmp_path / "stopped")
    assert (tmp_path / "stopped" / "table.csv").read_text() == (whole.parent / "table.csv").read_text()
    assert not list(tmp_path.glob("stopped/cells/*/progress.jsonl"))


def test_a_line_cut_off_by_a_kill_is_done_again(settings, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(settings, out, stop_after(2))
    (progress,) = out.glob("cells/*/progress.jsonl")
    whole = progress.read_text()
    progress.write_text(whole[:-9])
    run(settings, out)
    assert len((progress.parent / "objects.csv").read_text().splitlines()) == 1 + 9


def test_a_failing_cell_is_told_and_the_others_go_on(settings, tmp_path, monkeypatch):
    def broken(engine, *_):
        if engine == "grabcut":
            raise InputError("it does not work")
        return Squares()

    monkeypatch.setattr(clicks_run, "make_segmenter", broken)
    _, failed = run(settings, tmp_path / "out")
    assert set(failed.values()) == {"it does not work"}
    page = write_clicks_report(tmp_path / "out").read_text()
    assert "2 of 4 cells finished" in page
    assert "it does not work" in page


def test_people_stand_beside_simulated_clicks(settings, tmp_path):
    points = [[8, 20], [25, 20], [15, 14], [15, 33]]
    human = tmp_path / "human.json"
    human.write_text(json.dumps({"bear/00000": {"1": points}}))
    one = settings.sets[0].model_copy(update={"human": human})
    cells, _ = run(settings.model_copy(update={"sets": (one,)}), tmp_path / "out")
    assert [len(cell.objects.refs) for cell in cells] == [1] * 4
    assert "people's clicks end" in write_clicks_report(tmp_path / "out").read_text()


def test_a_cell_that_another_process_works_on_is_waited_for(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(clicks_run, "_POLL_S", 0.01)
    out = tmp_path / "out"
    first = plan_clicks(settings, tmp_path)[0].folder(out)
    first.mkdir(parents=True)
    lock = FolderLock(first)
    lock.acquire()
    with pytest.raises(Interrupted, match="the same command resumes"):
        run(settings, out, stop_after(3))
    assert not list(out.glob("cells/*/progress.jsonl"))
    looks = []

    def other_ends():
        looks.append(1)
        if len(looks) == 3:
            lock.release()
        return False

    cells, failed = run(settings, out, other_ends)
    assert not failed
    assert all((cell.folder(out) / "summary.json").exists() for cell in cells)
    assert len(looks) > 3


def test_what_another_process_has_finished_is_taken(settings, tmp_path, monkeypatch):
    out = tmp_path / "out"
    cells = plan_clicks(settings, tmp_path)
    claimed = clicks_run._claimed

    @contextmanager
    def just_finished(folder, stop_asked):
        with claimed(folder, stop_asked):
            (folder / "summary.json").write_text("{}")
            yield

    monkeypatch.setattr(clicks_run, "_claimed", just_finished)
    _, failed = run(settings, out)
    assert not failed
    assert not list(out.glob("cells/*/progress.jsonl"))
    assert all((cell.folder(out) / "summary.json").read_text() == "{}" for cell in cells)
