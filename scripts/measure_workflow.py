"""How long the whole workflow takes on the page: python scripts/measure_workflow.py CLIP MASKS.

CLIP is a folder of frames, MASKS one with a true mask for each, as DAVIS has them: they say where the
object ends, and how good the masks are. As a person would, it clicks the object in the first, middle and
last frame, a click every 1.8 s; propagates; clicks it in the frame that the page suggests; propagates
again; exports masks and video. Prints the seconds of each and the mean J. Needs playwright and Chromium,
as scripts/test.sh installs them.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from measure_page import opened, server, settle
from playwright.sync_api import sync_playwright

from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.geometry import BoolArray, extreme_points
from dextr_vos.masks import VOID, read_labels

BETWEEN_CLICKS_S = 1.8
STATE = "() => fetch('/api/state').then((answer) => answer.json())"


class Workflow:
    """A page on a clip, and the true masks of its frames."""

    def __init__(self, page: Any, masks: list[Path]) -> None:
        self.page, self.masks = page, masks
        self.seconds = 0.0

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Print the seconds that a part takes."""
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        self.seconds += took
        print(f"{what}: {took:.1f} s", flush=True)

    def annotate(self, index: int) -> None:
        """Go to a frame and click the ends of its object."""
        field = self.page.locator("[data-test=frame-number]")
        field.fill(str(index + 1))
        field.press("Enter")
        self.until(f"() => dextrVos.shown().frame === {index}")
        settle(self.page)
        for x, y in extreme_points(drawn(self.masks[index])).tolist():
            time.sleep(BETWEEN_CLICKS_S)
            self.page.mouse.click(*self.page.evaluate("([x, y]) => dextrVos.clientOf(x, y)", [x, y]))
            settle(self.page)

    def propagate(self) -> None:
        """Ask for all masks and wait for them."""
        self.page.keyboard.press("Control+Enter")
        self.until("() => !document.querySelector('[data-test=job]').hidden")
        self.until("() => document.querySelector('[data-test=job]').hidden")
        settle(self.page)
        state = self.page.evaluate(STATE)["last_job"]
        if state["outcome"] != "done":
            sys.exit(f"the propagation ended so: {json.dumps(state)}")

    def export(self, kind: str, folder: Path) -> None:
        """Make and download masks or video."""
        self.page.locator(f"[data-test=make-{kind}]").click()
        self.page.locator(f"[data-test=download-{kind}]").wait_for()
        with self.page.expect_download() as waited:
            self.page.locator(f"[data-test=download-{kind}]").click()
        waited.value.save_as(folder / waited.value.suggested_filename)

    def until(self, ask: str) -> None:
        """Wait until JavaScript gives something true; the page forbids eval, so it is asked from here."""
        while not self.page.evaluate(ask):
            self.page.wait_for_timeout(40)


def drawn(path: Path) -> BoolArray:
    """Where a mask shows an object."""
    labels = read_labels(path)
    found: BoolArray = (labels > 0) & (labels != VOID)
    return found


def mean_j(work: Path, masks: list[Path]) -> float:
    """Mean J of the finished masks, first and last frame left out as DAVIS does."""
    made = sorted(next(path for path in work.rglob("masks") if path.is_dir()).glob("*.png"))
    pairs = list(zip(made, masks, strict=True))[1:-1]
    return float(np.mean([region_similarity(drawn(true), drawn(found)) for found, true in pairs]))


def main(clip: str, mask_folder: str) -> None:
    """Do it once and print how long each part took."""
    masks = sorted(Path(mask_folder).glob("*.png"))
    with (
        tempfile.TemporaryDirectory() as scratch,
        server(clip, Path(scratch) / "work") as (address, _),
        sync_playwright() as playwright,
        opened(playwright, address) as page,
    ):
        settle(page)
        workflow = Workflow(page, masks)
        with workflow.timed("three keyframes clicked"):
            for index in (0, len(masks) // 2, len(masks) - 1):
                workflow.annotate(index)
        with workflow.timed("propagated"):
            workflow.propagate()
        print(f"mean J {mean_j(Path(scratch), masks):.3f}")
        suggested = page.evaluate(STATE)["suggested"]
        with workflow.timed(f"frame {suggested}, the suggested one, corrected"):
            workflow.annotate(suggested)
        with workflow.timed("propagated again"):
            workflow.propagate()
        print(f"mean J {mean_j(Path(scratch), masks):.3f}")
        page.keyboard.press("x")
        with workflow.timed("masks and video exported"):
            for kind in ("masks", "video"):
                workflow.export(kind, Path(scratch))
        print(f"all of it: {workflow.seconds:.1f} s, {len(masks)} frames")


if __name__ == "__main__":
    main(*sys.argv[1:3])
