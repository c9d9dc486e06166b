"""The page as a test drives it: clicks on image pixels, waits until all is answered, labels as displayed."""

import base64
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Pixel = tuple[int, int]
# For how long a test waits for what must come: a busy machine may take many times as long as another.
PATIENCE_S = 300.0
_SHOWN = "() => dextrVos.shown()"
# A project has a page for each clip, and the clip's routes are below its address.
_GET = "(path) => fetch(location.pathname.replace(/[/]$/, '') + path).then((answer) => answer.json())"
_EMPTY = """(index) => fetch(`${location.pathname.replace(/[/]$/, "")}/api/frames/${index}/keyframe`,
  { method: "POST", headers: { "content-type": "application/json" }, body: '{"keyframe": false}' })
  .then((answer) => answer.json()).then((answer) => answer.version)"""
_LABELS = """() => { const labels = dextrVos.labels(), { size } = dextrVos.shown();
  if (!labels) return null;
  let text = ""; for (const one of labels) text += String.fromCharCode(one); return [btoa(text), size]; }"""


@contextmanager
def open_context(browser: Any, **settings: Any) -> Iterator[Any]:
    """A context of the browser, in which nothing is given up early."""
    context = browser.new_context(**settings)
    context.set_default_timeout(1000 * PATIENCE_S)
    try:
        yield context
    finally:
        context.close()


class Screen:
    """A page of the browser, driven by what a person does."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def until(self, ask: str, seconds: float = PATIENCE_S) -> Any:
        """Wait until JavaScript gives something true; polled from outside, for the page forbids eval."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.page.evaluate(ask)
            if found:
                return found
            self.page.wait_for_timeout(40)
        raise AssertionError(f"still not {ask}; the page shows {self.page.evaluate(_SHOWN)}")

    def wait_for(self, happened: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Wait until something has happened on this side of the browser."""
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, "it never happened"
            self.page.wait_for_timeout(40)

    def route(self, pattern: str, answer: Callable[[Any], object]) -> None:
        """Answer the page's requests in the server's place, from this moment on.

        Chromium says that it intercepts a little before it does; so a probe is sent until it is intercepted.
        """
        self.page.route("**/probe", lambda route: route.fulfill(status=299))
        self.until("() => fetch('/probe').then((answer) => answer.status === 299, () => false)")
        self.page.route(pattern, answer)
        self.page.unroute("**/probe")

    def settle(self) -> None:
        """Every edit is answered, frame and mask are drawn."""
        self.until("() => Boolean(window.dextrVos) && dextrVos.shown().settled")

    def drawn(self) -> None:
        """All that was to be drawn by now is on the canvases."""
        self.until("() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(true))))")

    def run(self, start: Callable[[], object]) -> dict[str, Any]:
        """Start a run and wait for its end; what the server says then, which the page shows."""
        with self.page.expect_response("**/api/propagate"):
            start()
        self.wait_for(lambda: self.state()["job"] is None, 3 * PATIENCE_S)
        state = self.state()
        self.until("() => document.querySelector('[data-test=job]').hidden")
        self.until(f"() => dextrVos.shown().version >= {state['version']}")
        self.settle()
        return state

    def shown(self) -> dict[str, Any]:
        """Frame, object, version, scale."""
        return self.page.evaluate(_SHOWN)

    def labels(self) -> np.ndarray:
        """Labels on the canvas, H×W; zeros where the frame has no mask."""
        self.settle()
        found = self.page.evaluate(_LABELS)
        if found is None:
            width, height = self.shown()["size"]
            return np.zeros((height, width), dtype=np.uint8)
        text, (width, height) = found
        return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(height, width)

    def where(self, pixel: Pixel) -> tuple[float, float]:
        """The middle of an image's pixel in the window."""
        x, y = self.page.evaluate("([x, y]) => dextrVos.clientOf(x, y)", list(pixel))
        return x, y

    def click(self, *pixels: Pixel, button: str = "left") -> None:
        """Click on pixels, one after the other, and wait for the answers."""
        for pixel in pixels:
            x, y = self.where(pixel)
            self.page.mouse.move(x, y)
            self.page.mouse.click(x, y, button=button)
            self.settle()

    def drag(self, *pixels: Pixel, settle: bool = True) -> None:
        """Press on the first pixel, move over the others, release on the last."""
        self.page.mouse.move(*self.where(pixels[0]))
        self.page.mouse.down()
        for pixel in pixels[1:]:
            self.page.mouse.move(*self.where(pixel), steps=4)
        self.page.mouse.up()
        if settle:
            self.settle()

    def press(self, *keys: str, settle: bool = True) -> None:
        """Press keys, waiting after each."""
        for key in keys:
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(30)
            if settle:
                self.settle()

    def go(self, index: int) -> None:
        """Go to a frame by its number field, as a person types it."""
        names = self.page.evaluate(_GET, "/api/names")
        field = self.page.get_by_test_id("frame-number")
        field.fill(names[index] if all(name.isdigit() for name in names) else str(index + 1))
        field.press("Enter")
        self.until(f"() => dextrVos.shown().frame === {index}")
        self.settle()

    def empty(self, index: int) -> None:
        """Remove what other tests on the same server may have left in a frame."""
        version = self.page.evaluate(_EMPTY, index)
        self.until(f"() => dextrVos.shown().version >= {version}")
        self.settle()

    def go_empty(self, index: int) -> None:
        """Go to a frame, which is empty then."""
        self.empty(index)
        self.go(index)

    def state(self) -> dict[str, Any]:
        """What the server says."""
        return self.page.evaluate(_GET, "/api/state")

    def points(self, frame: int, number: int = 1) -> list[list[int]]:
        """Points that the server holds."""
        entry = self.state()["keyframes"].get(str(frame), {"objects": {}})["objects"].get(str(number))
        return entry["points"] if entry else []

    def server_mask(self, frame: int) -> np.ndarray:
        """The labels that the server serves."""
        text = self.page.evaluate(
            """async (frame) => { const base = location.pathname.replace(/[/]$/, "");
              const answer = await fetch(`${base}/api/masks/${frame}`);
              const bytes = new Uint8Array(await answer.arrayBuffer()); let text = "";
              for (const byte of bytes) text += String.fromCharCode(byte); return btoa(text); }""",
            frame,
        )
        return np.array(Image.open(io.BytesIO(base64.b64decode(text))))

    def test_id(self, name: str) -> Any:
        """An element by its data-test."""
        return self.page.get_by_test_id(name)

    def says(self, name: str, text: str) -> None:
        """Wait until an element contains a text, in letters of either case."""
        self.test_id(name).filter(has_text=text).first.wait_for()

    def has(self, name: str, attribute: str, value: str) -> None:
        """Wait until an element's attribute has a value."""
        self.test_id(name).and_(self.page.locator(f'[{attribute}="{value}"]')).wait_for()

    def download(self, name: str, folder: Path) -> Path:
        """Click on what downloads, and keep the file."""
        with self.page.expect_download() as waited:
            self.test_id(name).click()
        path = folder / waited.value.suggested_filename
        waited.value.save_as(path)
        return path
