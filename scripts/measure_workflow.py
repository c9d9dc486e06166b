"""How long a whole job takes on the page: python scripts/measure_workflow.py CLIP MASKS.

CLIP is a folder of frames, MASKS one with a true mask for each: they say where a person would click, and how
good the masks are. As a person would, with a click every 1.8 s, it clicks each object in some frames,
propagates, corrects the frames that the page suggests, and propagates again, until the mean J is reached;
then it exports masks and video. Prints the seconds and the clicks of each part. `--size` and `--frames` make
another clip of CLIP: larger, and longer by going back and forth in it. Needs playwright and Chromium, as
scripts/test.sh installs them.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measure_page import opened, server, settle
from playwright.sync_api import sync_playwright

from dextr_vos.annotation.corrections import next_correction
from dextr_vos.annotation.prompts import Click
from dextr_vos.clip import open_clip
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.geometry import BoolArray, extreme_points
from dextr_vos.images import read_image
from dextr_vos.masks import VOID, Labels, object_ids, read_labels
from dextr_vos.workspace import Workspace

BETWEEN_CLICKS_S = 1.8
STATE = "() => fetch('/api/state').then((answer) => answer.json())"
GOOD_IOU = 0.9  # a person leaves a mask that is as good as this alone
MOST_CORRECTIONS = 4  # of an object in a frame


class Workflow:
    """A page on a clip, and the true masks of its frames.

    Args:
        page: shows a clip without annotations.
        work: its workspace.
        names: of its frames.
        truths: labels of its frames, H×W uint8; object ids from 1 on, without gaps.
    """

    def __init__(self, page: Any, work: Workspace, names: list[str], truths: list[Labels]) -> None:
        self.page, self.work, self.names, self.truths = page, work, names, truths
        self.objects = max(max(object_ids(truth), default=0) for truth in truths)
        self.seconds, self.clicks, self._clicked_at = 0.0, 0, 0.0

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Print the seconds and the clicks of a part."""
        began, clicks = time.perf_counter(), self.clicks
        yield
        took = time.perf_counter() - began
        self.seconds += took
        made = f", {self.clicks - clicks} clicks" if self.clicks > clicks else ""
        print(f"{what}: {took:.1f} s{made}", flush=True)

    def add_objects(self) -> None:
        """List the objects."""
        for _ in range(self.objects):
            self.page.keyboard.press("n")
            settle(self.page)

    def go(self, index: int) -> None:
        """Go to a frame, as a person types its number."""
        field = self.page.locator("[data-test=frame-number]")
        field.fill(self.names[index])
        field.press("Enter")
        self.until(f"() => dextrVos.shown().frame === {index}")
        settle(self.page)

    def annotate(self, index: int) -> None:
        """Click the objects in a frame that have no good mask there; the frame becomes a keyframe."""
        self.go(index)
        for object_id in object_ids(self.truths[index]):
            self.page.keyboard.press(str(object_id))
            if not self.mask(index, object_id).any():
                for x, y in extreme_points(self.truths[index] == object_id).tolist():
                    self.click(x, y)
            self.correct(index, object_id)
        if self.page.evaluate(STATE)["keyframes"].get(str(index), {"corrected": True})["corrected"]:
            self.page.keyboard.press("k")
            settle(self.page)

    def correct(self, index: int, object_id: int) -> None:
        """Click where the mask of an object is wrong until it is good."""
        truth, void = self.truths[index] == object_id, self.truths[index] == VOID
        before: list[Click] = []
        while len(before) < MOST_CORRECTIONS:
            mask = self.mask(index, object_id)
            click = next_correction(mask, truth, void, before=before)
            if click is None or region_similarity(truth, mask) >= GOOD_IOU:
                return
            self.click(click.x, click.y, "left" if click.positive else "right")
            before.append(click)

    def click(self, x: int, y: int, button: str = "left") -> None:
        """Click on a pixel, not sooner after the last click than a person does."""
        time.sleep(max(0.0, self._clicked_at + BETWEEN_CLICKS_S - time.perf_counter()))
        self._clicked_at = time.perf_counter()
        self.page.mouse.click(
            *self.page.evaluate("([x, y]) => dextrVos.clientOf(x, y)", [x, y]), button=button
        )
        settle(self.page)
        self.clicks += 1

    def mask(self, index: int, object_id: int) -> BoolArray:
        """An object's mask in a frame, H×W bool."""
        name = self.names[index]
        files = (self.work.correction(name), self.work.keyframe(name), self.work.run.mask(name))
        file = next((path for path in files if path.exists()), None)
        if file is None:
            return np.zeros(self.truths[index].shape, bool)
        return np.asarray(read_labels(file) == object_id)

    def mean_j(self) -> float:
        """Mean J of frames and objects, first and last frame left out as DAVIS does."""
        values = [
            region_similarity(self.truths[index] == object_id, self.mask(index, object_id))
            for index in range(1, len(self.names) - 1)
            for object_id in range(1, self.objects + 1)
        ]
        return float(np.mean(values))

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
        made = len(self.page.evaluate(STATE)["exports"])
        self.page.locator("[data-test=export-format]").select_option(kind)
        self.page.locator("[data-test=export-start]").click()
        done = f".then((state) => state.job === null && state.exports.length > {made})"
        self.until(STATE + done)
        file = self.page.locator("[data-test=export-file]").first
        with self.page.expect_download() as waited:
            file.click()
        waited.value.save_as(folder / waited.value.suggested_filename)

    def until(self, ask: str) -> None:
        """Wait until JavaScript gives something true; the page forbids eval, so it is asked from here."""
        while not self.page.evaluate(ask):
            self.page.wait_for_timeout(40)


