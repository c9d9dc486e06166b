"""Propagation and exports in a child process: progress, cancel, and masks that appear as they are made."""

import asyncio
import io
import json
import signal
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby

import numpy as np
import pytest
from PIL import Image
from tiny_page import OTHER, POINTS, decoded, open_page, write_run

from dextr_vos.masks import read_labels
from dextr_vos.web import jobs as jobs_module
from dextr_vos.web.jobs import ConflictError, Jobs, _Job


@pytest.fixture
def page(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w")
    page.points(0, 1, POINTS)
    yield page
    page.service.close()


def wait_for(page, *, until=lambda state: state["job"] is None, seconds=1200):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = page.state()
        if until(state):
            return state
        time.sleep(0.05)
    raise AssertionError(f"still {state['job']}")


@pytest.fixture
def halted(monkeypatch):
    """Children of jobs are halted as soon as they are there; a function that lets the last one go on."""
    child, children = jobs_module.subprocess.Popen, []

    def start(command, **options):
        children.append(child(command, **options))
        children[-1].send_signal(signal.SIGSTOP)
        return children[-1]

    monkeypatch.setattr(jobs_module.subprocess, "Popen", start)
    yield lambda: children[-1].send_signal(signal.SIGCONT)
    for each in children:
        each.kill()


@contextmanager
def listening(events):
    """What a page hears meanwhile, as pairs of kind and data."""
    heard = []

    async def listen() -> None:
        async for line in events.stream(lambda: 0):
            if line.startswith("event: "):
                kind, data = line.split("\n")[:2]
                heard.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))

    with ThreadPoolExecutor(1) as pool:
        listener = pool.submit(asyncio.run, listen())
        try:
            yield heard
        finally:
            events.close()
            listener.result()


@pytest.mark.slow
def test_a_run_is_cancelled_resumed_and_seen_as_it_goes_on(page, tmp_path):
    """What comes after it, a correction and another run, is tested in the browser."""
    page.do("/api/propagate", budget=None)
    wait_for(page, until=lambda state: state["job"]["phase"] != "starting")
    page.do("/api/cancel")
    assert wait_for(page)["last_job"]["outcome"] == "cancelled"
    with listening(page.service.session.events) as heard:
        job = page.do("/api/propagate")["job"]
        assert job["kind"] == "propagate"
        assert "wait for it or cancel it" in page.refused("/api/propagate", expected=409)
        state = wait_for(page)
    assert state["last_job"]["outcome"] == "done", state["last_job"]
    assert state["masks"] == {"done": True, "stale": False}
    assert sorted({data["index"] for kind, data in heard if kind == "frame"}) == list(range(6))
    phases = [job["phase"] for kind, job in heard if kind == "job" and job]
    assert [phase for phase, _ in groupby(phases)][-3:] == ["training", "checking", "segmenting"]
    training = [
        job for kind, job in heard if kind == "job" and job and job["phase"] == "training" and job["done"]
    ]
    assert training[-1]["loss"] is not None
    assert training[-1]["total"] == 2
    assert all(page.mask(index) is not None for index in range(6))
    path = tmp_path / "w" / "propagation" / "run.json"
    record = json.loads(path.read_text())
    record["training"]["keyframe_iou"] = {"1": 0.2}
    path.write_text(json.dumps(record))
    assert page.state()["poor"] == [1], "what the network has not learned is said as long as the run is there"


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def job():
    """A job at the beginning of its training, and what reads its lines, some seconds apart."""
    clock = Clock()
    job = _Job("propagate", None, clock=clock)

    def read(phase, counts, total, seconds):
        for done in counts:
            clock.now += seconds
            job.read({"phase": phase, "done": done, "total": total})
        return job.seconds_left()

    job.read({"plan": {"step_s": 0.5, "segmenting_s": 30.0}})
    return read


def test_the_time_left_follows_the_pace_of_the_machine(job):
    assert job("reading", range(1, 91), 90, 0.1) is None, "nothing is known yet"
    assert job("training", [0], 40, 0.0) == pytest.approx(40 * 0.5 + 30), "as planned"
    slow = job("training", range(1, 21), 40, 1.0)
    assert slow == pytest.approx(20 * 1.0 + 2 * 30), "twice as slow as planned, and so will segmenting be"
    assert job("checking", [0], 3, 0.0) == pytest.approx(60)
    assert job("segmenting", [0], 100, 1.0) == pytest.approx(60)
    assert job("segmenting", range(1, 21), 100, 2.0) == pytest.approx(80 * 2.0)


def test_frames_that_an_earlier_run_has_left_make_no_promises(job):
    assert job("segmenting", range(91), 180, 0.0) == pytest.approx(30), "as planned"
    assert job("segmenting", range(91, 101), 180, 0.5) == pytest.approx(80 * 0.5)


@pytest.fixture
def deaf_job(monkeypatch):
    """Starts a job whose child does not listen: it may be in a call that cannot be interrupted."""

    def start_in(phase):
        deaf = f"import json, time; print(json.dumps({{'phase': '{phase}'}}), flush=True); time.sleep(600)"
        child = jobs_module.subprocess.Popen

        def start(command, **options):
            return child([sys.executable, "-c", deaf], **options)

        monkeypatch.setattr(jobs_module.subprocess, "Popen", start)
        ended, heard = threading.Event(), threading.Event()
        jobs = Jobs(lambda job: job and heard.set(), lambda name, folder: None, lambda kind: ended.set())
        jobs.start(lambda: {"kind": "propagate"})
        while jobs.current["phase"] != phase:
            assert heard.wait(600)
            heard.clear()
        return jobs, ended

    return start_in


