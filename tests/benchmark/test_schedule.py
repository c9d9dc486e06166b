from types import SimpleNamespace

import pytest

from dextr_vos.benchmark.attempt import Outcome
from dextr_vos.benchmark.workers import run_jobs
from dextr_vos.errors import InputError, Interrupted


class Scripted:
    """Workers whose jobs end as they are told, one a wait."""

    def __init__(self, endings, room=2):
        self.endings, self.room = endings, room
        self.running, self.started = [], []

    def free(self):
        return self.room - len(self.running)

    def start(self, job):
        assert self.free() > 0
        self.running.append(job.key)
        self.started.append(job.key)

    def wait(self, timeout_s):
        if not self.running:
            return []
        key = self.running.pop(0)
        endings = self.endings.get(key, [])
        return [Outcome(key, **(endings.pop(0) if endings else {}))]

    def stop(self):
        pass


def jobs(*keys):
    return [SimpleNamespace(key=key, cell=key) for key in keys]


def test_a_fault_is_tried_again_after_the_others():
    workers = Scripted({"a": [{"fault": "once"}], "b": [{"fault": "first"}, {"fault": "second"}]})
    told = []
    failed = run_jobs(jobs("a", "b", "c"), workers, lambda *change: told.append(change[1:]))
    assert failed == {"b": "second"}
    assert workers.started == ["a", "b", "c", "a", "b"]
    assert told[-1] == (2, 1)


def test_a_job_that_somebody_stopped_goes_on_and_is_no_fault():
    workers = Scripted({"a": [{"stopped": True}] * 5})
    assert run_jobs(jobs("a"), workers) == {}
    assert workers.started == ["a"] * 6


def test_a_stop_says_how_far_it_came():
    answers = iter([False, True])
    with pytest.raises(Interrupted, match="1 of 3 cells finished"):
        run_jobs(jobs("a", "b", "c"), Scripted({}, room=1), stop_asked=lambda: next(answers))


def test_a_worker_that_refuses_ends_it_and_faults_told_before_stay():
    endings = {
        "a": [{"fault": "first"}, {"fault": "second"}],
        "c": [{"fault": "once"}, {"fault": "wrong code", "refused": True}],
    }
    workers, failed = Scripted(endings, room=1), {}
    with pytest.raises(InputError, match="wrong code; 1 of 3 cells are finished"):
        run_jobs(jobs("a", "b", "c"), workers, failed=failed)
    assert failed == {"a": "second"}
    assert workers.started == ["a", "b", "c", "a", "c"]
