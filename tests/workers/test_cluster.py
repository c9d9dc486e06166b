"""A Dask cluster that is not there, or no longer."""

import json
import subprocess
import sys

import pytest
from tiny_training import wait_until

from dextr_vos.errors import InputError
from dextr_vos.workers import cluster

pytest.importorskip("distributed")


@pytest.mark.slow
def test_a_scheduler_that_goes_is_one_sentence_and_the_workers_still_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_S", 5.0)
    address = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    command = [*dask, "--no-dashboard", "--scheduler-file", str(address)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as scheduler:
        try:
            wait_until(address.exists)
            workers = cluster.DaskWorkers(json.loads(address.read_text())["address"], tmp_path, False, "cpu")
            assert workers.free() == 0
        finally:
            scheduler.kill()
    with pytest.raises(InputError, match="the same command, which resumes"):
        wait_until(lambda: workers.free() < 0)
    workers.stop()
