"""A Dask cluster that is not there, or no longer."""

import os
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest
from tiny_training import scheduler_address, wait_until

from dextr_vos.errors import InputError
from dextr_vos.workers import cluster
from dextr_vos.workers.jobs import JobOutcome

pytest.importorskip("distributed")


@pytest.mark.slow
def test_a_scheduler_that_goes_is_one_sentence_and_the_workers_still_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_S", 10.0)
    address = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    command = [*dask, "--no-dashboard", "--scheduler-file", str(address)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as scheduler:
        try:
            workers = cluster.DaskWorkers(scheduler_address(address, scheduler), tmp_path, False, "cpu")
            assert workers.free() == 0
        finally:
            scheduler.kill()
    with pytest.raises(InputError, match="the same command, which resumes"):
        wait_until(lambda: workers.free() < 0)
    workers.stop()


def test_stop_files_that_other_commands_may_need_stay(tmp_path):
    (tmp_path / ".stop-1-2").touch()
    old = tmp_path / ".stop-3-4"
    old.touch()
    os.utime(old, (time.time() - 3 * 24 * 3600,) * 2)
    cluster._sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".stop-1-2"]


def test_a_scheduler_that_goes_cancels_all_jobs_which_is_one_sentence(monkeypatch):
    workers = cluster.DaskWorkers.__new__(cluster.DaskWorkers)
    workers._running, workers._address = {object(): "cat"}, "tcp://127.0.0.1:1"

    def cancelled(*_, **__):
        raise CancelledError  # newer releases of distributed raise a subclass

    monkeypatch.setattr("distributed.wait", cancelled)
    with pytest.raises(InputError, match=r"has gone .* the same command, which resumes"):
        workers.wait(1.0)


def test_an_outcome_that_died_with_its_worker_is_waited_for_no_longer_than_asked(monkeypatch):
    class Lost:
        """Finished, as far as the client knows; the worker that has the outcome does not answer."""

        status = "finished"

        def cancelled(self):
            return False

        def result(self, timeout):
            raise TimeoutError

    workers, future = cluster.DaskWorkers.__new__(cluster.DaskWorkers), Lost()
    workers._running, workers._address = {future: "cat"}, "tcp://127.0.0.1:1"
    monkeypatch.setattr("distributed.wait", lambda *_, **__: SimpleNamespace(done={future}))
    assert workers.wait(1.0) == []
    assert workers._running == {future: "cat"}, "it runs again"
    future.result = lambda timeout: JobOutcome("cat")
    assert workers.wait(1.0) == [JobOutcome("cat")]
    assert workers._running == {}