@pytest.mark.parametrize("phase", ["starting", "loading", "reading", "encoding", "measuring"])
def test_a_job_that_has_made_nothing_yet_is_cancelled_at_once(phase, deaf_job):
    jobs, ended = deaf_job(phase)
    jobs.cancel()
    assert ended.wait(300)
    assert jobs.last["outcome"] == "cancelled"


def test_a_job_is_killed_while_it_makes_masks(deaf_job, monkeypatch):
    monkeypatch.setattr(jobs_module, "SECONDS_TO_STOP", 900.0)
    jobs, ended = deaf_job("segmenting")
    jobs.kill()
    jobs.kill()
    assert ended.wait(300), "sooner than by asking"
    assert jobs.last["outcome"] == "cancelled"


@pytest.mark.slow
def test_a_run_ends_with_its_workspace(page, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs_module, "SECONDS_TO_STOP", 900.0)
    page.do("/api/propagate", budget=None)
    (tmp_path / "w").rename(tmp_path / "elsewhere")
    page.service.poll()
    wait_for(page, seconds=600)  # sooner than by asking
    assert not (tmp_path / "w" / "history").exists()


def test_there_must_be_something_to_propagate(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w")
    assert "click on an object in at least one frame" in page.refused("/api/propagate")
    page.points(0, 1, POINTS[:2])
    assert "click on an object in at least one frame" in page.refused("/api/propagate")
    assert page.refused("/api/export", format="overlay") == "there is no mask yet; click on an object first"


def test_a_child_that_dies_is_reported_in_one_sentence():
    ended = threading.Event()
    jobs = Jobs(lambda job: None, lambda name, folder: None, lambda kind: ended.set())
    jobs.start(lambda: {"kind": "unknown"})
    assert ended.wait(600)
    assert jobs.last["outcome"] == "failed"
    assert "ended with status 1" in jobs.last["message"]


def test_no_job_starts_before_the_end_of_the_last_is_dealt_with_even_where_that_fails():
    ended, told, refused = threading.Event(), threading.Event(), []

    def on_end(kind):
        try:
            jobs.start(lambda: {"kind": "next"})
        except ConflictError as error:
            refused.append(str(error))
        ended.set()
        raise OSError("no space left on device")

    jobs = Jobs(lambda job: job is None and told.set(), lambda name, folder: None, on_end)
    jobs.start(lambda: {"kind": "unknown"})
    assert ended.wait(600)
    assert told.wait(600)
    assert refused == ["a job is in progress (unknown); wait for it or cancel it"]
    assert jobs.current is None


@pytest.mark.parametrize(
    "reason", ["no child", "no room for the keyframes", "no room for the replaced masks"]
)
def test_drafts_stay_drafts_where_a_run_cannot_start(page, tmp_path, monkeypatch, reason):
    write_run(page, tmp_path / "w", keyframes=(0,))
    page.do("/api/frames/3/objects/1/stroke", path=[[50, 40]], radius=3)
    if reason == "no child":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    elif reason == "no room for the replaced masks":
        (tmp_path / "w" / "history" / "replaced.next").write_text("a file where a folder should be")
    else:
        (tmp_path / "w" / "history" / "propagated").write_text("a file where a folder should be")
    page.refused("/api/propagate", expected=500)
    assert page.state()["keyframes"]["3"]["corrected"]
    assert page.state()["job"] is None
    assert not (tmp_path / "w" / "keyframes" / "00003.png").exists()


def test_an_export_says_that_drafts_are_left_out(page, tmp_path):
    write_run(page, tmp_path / "w", keyframes=(0,))
    page.do("/api/frames/3/objects/1/stroke", path=[[50, 40]], radius=3)
    page.do("/api/export", format="masks")
    message = wait_for(page)["last_job"]["message"]
    assert message.startswith(
        "ready to download: tiny_object-1_masks.zip; 1 corrected frame is a draft and was not used"
    )


def test_an_export_is_made_listed_and_downloaded(page):
    assert page.state()["exports"] == []
    assert "there is no export 'tiny.json'" in page.get("/api/exports/tiny.json").json()["error"]
    page.do("/api/export", format="masks")
    state = wait_for(page)
    name = "tiny_object-1_masks.zip"
    message = f"ready to download: {name}"
    assert state["last_job"] == {"kind": "export", "outcome": "done", "message": message}
    (file,) = state["exports"]
    assert (file["name"], file["current"]) == (name, True)
    answer = page.get(f"/api/exports/{name}")
    assert f'filename="{name}"' in answer.headers["content-disposition"]
    assert len(answer.content) == file["bytes"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["00000.png"]
        with Image.open(io.BytesIO(archive.read("00000.png"))) as image:
            assert image.mode == "P"
            assert (np.array(image) == page.mask(0)).all()
    page.points(0, 1, OTHER)
    assert [each["current"] for each in page.state()["exports"]] == [False]
    assert page.get("/api/exports/../annotations.json").status_code == 404


def test_an_export_that_is_cancelled_leaves_nothing_behind(page, tmp_path, halted):
    page.do("/api/export", format="overlay")
    page.do("/api/cancel")
    assert wait_for(page)["last_job"]["outcome"] == "cancelled"
    exports = tmp_path / "w" / "exports"
    assert not exports.exists() or not list(exports.iterdir())
    assert decoded(page.get("/api/masks/0").content).any()
    assert read_labels(tmp_path / "w" / "keyframes" / "00000.png").any()


def test_while_a_job_is_in_progress_no_other_touches_the_workspace(page, tmp_path, halted):
    page.do("/api/export", format="overlay")
    assert "in progress (export)" in page.refused("/api/propagate", expected=409)
    assert not (tmp_path / "w" / "history" / "propagated").exists()
    halted()
    assert wait_for(page)["last_job"]["outcome"] == "done"
