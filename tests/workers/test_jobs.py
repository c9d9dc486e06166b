"""The loop that feeds workers."""

from types import SimpleNamespace

import pytest

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.workers.jobs import JobOutcome, run_jobs


class Scripted:
    """Workers that run nothing: each wait ends one job with the next outcome listed for it."""

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
        return [JobOutcome(key, **(endings.pop(0) if endings else {}))]

    def stop(self):
        pass


def jobs(*keys):
    return [SimpleNamespace(key=key) for key in keys]


def test_a_failed_job_is_tried_again_after_the_others():
    workers = Scripted({"a": [{"error": "once"}], "b": [{"error": "first"}, {"error": "second"}]})
    changes = []
    failed = run_jobs(jobs("a", "b", "c"), workers, "cells", lambda *change: changes.append(change[1:]))
    assert failed == {"b": "second"}
    assert workers.started == ["a", "b", "c", "a", "b"]
    assert changes[-1] == (2, 1)


def test_a_job_that_was_stopped_is_started_again_and_is_no_failure():
    workers = Scripted({"a": [{"stopped": True}] * 5})
    assert run_jobs(jobs("a"), workers, "cells") == {}
    assert workers.started == ["a"] * 6


def test_a_stop_says_how_many_cells_are_finished():
    answers = iter([False, True])
    with pytest.raises(Interrupted, match="1 of 3 cells finished"):
        run_jobs(jobs("a", "b", "c"), Scripted({}, room=1), "cells", stop_asked=lambda: next(answers))


def test_a_worker_that_refuses_ends_the_run_and_earlier_errors_are_kept():
    endings = {
        "a": [{"error": "first"}, {"error": "second"}],
        "c": [{"error": "once"}, {"error": "wrong code", "refused": True}],
    }
    workers, failed = Scripted(endings, room=1), {}
    with pytest.raises(InputError, match="wrong code; 1 of 3 cells are finished"):
        run_jobs(jobs("a", "b", "c"), workers, "cells", failed=failed)
    assert failed == {"a": "second"}
    assert workers.started == ["a", "b", "c", "a", "c"]
