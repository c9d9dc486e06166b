"""A short part of the campaign, always the same: a few kills, failing disks, hostile requests and clients."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.torture

TESTS = Path(__file__).parents[1]


def test_a_few_kills_failing_disks_and_hostile_requests_find_nothing(tmp_path):
    # in a process without threads, which forks
    command = [sys.executable, str(TESTS / "torture" / "campaign.py"), "--short", "--seed", "3"]
    places = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, places))}
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], env=environment, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "0 faults" in done.stdout
