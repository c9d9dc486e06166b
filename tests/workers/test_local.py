"""Processes of this machine: how many, and what happens when one is killed."""

import os
import signal
from dataclasses import dataclass

import pytest

from dextr_vos.errors import InputError
from dextr_vos.propagation.recipes import config_named
from dextr_vos.propagation.settings import ModelName
from dextr_vos.workers.jobs import JobOutcome
from dextr_vos.workers.local import LocalWorkers, jobs_that_fit, local_workers


@dataclass(frozen=True)
class Quick:
    """A job that does nothing."""

    key: str

    def attempt(self, device, stop_asked):
        return JobOutcome(self.key, note=str(os.getpid()))


def outcome_of(workers, key):
    workers.start(Quick(key))
    (outcome,) = workers.wait(600.0)
    return outcome


@pytest.mark.parametrize("name", ModelName.__args__)
def test_there_is_at_least_one_worker_whatever_the_model(name):
    assert jobs_that_fit(config_named(name).job_gb, 1) >= 1
    assert local_workers("cpu", None, 1, config_named(name).job_gb)[0].free() >= 1


def test_a_worker_that_is_killed_while_it_is_idle_is_replaced():
    workers = LocalWorkers(["cpu"])
    try:
        first = outcome_of(workers, "a")
        assert first.error == ""
        os.kill(int(first.note), signal.SIGKILL)
        os.waitid(os.P_PID, int(first.note), os.WEXITED | os.WNOWAIT)
        second = outcome_of(workers, "b")
        assert second.error == ""
        assert second.note != first.note
    finally:
        workers.stop()


def test_more_workers_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert local_workers("cuda", 2, 1, 2.0)[0].free() == 2
    assert local_workers("cuda:1", 1, 1, 2.0)[0].free() == 1
    for device, count in (("cuda:1", 4), ("cuda", 8)):
        with pytest.raises(InputError, match=f"{count} workers were asked for, and the device {device} runs"):
            local_workers(device, count, 1, 2.0)
