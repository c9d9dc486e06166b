"""The seconds of a cell, which are kept over interruptions."""

import json

import pytest

from dextr_vos.benchmark.result import PHASES, Stopwatch, share_done


def test_seconds_and_share_are_kept(tmp_path):
    path = tmp_path / "times.json"
    path.write_text(json.dumps({"seconds": dict.fromkeys(PHASES, 2.5), "share": 0.5}))
    watch = Stopwatch(path)
    assert watch.seconds == dict.fromkeys(PHASES, 2.5)
    assert share_done(path) == 0.5
    watch.tick("segment", 0.75)
    watch.write()
    assert Stopwatch(path).seconds["segment"] >= 2.5
    assert share_done(path) == 0.75


@pytest.mark.parametrize("value", ["1" + "0" * 400, "null", '"a"', "[]", ""])
def test_damaged_times_start_at_0(tmp_path, value):
    path = tmp_path / "times.json"
    seconds = ", ".join(f'"{name}": {value}' for name in PHASES)
    path.write_text(f'{{"seconds": {{{seconds}}}, "share": {value}}}')
    assert Stopwatch(path).seconds == dict.fromkeys(PHASES, 0.0)
    assert share_done(path) == 0.0
