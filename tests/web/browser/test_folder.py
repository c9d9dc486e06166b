"""Separate images in a real browser: done, skip, reopen, each image of its own size, starting over."""

import numpy as np
import pytest
from PIL import Image
from web.browser.conftest import Server

REOPENED = "() => fetch('/api/state').then((a) => a.json()).then((s) => !s.status[1])"
SIZES = {"a.first": (214, 120), "b": (120, 160), "c": (160, 90)}
ENDS = [(64, 62), (146, 66), (105, 34), (84, 105)]


@pytest.fixture
def folder(small_clip, tmp_path):
    source = tmp_path / "images"
    source.mkdir()
    frame = Image.open(small_clip / "00000.png")
    for name, size in SIZES.items():
        frame.resize(size).save(source / f"{name}.png")
    settings = f"required:\n  source: {source}\n  destination: {tmp_path / 'masks'}\noptional:\nadmin:\n"
    (tmp_path / "anno_cfg.yml").write_text(settings, encoding="utf-8")
    return tmp_path


def _row(screen, name):
    return screen.test_id("image-list").locator("button", has_text=name)


def test_a_folder_of_images_is_annotated(folder, open_screen):
    server = Server("--config", folder / "anno_cfg.yml")
    try:
        with open_screen(server.address) as screen:
            assert screen.shown()["size"] == [214, 120]
            screen.page.set_viewport_size({"width": 1280, "height": 720})
            screen.says("hint", "rightmost and bottommost point of the object in any order; or Shift-drag")
            whole = "({ scrollHeight, clientHeight }) => scrollHeight <= clientHeight"
            assert screen.test_id("hint").evaluate(whole), "it is not cut off"
            screen.click(*ENDS)
            screen.press("n")
            screen.click((10, 60), (40, 60), (25, 40), (25, 90))
            labels = screen.labels()
            assert set(np.unique(labels)) == {0, 1, 2}
            screen.press("d")
            screen.until("() => dextrVos.shown().frame === 1")
            screen.settle()
            assert screen.shown()["size"] == [120, 160], "each image has its own size"
            written = np.array(Image.open(folder / "masks" / "a.first_mask.png"))
            assert np.array_equal(written, labels)
            screen.press("d")
            screen.test_id("ask-no").click()
            assert screen.state()["status"] == {"0": "done"}, "an empty mask is not written unasked"
            screen.press("s")
            screen.until("() => dextrVos.shown().frame === 2")
            assert screen.state()["status"] == {"0": "done", "1": "skipped"}
            _row(screen, "a.first").click()
            screen.settle()
            assert np.array_equal(screen.labels(), labels)
            screen.press("d")
            assert screen.shown()["frame"] == 0, "a finished image is not finished again"
            screen.press("r")
            assert screen.state()["status"] == {"1": "skipped"}
            screen.press("d")
            screen.until("() => dextrVos.shown().frame === 2")
            screen.press("Control+z")
            assert screen.shown()["frame"] == 0
            assert screen.state()["status"] == {"1": "skipped"}, "the finished mask is not this one any more"
            screen.test_id("image-done").wait_for()
            screen.press("Control+Shift+z")
        server.kill()
        server = Server("--config", folder / "anno_cfg.yml", "--model", "grabcut")
        with open_screen(server.address) as screen:
            assert screen.state()["status"] == {"1": "skipped"}, "progress persists"
            screen.test_id("reset").click()
            screen.test_id("ask-no").click()
            assert screen.state()["status"] == {"1": "skipped"}
            screen.test_id("reset").click()
            screen.test_id("ask-yes").click()
            screen.until(REOPENED)
            screen.settle()
            assert not screen.labels().any()
    finally:
        server.stop()
