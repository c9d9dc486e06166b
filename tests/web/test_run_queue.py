"""The queue of a project: clips are propagated one after the other, and what cannot run is skipped."""

import sys
import time
from types import SimpleNamespace

import pytest
from conftest import write_tiny_clip
from starlette.testclient import TestClient
from tiny_page import BASE, POINTS, TINY, TOKEN, squares

from dextr_vos.project.clips import clips_in
from dextr_vos.web import jobs as jobs_module
from dextr_vos.web import schemas
from dextr_vos.web.project import ClipOpener, Project
from dextr_vos.web.project_app import make_project_app
from dextr_vos.web.run_queue import RunQueue

# In place of a run: says what it does, and waits until the test lets it end.
CHILD = """
import json, pathlib, sys, time
work = json.loads(sys.stdin.readline())
print(json.dumps({"phase": "training", "done": 1, "total": 2}), flush=True)
name = pathlib.Path(work["clip"]).name
while not (found := pathlib.Path(sys.argv[1], name)).exists():
    time.sleep(0.02)
print(json.dumps({found.read_text(): "as the test said"}), flush=True)
"""


class Listed:
    """The list of a project with the clips a to d, as the page asks for it."""

    def __init__(self, folder):
        clips, out, self.ends = folder / "clips", folder / "work", folder / "ends"
        for each in (clips, self.ends):
            each.mkdir()
        for name in "abcd":
            write_tiny_clip(clips / name)
        self.project = Project(clips_in(clips, out), out, ClipOpener(squares(), TINY))
        app = make_project_app(self.project, TOKEN)
        self._client = TestClient(app, base_url=BASE, headers={"X-Dextr-Vos-Token": TOKEN})
        for name in "acd":
            self.post(f"/clips/{name}/api/objects", {})
            self.post(f"/clips/{name}/api/frames/0/objects/1/points", {"points": POINTS})

    def post(self, path, body):
        answer = self._client.post(path, json=body)
        return answer.json() if answer.status_code == 200 else answer.json()["error"]

    def clip(self, name):
        clips = self._client.get("/api/project").json()["clips"]
        return next(each for each in clips if each["name"] == name)

    def until(self, name, key, wanted):
        """Poll as the server does, until the list says so of a clip."""
        end = time.monotonic() + 600
        while not wanted(self.clip(name)[key]):
            assert time.monotonic() < end, self.clip(name)
            self.project.poll()
            time.sleep(0.02)

    def end(self, name, outcome):
        """Let the run of a clip end."""
        whole = self.ends / f"{name}.new"
        whole.write_text(outcome)
        whole.rename(self.ends / name)


@pytest.fixture
def listed(tmp_path, monkeypatch):
    child = jobs_module.subprocess.Popen

    def start(command, **options):
        return child([sys.executable, "-c", CHILD, str(tmp_path / "ends")], **options)

    listed = Listed(tmp_path)
    monkeypatch.setattr(jobs_module.subprocess, "Popen", start)
    yield listed
    for name in "abcd":
        listed.end(name, "stopped")
    listed.project.close()


def running(job):
    return job is not None and job["phase"] == "training"


def test_clips_run_one_after_the_other_and_the_list_says_what_failed(listed):
    listed.post("/api/project/queue", {"names": ["a", "b", "c", "d"]})
    listed.post("/api/project/queue", {"names": ["a"]})
    assert [listed.clip(name)["queued"] for name in "abcd"] == [1, 2, 3, 4]
    listed.until("a", "job", running)
    listed.project.poll()
    assert [listed.clip(name)["queued"] for name in "abcd"] == [None, 1, 2, 3], "one at a time"
    listed.end("a", "failed")
    listed.until("c", "job", running)
    assert listed.clip("a")["failed"] == "as the test said"
    assert "nothing to propagate" in listed.clip("b")["failed"], "it is skipped"
    listed.post("/api/project/dequeue", {"name": "d"})
    listed.end("c", "done")
    listed.until("c", "job", lambda job: job is None)
    listed.project.poll()
    assert listed.clip("d")["job"] is listed.clip("d")["queued"] is listed.clip("c")["failed"] is None


def test_a_run_of_the_queue_is_stopped_and_the_next_begins(listed):
    listed.post("/api/project/queue", {"names": ["a", "d"]})
    listed.until("a", "job", running)
    listed.post("/api/project/dequeue", {"name": "a"})
    assert listed.clip("a")["job"]["phase"] == "stopping"
    listed.end("a", "stopped")
    listed.until("d", "job", running)
    assert "no clip 'e'" in listed.post("/api/project/queue", {"names": ["c", "e"]})
    assert listed.clip("c")["queued"] is None, "all of them or none"


def test_drafts_made_while_a_clip_waits_are_not_confirmed(listed):
    listed.post("/api/project/queue", {"names": ["a"]})
    listed.until("a", "job", running)
    listed.post("/api/project/queue", {"names": ["c", "d"]})
    mask = listed.project.out / "d" / "corrections" / "00003.png"
    mask.parent.mkdir(exist_ok=True)
    mask.write_bytes(b"a draft made after the click on Propagate")
    listed.end("a", "done")
    listed.until("c", "job", running)
    listed.end("c", "done")
    listed.until("d", "failed", lambda failed: failed is not None)
    assert "new drafts" in listed.clip("d")["failed"]
    assert listed.clip("d")["job"] is None


def test_a_run_that_succeeds_clears_the_failure_of_the_last_one(listed):
    listed.post("/api/project/queue", {"names": ["a"]})
    listed.until("a", "job", running)
    listed.end("a", "failed")
    listed.until("a", "failed", lambda failed: failed == "as the test said")
    (listed.ends / "a").unlink()
    listed.until("a", "job", lambda job: job is None)
    listed.post("/clips/a/api/propagate", {})
    listed.end("a", "done")
    listed.until("a", "job", lambda job: job is None)
    assert listed.clip("a")["failed"] is None


def test_leaving_the_queue_ends_no_export(listed):
    listed.project.service("c").export(schemas.Export(format="overlay"))
    listed.until("c", "job", running)
    for _ in range(2):  # while it waits, and once it does not wait any more
        listed.post("/api/project/dequeue", {"name": "c"})
        assert listed.clip("c")["job"]["phase"] == "training"
        listed.post("/api/project/queue", {"names": ["c"]})


def test_a_run_that_a_person_starts_while_the_next_clip_is_opened_is_waited_for():
    jobs, started = SimpleNamespace(current=None), []

    def open_clip(name):
        jobs.current = {"kind": "propagate"}

    queue = RunQueue(lambda: {"a": jobs}, open_clip, lambda name, drafts: started.append(name))
    queue.add({"b": {}})
    queue.advance()
    queue._starter.join()
    assert not started


def test_a_clip_that_fails_unexpectedly_does_not_stall_the_queue(caplog):
    started = []

    def start(name, drafts):
        if name == "a":
            raise ValueError("nobody expects this")
        started.append(name)

    queue = RunQueue(dict, str, start)
    queue.add({"a": {}, "b": {}})
    queue.advance()
    queue._starter.join()
    assert started == ["b"]
    assert "its log says" in queue.failed["a"]
    assert "nobody expects this" in caplog.text
