"""Cuts and frames in which the object is lost, on the page."""

import json

import numpy as np
import pytest
from PIL import Image
from web.browser.conftest import Server

from dextr_vos.masks import write_labels


@pytest.fixture(scope="module")
def two_shots(tmp_path_factory):
    """A server with a run of twelve frames in two shots; from frame 4 on object 1 is hard to see."""
    folder = tmp_path_factory.mktemp("shots")
    clip, out = folder / "clip", folder / "work"
    clip.mkdir()
    confidence = [1.0, 0.95, 0.9, 0.85, 0.7, 0.6, 0.5] + [0.0] * 5
    for index in range(12):
        shade = (40, 60, 110) if index < 7 else (200, 180, 90)
        Image.fromarray(np.full((96, 128, 3), shade, np.uint8)).save(clip / f"{index:05d}.png")
        labels = np.zeros((96, 128), np.uint8)
        labels[30:60, 30:70] = index < 7
        labels[70:90, 100:120] = 2
        write_labels(out / "propagation" / "masks" / f"{index:05d}.png", labels)
        if index == 0:
            write_labels(out / "keyframes" / "00000.png", labels)
    scores = {f"{index:05d}": {"1": value, "2": 0.99} for index, value in enumerate(confidence)}
    record = {"keyframes": ["00000"], "cuts": ["00007"], "flashes": ["00009"]}
    (out / "propagation" / "run.json").write_text(json.dumps(record))
    (out / "propagation" / "confidence.json").write_text(json.dumps(scores))
    server = Server(clip, "--model", "grabcut", out=out)
    yield server
    server.stop()


TAGS = {
    2: ("confidence 0.90: object 1", "confidence 0.90: object 1"),
    5: ("confidence 0.60: object 1", "confidence 0.60: object 1"),
    7: ("lost: object 1", "lost: object 1, the first of a new shot"),
    9: ("flash", "flash"),
    10: ("lost: object 1", "lost: object 1"),
}


def test_a_frame_says_in_words_that_it_is_lost_and_where_a_shot_begins(two_shots, open_screen):
    with open_screen(two_shots.address) as screen:
        screen.until(
            "() => fetch('/api/state').then((answer) => answer.json()).then((state) => state.masks.done)"
        )
        screen.settle()
        assert screen.state()["cuts"] == [7]
        for index, (tag, told) in TAGS.items():
            screen.go(index)
            screen.says("frame-tag", tag)
            assert screen.test_id("overview").get_attribute("aria-valuetext").endswith(f" of 12), {told}")


# The colours of a strip in a frame: two strips of 16 pixels below 12 for the marks.
STRIP = """([frame, place]) => { const canvas = document.getElementById("overview-canvas");
  const tall = canvas.height / 44, wide = canvas.width / 12, context = canvas.getContext("2d");
  const area = [(frame + 0.2) * wide, (14 + 16 * place) * tall, 0.6 * wide, 10 * tall];
  const pixels = context.getImageData(...area).data, colours = new Set();
  for (let at = 0; at < pixels.length; at += 4) colours.add(pixels.slice(at, at + 3).join());
  return [...colours].sort(); }"""


def test_each_object_has_a_strip_and_a_name_that_selects_it(two_shots, open_screen):
    with open_screen(two_shots.address) as screen:
        names = screen.test_id("strip-names").locator("li")
        assert names.all_inner_texts() == ["object 1", "object 2"]
        first, second = (
            [screen.page.evaluate(STRIP, [frame, place]) for frame in (3, 10)] for place in (0, 1)
        )
        assert first[0] != first[1], "object 1 is lost in frame 10"
        assert second[0] == second[1], "and object 2 is not"
        names.nth(1).click()
        screen.until("() => dextrVos.shown().object === 2")


def test_keys_go_to_the_next_frame_in_doubt(two_shots, open_screen):
    with open_screen(two_shots.address) as screen:
        screen.settle()
        screen.go(1)
        screen.press("Shift+PageDown")
        assert screen.shown()["frame"] == 4
        screen.press("Shift+PageUp")
        assert screen.shown()["frame"] == 4, "there is none before"
        screen.press("Shift+PageDown", "Shift+PageDown", "Shift+PageDown", "Shift+PageDown", "Shift+PageDown")
        assert screen.shown()["frame"] == 10, "a flash is none"


def test_the_strip_marks_the_cut_and_the_legend_names_both(two_shots, open_screen):
    with open_screen(two_shots.address) as screen:
        screen.settle()
        cells = screen.page.locator(".cell[data-cut]")
        screen.wait_for(lambda: cells.count() == 1)
        assert cells.get_attribute("data-index") == "7"
        legend = screen.page.locator(".legend").inner_text()
        assert {"uncertain", "lost", "cut"} <= set(legend.split())
