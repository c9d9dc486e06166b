"""Seeing results: masks on thumbnails, a preview over the timeline, before and after, following a run."""

import json

import pytest
from conftest import tiny_mask, write_tiny_clip
from web.browser.conftest import Server

from dextr_vos.masks import write_labels

PIXEL = """([x, y]) => { const canvas = document.getElementById("image");
  const box = canvas.getBoundingClientRect(), [cx, cy] = dextrVos.clientOf(x, y);
  return [...canvas.getContext("2d").getImageData(cx - box.left, cy - box.top, 1, 1).data]; }"""


@pytest.fixture(scope="module")
def propagated(tmp_path_factory):
    """A server with a run on six frames; before it, all masks were that of the last frame."""
    folder = tmp_path_factory.mktemp("results")
    clip, out = write_tiny_clip(folder / "tiny"), folder / "work"
    names = [f"{index:05d}" for index in range(6)]
    write_labels(out / "keyframes" / "00000.png", tiny_mask(0))
    for index, name in enumerate(names):
        write_labels(out / "propagation" / "masks" / f"{name}.png", tiny_mask(index))
        write_labels(out / "history" / "replaced" / f"{name}.png", tiny_mask(5))
    (out / "propagation" / "run.json").write_text(json.dumps({"keyframes": ["00000"]}))
    (out / "propagation" / "confidence.json").write_text(json.dumps({name: {"1": 0.9} for name in names}))
    server = Server(clip, out=out)
    yield server
    server.stop()


def _masked(place: str) -> str:
    """Whether a thumbnail shows a mask."""
    return f"""() => {{ const mask = document.querySelector("{place} .mask");
      return Boolean(mask && mask.naturalWidth && getComputedStyle(mask).visibility === "visible"); }}"""


def test_thumbnails_and_the_preview_show_masks(propagated, open_screen):
    with open_screen(propagated.address) as screen:
        screen.until(_masked("[data-index='1']"))
        box = screen.test_id("overview").bounding_box()
        screen.page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 20)
        screen.until(_masked("[data-test=preview]"))
        assert screen.test_id("preview").inner_text() == "00003"
        screen.page.mouse.move(box["x"] + 100, box["y"] - 200)
        screen.test_id("preview").wait_for(state="hidden")


def test_masks_before_and_after_a_run_are_compared(propagated, open_screen):
    with open_screen(propagated.address) as screen:
        screen.go(2)
        screen.press("w")
        replaced, present = [44, 24], [18, 24]  # pixels of one mask only
        screen.page.mouse.move(*screen.where((0, 5)))
        screen.drawn()
        now = {place: screen.page.evaluate(PIXEL, place) for place in map(tuple, (replaced, present))}
        screen.page.mouse.move(*screen.where((63, 5)))
        for place, colour in now.items():
            screen.wait_for(lambda place=place, colour=colour: screen.page.evaluate(PIXEL, place) != colour)
        version = screen.shown()["version"]
        screen.click((40, 20))
        assert screen.shown()["version"] == version, "nothing is edited while comparing"
        screen.press("w")
        screen.has("compare", "aria-pressed", "false")


def test_the_image_and_its_masks_are_side_by_side_and_both_are_clicked(propagated, open_screen):
    with open_screen(propagated.address) as screen:
        screen.go(1)
        masked = [18, 24]
        screen.drawn()
        with_mask = screen.page.evaluate(PIXEL, masked)
        screen.press("Shift+W")
        screen.wait_for(lambda: screen.page.evaluate(PIXEL, masked) != with_mask)
        stage, (x, y) = screen.test_id("canvas").bounding_box(), screen.where((18, 24))
        screen.page.mouse.click(x + stage["width"] / 2, y, button="right")
        screen.settle()
        assert screen.points(1) == [[18, 24, "negative"]]
        screen.press("Control+z", "Shift+W")
        screen.wait_for(lambda: screen.page.evaluate(PIXEL, masked) == with_mask)


# In place of the server's events, of which there is no end.
EVENTS = """window.EventSource = class extends EventTarget {
  constructor() { super(); setTimeout(() => this.tell()); }
  tell() {
    for (const [kind, data] of %s) this.dispatchEvent(new MessageEvent(kind, { data: JSON.stringify(data) }));
  }
  close() {} };"""


def test_the_page_shows_frames_as_a_run_makes_them(propagated, open_screen):
    job = {"kind": "propagate", "phase": "segmenting", "done": 1, "total": 6, "loss": None, "seconds_left": 9}
    events = [("job", job), ("frame", {"index": 4})]
    with open_screen(propagated.address) as screen:
        screen.page.add_init_script(EVENTS % json.dumps(events))
        screen.page.reload()
        screen.test_id("follow").check()
        screen.until("() => dextrVos.shown().frame === 4")
        screen.settle()
        assert screen.test_id("cancel").inner_text() == "Stop", "the masks made by then stay"
        screen.press("k")
        assert not screen.test_id("follow").is_checked()
        assert "4" not in screen.state()["keyframes"], "the frame came just before the key"
        screen.press("k")
        assert "4" in screen.state()["keyframes"]
        screen.press("Control+z")
        screen.test_id("follow").check()
        screen.press("ArrowLeft", settle=False)
        screen.until("() => dextrVos.shown().frame === 3")
        assert not screen.test_id("follow").is_checked(), "whoever goes to another frame stays there"
