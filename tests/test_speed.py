import json

import pytest
import torch
from click.testing import CliRunner

from dextr_vos import speed
from dextr_vos.cli.main import main

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_thing_is_timed_and_told(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "SIZE_HW", (96, 128))
    told = []
    timings = speed.measure(torch.device("cpu"), 2, lambda *run: told.append(run))
    assert told == [(run, 15) for run in range(1, 16)]
    assert len({timing.name for timing in timings}) == 5
    assert all(0 < timing.least_s <= timing.median_s <= timing.most_s for timing in timings)


def test_the_command_writes_its_figures(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "measure", lambda *_: [speed.Timing("thing", 0.25, 0.2, 0.5)])
    out = tmp_path / "speed.json"
    result = CliRunner().invoke(main, ["speed", "--device", "cpu", "--runs", "3", "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert "250" in result.output
    written = json.loads(out.read_text())
    assert written["timings"] == [{"name": "thing", "median_s": 0.25, "least_s": 0.2, "most_s": 0.5}]
    assert (written["device"], written["runs"]) == ("cpu", 3)
