import json

import pytest
import torch
from click.testing import CliRunner

from dextr_vos.benchmark.speed import report, stages
from dextr_vos.benchmark.speed.scoring import scoring_masks, scoring_things
from dextr_vos.benchmark.speed.stages import Against, Footage, stage_things
from dextr_vos.benchmark.speed.timing import Thing, Timing, timed
from dextr_vos.cli.main import main

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SMALL = (96, 128)


def test_things_take_turns_after_a_first_run_that_does_not_count():
    done, told = [], []
    things = [Thing("part", name, "", lambda name=name: done.append(name), 2) for name in "ab"]
    timings = timed(things, 2, CPU, lambda *run: told.append(run))
    assert done == list("ababab")
    assert told == [(run, 6) for run in range(1, 7)]
    assert [timing.name for timing in timings] == ["a", "b"]
    assert all(0 < timing.least_s <= timing.median_s <= timing.most_s for timing in timings)


def test_the_lite_tier_has_its_parts():
    things = stage_things("lite", Footage.rendered(SMALL), CPU)
    assert {thing.part for thing in things} == {"clicks to mask", "segmenting a frame", "fine-tuning step"}
    timings = timed(things, 1, CPU)
    assert len({(timing.part, timing.name) for timing in timings}) == len(things) == 5


@pytest.mark.slow
def test_the_paper_tier_has_its_parts_and_a_plain_twin(narrow_osvos, monkeypatch):
    monkeypatch.setattr(stages, "Dextr", lambda: _thin_dextr())
    footage = Footage.rendered(SMALL)
    assert len(timed(stage_things("paper", footage, CPU), 1, CPU)) == 3
    from dextr_vos.benchmark.speed.stages import against_plain

    for one in against_plain(footage, CPU, 1):
        assert one.ratio > 0
        assert one.iou >= 0.995


def _thin_dextr():
    from dextr_vos.networks.dextr import Dextr

    return Dextr(blocks=(1, 1, 1, 1))


def test_scoring_is_timed_on_masks_that_both_scorers_read():
    with scoring_masks(None, None, SMALL) as scoring:
        things, difference = scoring_things(scoring)
        assert [thing.units for thing in things] == [38] * len(things)
        (scores,) = scoring.ours()
        assert 0 < scores.j.mean() < 1
        assert difference is None or difference < 1e-6


def test_the_command_writes_its_figures(monkeypatch, tmp_path):
    timing = Timing("part", "thing", "fp32", 0.25, 0.2, 0.5)
    against = Against("network", "fp32", 1.0, 2.0, 1.0)
    made = report.SpeedReport("cpu", 2, 3, [timing], None, [against])
    monkeypatch.setattr(report, "measure", lambda *_: made)
    out = tmp_path / "speed.json"
    result = CliRunner().invoke(main, ["speed", "--device", "cpu", "--repeats", "3", "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert "250" in result.output
    assert "2.00 times" in " ".join(result.output.split())
    written = json.loads(out.read_text())
    assert written["timings"][0]["median_s"] == 0.25
    assert written["against"][0]["ratio"] == 2.0
    assert (written["device"], written["runs"]) == ("cpu", 3)


@pytest.mark.parametrize(
    "options", [["--davis-root", "x"], ["--davis-root", "x", "--results", "y"], ["--repeats", "0"]]
)
def test_options_that_do_not_go_together_are_refused(options):
    assert CliRunner().invoke(main, ["speed", *options]).exit_code == 2
