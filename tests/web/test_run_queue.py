"""The queue of a project: clips are propagated one after the other, and what cannot run is passed over."""

import sys
import time

import pytest
from conftest import write_tiny_clip
from starlette.testclient import TestClient
from tiny_page import BASE, POINTS, TINY, TOKEN, squares

from dextr_vos.project.clips import clips_in
from dextr_vos.web import jobs as jobs_module
from dextr_vos.web.project import ClipOpener, Project
from dextr_vos.web.project_app import make_project_app

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
        end = time.monotonic() + 60
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
    assert "nothing to propagate" in listed.clip("b")["failed"], "it is passed over"
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
