"""Take the pictures of the annotation page in the documentation: python scripts/take_pictures.py docs/images.

Renders three clips, annotates one of them on the page as a person would, and takes a picture in dark and in
light at five moments, in about three minutes. Needs playwright and Chromium, as scripts/test.sh installs
them; fonts-inter gives the letters that the present pictures have. Look at the new ones before you commit.
"""

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from measure_page import FLAGS, chromium, server, settle
from measure_workflow import Workflow
from PIL import Image
from playwright.sync_api import sync_playwright

from dextr_vos.geometry import BoolArray, extreme_points
from dextr_vos.masks import Labels, read_labels
from dextr_vos.workspace import Workspace

CLIP, BEGUN, NOT_BEGUN = "turntable", "leaf", "stone"
LENGTHS = {CLIP: 60, BEGUN: 24, NOT_BEGUN: 24}
WHOLE = (15, 59)  # keyframes that show the whole object
OVERLOOKED, CORRECTED, FINISHED = 27, 28, 36  # frames with the object on both sides of the pole
POLE_X = 375  # a column of the pole
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
LIST: dict[str, Any] = {"viewport": {"width": 1280, "height": 420}}
TABLET: dict[str, Any] = {"viewport": {"width": 1024, "height": 768}, "has_touch": True, "is_mobile": True}
AWAY = (640, 20)  # where the pointer shows nothing
LOADED = "() => [...document.images].every((image) => image.complete)"


def command(*arguments: str | Path) -> None:
    """Run a command of dextr-vos."""
    subprocess.run([sys.executable, "-m", "dextr_vos", *map(str, arguments)], check=True)


def click_extremes(workflow: Workflow, index: int, mask: BoolArray) -> None:
    """Click the object in a frame; the rightmost point last, for the loupe hides no other one then."""
    workflow.go(index)
    left, right, top, bottom = extreme_points(mask).tolist()
    for point in (left, top, bottom, right):
        workflow.click(*point)


def click_middle(workflow: Workflow, index: int, mask: BoolArray) -> None:
    """Click the middle of a part of the object in a frame."""
    workflow.go(index)
    y, x = np.argwhere(mask).mean(axis=0).round().astype(int).tolist()
    workflow.click(x, y)


class Photographer:
    """Opens pages, and keeps pictures of them in a folder."""

    def __init__(self, browser: Any, folder: Path) -> None:
        self.browser, self.folder = browser, folder

    @contextmanager
    def opened(self, address: str, screen: dict[str, Any]) -> Iterator[Any]:
        """The page at an address on such a screen."""
        context = self.browser.new_context(**screen)
        page = context.new_page()
        page.goto(address)
        yield page
        context.close()

    def take(self, page: Any, name: str) -> None:
        """Take the page as it is, in both themes."""
        for theme in ("dark", "light"):
            page.emulate_media(color_scheme=theme)
            page.locator(".toast").first.wait_for(state="detached")
            page.wait_for_timeout(2000)  # the film strip moves first, and asks for its images when it stands
            while not page.evaluate(LOADED):
                page.wait_for_timeout(100)
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            path = self.folder / f"{name}-{theme}.webp"
            image.save(path, quality=90, method=6)
            print(path, flush=True)


def annotate(photographer: Photographer, address: str, work: Path, truths: list[Labels]) -> None:
    """Annotate, propagate, correct and propagate again, and take pictures on the way."""
    names = [f"{index:05d}" for index in range(len(truths))]
    masks = [truth == 1 for truth in truths]
    beyond = np.arange(truths[0].shape[1]) >= POLE_X
    with photographer.opened(address, DESKTOP) as page:
        settle(page)
        workflow = Workflow(page, Workspace(work), names, truths)
        click_extremes(workflow, WHOLE[0], masks[WHOLE[0]])
        photographer.take(page, "annotate")
        # what lies beyond the pole is overlooked here, and so the network misses half of it in the next frame
        click_extremes(workflow, OVERLOOKED, masks[OVERLOOKED] & ~beyond)
        click_extremes(workflow, WHOLE[1], masks[WHOLE[1]])
        workflow.propagate()
        click_middle(workflow, CORRECTED, masks[CORRECTED] & beyond)
        page.mouse.move(*AWAY)
        photographer.take(page, "correct")
        with photographer.opened(f"{address}#frame={CORRECTED}", TABLET) as tablet:
            settle(tablet)
            photographer.take(tablet, "tablet")
        click_middle(workflow, OVERLOOKED, masks[OVERLOOKED] & beyond)
        workflow.propagate()
        workflow.go(FINISHED)
        page.mouse.move(*AWAY)
        photographer.take(page, "finished")


def main(folder: str) -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        root, work = Path(scratch), Path(scratch) / "work"
        for seed, (name, length) in enumerate(LENGTHS.items()):
            command("synthesize", "-o", root, "--name", name, "--length", str(length), "--seed", str(seed))
        clips, masks = (root / "JPEGImages" / "480p").rename(root / "clips"), root / "Annotations" / "480p"
        command("annotate", clips / BEGUN, "--simulate", masks / BEGUN, "-o", work / BEGUN)
        truths = [read_labels(path) for path in sorted((masks / CLIP).iterdir())]
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        photographer = Photographer(browser, Path(folder))
        with server(str(clips / CLIP), work / CLIP) as (address, _):
            annotate(photographer, address, work / CLIP, truths)
        with server(str(clips), work) as (address, _), photographer.opened(address, LIST) as page:
            page.get_by_text(f"Continue with {BEGUN}").wait_for()
            photographer.take(page, "project")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
