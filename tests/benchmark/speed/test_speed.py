import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from tiny_benchmark import write_davis
from tiny_sam import thin_sam2

from dextr_vos.benchmark.speed import stages
from dextr_vos.benchmark.speed.report import SpeedReport, terminal_report
from dextr_vos.benchmark.speed.scoring import scoring_masks, scoring_workloads
from dextr_vos.benchmark.speed.stages import PlainComparison, SpeedInput, compare_with_plain, stage_workloads
from dextr_vos.benchmark.speed.timing import Timing, Workload, time_workloads
from dextr_vos.cli.main import main

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SMALL = (96, 128)


def test_things_take_turns_after_a_first_run_that_does_not_count():
    done, calls = [], []
    workloads = [Workload("part", name, "", lambda name=name: done.append(name), 2) for name in "ab"]
    timings = time_workloads(workloads, 2, CPU, lambda *run: calls.append(run))
    assert done == list("ababab")
    assert calls == [(run, 6) for run in range(1, 7)]
    assert [timing.name for timing in timings] == ["a", "b"]
    assert all(0 < timing.min_s <= timing.median_s <= timing.max_s for timing in timings)


def test_the_lite_model_has_its_parts():
    workloads = stage_workloads("lite", SpeedInput.rendered(SMALL), CPU)
    assert {workload.part for workload in workloads} == {
        "clicks to mask",
        "correction of a mask",
        "segmenting a frame",
        "fine-tuning step",
    }
    timings = time_workloads(workloads, 1, CPU)
    assert len({(timing.part, timing.name) for timing in timings}) == len(workloads) == 6


def test_sam2_has_its_parts(tmp_path, monkeypatch):
    checkpoint = thin_sam2(tmp_path, monkeypatch)
    frames = SpeedInput.rendered(SMALL)
    for weights in (checkpoint, None):
        workloads = stage_workloads("sam2", frames, CPU, weights)
        assert [workload.part for workload in workloads] == [
            "clicks to mask",
            "correction of a mask",
            "segmenting a frame",
        ]
        assert all(timing.min_s > 0 for timing in time_workloads(workloads, 1, CPU))


@pytest.mark.slow
def test_the_paper_model_has_its_parts_and_a_plain_twin(narrow_osvos, narrow_dextr, monkeypatch):
    monkeypatch.setattr(stages, "Dextr", lambda: _thin_dextr())
    frames = SpeedInput.rendered(SMALL)
    assert len(time_workloads(stage_workloads("paper", frames, CPU), 1, CPU)) == 3
    for one in compare_with_plain(frames, CPU, 1):
        assert one.ratio > 0
        assert one.iou >= 0.995


def _thin_dextr():
    from dextr_vos.networks.dextr import Dextr

    return Dextr(blocks=(1, 1, 1, 1))


def test_scoring_is_timed_on_masks_that_both_scorers_read():
    with scoring_masks(None, None, SMALL) as scoring:
        workloads, difference = scoring_workloads(scoring)
        assert [workload.units for workload in workloads] == [38] * len(workloads)
        (scores,) = scoring.ours()
        assert 0 < scores.j.mean() < 1
        assert difference is None or difference < 1e-6


def test_the_report_shows_milliseconds_and_how_much_faster_it_is():
    timing = Timing("part", "work", "fp32", 0.25, 0.2, 0.5)
    made = SpeedReport("cpu", 2, 3, [timing], None, [PlainComparison("network", "fp32", 1.0, 2.0, 1.0)])
    table, sentence = terminal_report(made)
    assert [list(column.cells) for column in table.columns[3:]] == [["250"], ["200"], ["500"]]
    assert "2.00 times as fast" in sentence
    assert made.as_json()["against_plain"][0]["ratio"] == 2.0


def test_the_command_times_scoring_on_given_masks(tmp_path):
    root = write_davis(tmp_path / "davis", {"bear": 4})
    results = tmp_path / "results" / "bear"
    shutil.copytree(root / "Annotations" / "480p" / "bear", results)
    out = tmp_path / "speed.json"
    options = ["--part", "scoring", "--davis-root", str(root), "--results", str(results.parent)]
    options += ["--device", "cpu", "--repeats", "2", "--json", str(out)]
    done = CliRunner().invoke(main, ["speed", *options])
    assert done.exit_code == 0, done.output
    assert "scoring a frame" in done.output
    written = json.loads(out.read_text())
    assert written["timings"][0]["name"] == "dextr-vos, files read"
    assert 0 < written["timings"][0]["min_s"] <= written["timings"][0]["max_s"]
    assert (written["device"], written["repeats"]) == ("cpu", 2)


@pytest.mark.parametrize(
    "options",
    [
        ["--davis-root", "x"],
        ["--davis-root", "x", "--results", "y"],
        ["--repeats", "0"],
        ["--weights", "x.pt"],
        ["--weights", "x.pt", "--model", "sam2", "--part", "scoring"],
    ],
)
def test_options_that_do_not_go_together_are_refused(options):
    assert CliRunner().invoke(main, ["speed", *options]).exit_code == 2
