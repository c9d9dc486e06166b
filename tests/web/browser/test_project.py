"""A folder of clips in a real browser: the list, a clip, the next one, and back."""

from conftest import write_tiny_clip
from web.browser.conftest import ENDLESS, Server
from web.browser.screen import Screen, open_context


def test_clips_are_listed_with_their_progress_and_each_opens(browser, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("big cat", "dog"):
        write_tiny_clip(folder / name)
    server = Server(folder, *ENDLESS, "--model", "grabcut", out=tmp_path / "work")
    try:
        with open_context(browser) as opened:
            page = opened.new_page()
            errors = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(server.address)
            page.get_by_text("Start with big cat").click()
            screen = Screen(page)
            screen.settle()
            screen.press("b")
            screen.drag((20, 20), (40, 20))
            assert (screen.labels()[20, 20:41] == 1).all()
            screen.test_id("next-clip").click()
            screen.until("() => document.title.startsWith('dog') && dextrVos.shown().settled")
            assert screen.test_id("project-place").inner_text() == "2 of 2"
            assert not screen.labels().any(), "each clip has its own masks"
            screen.test_id("all-clips").click()
            page.get_by_text("Continue with big cat").wait_for()
            screen.says("clip-big cat", "1 keyframe")
            screen.says("clip-dog", "not started")
            assert screen.test_id("run-dog").count() == 0, "there is nothing to propagate"
            page.evaluate("() => { document.querySelector('[data-test=\"clip-big cat\"]').same = true; }")
            screen.test_id("run-big cat").click()
            screen.test_id("stop-big cat").click()
            screen.test_id("run-big cat").wait_for()
            same = "() => document.querySelector('[data-test=\"clip-big cat\"]').same"
            assert page.evaluate(same), "a row stays, so that a press on it is not lost"
            assert not errors
    finally:
        server.stop()
    assert (tmp_path / "work" / "big cat" / "keyframes" / "00000.png").exists()
