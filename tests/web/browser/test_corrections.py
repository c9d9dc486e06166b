"""Corrections of propagated masks in a real browser: one click, drafts, confirming them."""

import json

import numpy as np
import pytest
from web.browser.conftest import ENDLESS, Server

from dextr_vos.masks import read_labels, write_labels


@pytest.fixture(scope="module")
def propagated(open_screen, real_clip, davis_root, extremes, tmp_path_factory):
    """A server with a keyframe on frame 0 and masks of a run on all frames, too small by an edge."""
    import cv2

    out = tmp_path_factory.mktemp("propagated") / "work"
    server = Server(real_clip, *ENDLESS, out=out)
    with open_screen(server.address) as screen:
        screen.click(*extremes(0))
    run = out / "propagation"
    for index in range(12):
        truth = read_labels(davis_root / "Annotations" / "480p" / "scooter-black" / f"{index:05d}.png")
        mask = (
            cv2.erode(truth, np.ones((9, 9), np.uint8))
            if index
            else read_labels(out / "keyframes" / "00000.png")
        )
        write_labels(run / "masks" / f"{index:05d}.png", mask)
    (run / "run.json").write_text(json.dumps({"keyframes": ["00000"]}))
    (run / "confidence.json").write_text(json.dumps({f"{index:05d}": {"1": 0.7} for index in range(12)}))
    yield server
    server.stop()


def ready(screen):
    screen.until(
        "() => fetch('/api/state').then((answer) => answer.json()).then((state) => state.masks.done)"
    )
    screen.settle()


def test_one_click_corrects_a_propagated_mask_which_stays_a_draft(propagated, open_screen, extremes, refined):
    with open_screen(propagated.address) as screen:
        ready(screen)
        screen.go(4)
        before = screen.labels()
        assert before.any()
        top = extremes(4)[2]
        screen.click(top)
        corrected = screen.labels()
        assert np.array_equal(corrected, refined(4, before, [], [(*top, True)]))
        assert screen.points(4) == [[*top, "positive"]]
        screen.says("frame-tag", "draft")
        hint = screen.test_id("hint").inner_text()
        assert "not yet a keyframe" in hint
        assert not (propagated.out / "keyframes" / "00004.png").exists()
        screen.page.reload()
        screen.settle()
        assert np.array_equal(screen.labels(), corrected)
        screen.says("propagate-note", "1 draft")
        screen.press("Control+z")
        assert np.array_equal(screen.labels(), before)
        assert "4" not in screen.state()["keyframes"]


def test_k_makes_a_keyframe_of_a_draft_and_shift_k_discards_one(propagated, open_screen, extremes):
    with open_screen(propagated.address) as screen:
        ready(screen)
        screen.go(6)
        before = screen.labels()
        screen.click(extremes(6)[2])
        corrected = screen.labels()
        screen.press("Shift+K")
        assert np.array_equal(screen.labels(), before)
        screen.press("Control+z")
        assert np.array_equal(screen.labels(), corrected)
        screen.press("k")
        screen.says("frame-tag", "keyframe")
        assert np.array_equal(read_labels(propagated.out / "keyframes" / "00006.png"), corrected)


def test_propagating_says_how_many_drafts_became_keyframes(propagated, open_screen, extremes):
    with open_screen(propagated.address) as screen:
        ready(screen)
        for index in (8, 10):
            screen.go(index)
            screen.click(extremes(index)[2])
        screen.press("Control+Enter", settle=False)
        screen.until("() => document.querySelector('[data-test=toast]')")
        screen.says("toast", "2 drafts are keyframes now")
        screen.test_id("cancel").click()
        screen.until("() => document.querySelector('[data-test=job]').hidden")
        assert not screen.state()["keyframes"]["8"]["draft"]
        screen.press("Control+z")
        state = screen.state()
        assert state["keyframes"]["8"]["corrected"]
        assert state["keyframes"]["10"]["corrected"]
        screen.press("Control+z", "Control+z")
        assert "8" not in screen.state()["keyframes"]
