"""Previews of clicks: what a click then makes, while nothing changes; edits and later requests go first."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import tiny_mask
from tiny_page import POINTS, Corrector, around, decoded, make_service, open_page, write_run

from dextr_vos.errors import WeightsError
from dextr_vos.web.click_previews import ClickPreviews
from dextr_vos.web.segmenter_process import SegmenterLoader


@pytest.fixture
def work(tmp_path):
    return tmp_path / "w"


def open_loaded(clip, work, **more):
    page = open_page(clip, work, corrects=True, **more)
    page.service.session.loader.get()
    return page


def preview(page, index, query):
    response = page.get(f"/api/frames/{index}/preview?{query}")
    if response.status_code == 204:
        return None
    assert response.status_code == 200, response.text
    assert response.headers["x-mask-source"] == "preview"
    return decoded(response.content)


def files(work):
    return {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_a_preview_of_a_correction_is_what_the_click_then_makes(tiny_clip, work, kind):
    page = open_loaded(tiny_clip, work)
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/objects/1/stroke", path=[[50, 40]], radius=2)
    x, y = (30, 30) if kind == "positive" else (16, 24)
    before, state = files(work), page.state()
    seen = preview(page, 0, f"x={x}&y={y}&kind={kind}&object=1")
    assert (files(work), page.state()) == (before, state), "nothing has changed"
    made = decoded(page.points(0, 1, [*POINTS, [x, y, kind]])["mask"])
    assert np.array_equal(seen == 255, made == 1)
    assert (made[around(x, y)] == 1).all() == (kind == "positive")
    assert made[40, 50] == 1, "the stroke is in both"


def test_a_preview_on_a_propagated_frame_makes_no_draft(tiny_clip, work):
    page = open_loaded(tiny_clip, work)
    page.points(0, 1, POINTS)
    write_run(page, work, [0])
    seen = preview(page, 3, "x=50&y=5&object=1")
    expected = tiny_mask(3) == 1
    expected[around(50, 5)] = True
    assert np.array_equal(seen == 255, expected)
    assert "3" not in page.state()["keyframes"]


def test_a_preview_of_a_new_object_is_a_first_mask(tiny_clip, work):
    page = open_loaded(tiny_clip, work, objects=0)
    seen = preview(page, 2, "x=30&y=30")
    assert np.argwhere(seen).tolist() == [[y, x] for y in range(28, 33) for x in range(28, 33)]
    assert page.state()["objects"] == []


def test_there_is_no_preview_where_a_click_makes_no_mask(tiny_clip, work):
    page = open_loaded(tiny_clip, work)
    assert preview(page, 0, "x=30&y=30&kind=negative&object=1") is None
    page.points(0, 1, POINTS[:2])
    assert preview(page, 0, "x=30&y=30&object=1") is None, "four extreme points were begun"


@pytest.mark.parametrize(
    "query",
    ["x=64&y=5", "x=5&y=48", "x=5", "x=5&y=5&kind=box", "x=5&y=5&object=0", "x=5&y=5&object=99", "x=-1&y=5"],
)
def test_a_preview_that_cannot_be_is_refused(tiny_clip, work, query):
    page = open_loaded(tiny_clip, work)
    assert page.get(f"/api/frames/0/preview?{query}").status_code == 400
    assert page.get("/api/frames/6/preview?x=5&y=5").status_code == 400


class Held(Corrector):
    """Waits before it makes a mask."""

    def __init__(self):
        self.asked, self.go_on = threading.Semaphore(0), threading.Event()

    def prompted(self, image_rgb, prompts):
        self.asked.release()
        assert self.go_on.wait(600)
        return super().prompted(image_rgb, prompts)


def test_of_several_previews_only_the_first_and_the_last_are_made(tiny_clip, work):
    segmenter = Held()
    loader = SegmenterLoader("corrector", lambda: segmenter, corrects=True)
    session = make_service(tiny_clip, work, loader=loader).session
    previews = ClickPreviews(session)
    assert previews.png(0, None, 5, 5, "positive") is None, "the segmenter is not loaded yet"
    loader.get()
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(previews.png, 0, None, 5, 5, "positive")
        assert segmenter.asked.acquire(timeout=600)
        later = [threads.submit(previews.png, 0, None, x, 5, "positive") for x in (15, 25)]
        end = time.monotonic() + 600
        while previews.asked < 4:
            assert time.monotonic() < end
            time.sleep(0.01)
        segmenter.go_on.set()
        assert first.result() is not None
        assert sum(each.result() is not None for each in later) == 1


def test_a_preview_leaves_the_error_of_loading_to_an_edit(tiny_clip, work):
    loads = []

    def load():
        loads.append(threading.current_thread())
        if len(loads) == 1:
            raise WeightsError("no memory")
        return Corrector()

    loader = SegmenterLoader("corrector", load, corrects=True)
    session = make_service(tiny_clip, work, loader=loader).session
    loader.start()
    end = time.monotonic() + 600
    while not loads:
        assert time.monotonic() < end
        time.sleep(0.01)
    loads[0].join(600)
    assert not loader.ready
    assert ClickPreviews(session).png(0, None, 5, 5, "positive") is None
    with pytest.raises(WeightsError, match="no memory"):
        loader.get()
    loader.get()
    assert loader.ready
    assert ClickPreviews(session).png(0, None, 5, 5, "positive") is not None


def test_an_edit_that_is_being_made_goes_first(tiny_clip, work):
    page = open_loaded(tiny_clip, work)
    editing, done = threading.Event(), threading.Event()

    def edit():
        with page.service.session.editing:
            editing.set()
            done.wait(600)

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        assert editing.wait(600)
        assert preview(page, 0, "x=30&y=30") is None
    finally:
        done.set()
        thread.join()
    assert preview(page, 0, "x=30&y=30") is not None