def numbered(labels: Labels, ids: list[int]) -> Labels:
    """Labels with these objects only, as 1, 2, …; void pixels stay."""
    new = np.where(labels == VOID, labels, 0).astype(np.uint8)
    for place, object_id in enumerate(ids, 1):
        new[labels == object_id] = place
    return new


def there_and_back(length: int, frames: int) -> list[int]:
    """Indices of frames, going back and forth where more are wanted than there are."""
    round_trip = [*range(length), *range(length - 2, 0, -1)]
    return [round_trip[index % len(round_trip)] for index in range(frames)]


def make_clip(given: argparse.Namespace, folder: Path) -> tuple[Path, list[Labels]]:
    """The clip to work on, and its true labels."""
    with open_clip(given.clip) as clip:
        files, masks = sorted(given.clip.iterdir()), sorted(given.masks.glob("*.png"))
        order = there_and_back(len(clip), given.frames or len(clip))
        size = given.size or clip.size_hw[::-1]
    ids = object_ids(read_labels(masks[0]))[: given.objects]
    truths = [
        cv2.resize(numbered(read_labels(masks[index]), ids), size, interpolation=cv2.INTER_NEAREST)
        for index in range(len(masks))
    ]
    for place, index in enumerate(order):
        image = cv2.resize(read_image(files[index]), size, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{place:05d}.jpg"), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return folder, [truths[index] for index in order]


def work_through(workflow: Workflow, given: argparse.Namespace, folder: Path) -> None:
    """Do the whole job and print how long each part took."""
    last = len(workflow.names) - 1
    with workflow.timed(f"{given.keyframes} keyframes clicked"):
        workflow.add_objects()
        for index in np.linspace(0, last, given.keyframes).round().astype(int).tolist():
            workflow.annotate(index)
    for rounds in range(given.rounds + 1):
        with workflow.timed("propagated"):
            workflow.propagate()
        reached = workflow.mean_j()
        print(f"mean J {reached:.3f}", flush=True)
        if reached >= given.aim or rounds == given.rounds:
            break
        for _ in range(given.repairs):
            suggested = workflow.page.evaluate(STATE)["suggested"]
            with workflow.timed(f"frame {suggested}, the suggested one, corrected"):
                workflow.annotate(suggested)
    workflow.page.keyboard.press("x")
    with workflow.timed("masks and video exported"):
        for kind in ("masks", "overlay"):
            workflow.export(kind, folder)
    print(
        f"all of it: {workflow.seconds:.1f} s, {workflow.clicks} clicks, {last + 1} frames, "
        f"{workflow.objects} objects; load of the machine {os.getloadavg()[0]:.1f}"
    )


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--objects", type=int, help="only so many of the first mask's objects")
    parser.add_argument("--frames", type=int, help="length of the clip, longer than CLIP if need be")
    parser.add_argument(
        "--size", type=lambda text: tuple(map(int, text.split("x"))), help="of the frames, 1920x1080"
    )
    parser.add_argument("--keyframes", type=int, default=3, help="clicked before the first run")
    parser.add_argument("--aim", type=float, default=0.9, help="mean J at which the job is done")
    parser.add_argument("--rounds", type=int, default=5, help="at most so many runs after the first")
    parser.add_argument("--repairs", type=int, default=1, help="frames corrected before each of them")
    return parser.parse_args()


def main() -> None:
    """Do it once."""
    given = options()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch) / "clip"
        folder.mkdir()
        clip, truths = make_clip(given, folder)
        work = Path(scratch) / "work"
        with server(str(clip), work) as (address, _), opened(playwright, address) as page:
            settle(page)
            names = page.evaluate("() => fetch('/api/names').then((answer) => answer.json())")
            work_through(Workflow(page, Workspace(work), names, truths), given, Path(scratch))


if __name__ == "__main__":
    main()
