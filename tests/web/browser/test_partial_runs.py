"""A real browser: a run with masks of some frames only, and one started while an edit is on its way."""

import json
import shutil

import pytest
from web.browser.conftest import ENDLESS, SHORT, Server

from dextr_vos.masks import read_labels, write_labels

ENDS = [(64, 62), (146, 66), (105, 34), (84, 105)]


@pytest.fixture(scope="module")
def grabcut(small_clip, tmp_path_factory):
    out = tmp_path_factory.mktemp("partial") / "work"
    server = Server(small_clip, *ENDLESS, "--model", "grabcut", out=out)
    yield server
    server.stop()


@pytest.fixture
def untouched(small_clip, tmp_path):
    """A server on a workspace of its own."""
    server = Server(small_clip, *SHORT, "--model", "grabcut", out=tmp_path / "work")
    yield server
    server.stop()


@pytest.fixture
def server(grabcut):
    """The server of this file, without a run."""
    shutil.rmtree(grabcut.out / "propagation", ignore_errors=True)
    return grabcut


def test_frames_without_a_mask_are_not_called_propagated(server, open_screen):
    with open_screen(server.address) as screen:
        screen.click(*ENDS)
        run = server.out / "propagation"
        for name in ("00000", "00001"):
            write_labels(run / "masks" / f"{name}.png", read_labels(server.out / "keyframes" / "00000.png"))
        (run / "run.json").write_text(json.dumps({"keyframes": ["00000"]}))
        (run / "confidence.json").write_text(json.dumps({"00000": {"1": 1.0}, "00001": {"1": 0.9}}))
        screen.until(
            "() => document.querySelector('[data-test=propagate-note]').textContent.includes('2 of 3')"
        )
        screen.go(1)
        screen.says("frame-tag", "confidence 0.90")
        screen.go(2)
        screen.says("frame-tag", "no mask")


def test_the_page_says_that_the_next_run_would_change_masks(server, open_screen):
    with open_screen(server.address) as screen:
        screen.click(*ENDS)
        run, names = server.out / "propagation", ["00000", "00001", "00002"]
        for name in names:
            write_labels(run / "masks" / f"{name}.png", read_labels(server.out / "keyframes" / "00000.png"))
        (run / "run.json").write_text(json.dumps({"keyframes": ["00002"]}))
        (run / "confidence.json").write_text(json.dumps({name: {"1": 1.0} for name in names}))
        screen.until(
            "() => document.querySelector('[data-test=propagate-note]').textContent"
            " === 'From 1 keyframe. Another run would change masks.'"
        )


def test_a_run_waits_for_the_edits_made_before_it(server, open_screen):
    with open_screen(server.address) as screen:
        screen.click(*ENDS)
        asked, held = [], []
        screen.page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[1]))
        screen.route("**/objects/1/stroke", lambda route: held.append(route))
        screen.press("b")
        screen.drag((20, 20), (40, 20), settle=False)
        screen.wait_for(lambda: held)
        screen.page.keyboard.press("Control+Enter")
        screen.page.keyboard.press("Control+Enter")
        screen.until("() => fetch('/api/state').then((answer) => answer.ok)")
        assert "propagate" not in asked, "the stroke has not been answered"
        held[0].continue_()
        screen.until("() => !document.querySelector('[data-test=job]').hidden")
        assert asked.count("propagate") == 1
        snapshot = read_labels(server.out / "history" / "propagated" / "keyframes" / "00000.png")
        assert snapshot[20, 20:41].all(), "the run starts from the mask with the stroke"
        screen.test_id("cancel").click()
        screen.until("() => document.querySelector('[data-test=job]').hidden")
        assert screen.state()["last_job"]["outcome"] == "cancelled"
        assert screen.labels()[20, 20:41].all(), "the stroke is there all the same"


def test_a_run_goes_forward_from_the_present_frame(untouched, open_screen):
    with open_screen(untouched.address) as screen:
        screen.go(1)
        screen.click(*ENDS)
        screen.test_id("propagate-more").click()
        assert screen.test_id("propagate-menu").locator("b").all_inner_texts() == [
            "Both ways", "Forward from 00001", "Backward from 00001", "Frames",
        ]  # fmt: skip
        first, middle, last = screen.run(screen.test_id("propagate-forward").click)["confidence"]
        screen.test_id("propagate-menu").wait_for(state="hidden")
        assert (first, middle) == (None, 1.0)
        assert last is not None
