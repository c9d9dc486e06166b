"""How quick the annotation page is: python scripts/measure_page.py CLIP [RUNS].

CLIP should be long, 1,000 frames, say; it is given masks of two objects. Needs playwright and Chromium, as
scripts/test.sh installs them. Prints medians: page opened until frame and mask are drawn (a new browser
profile each time), a step to a frame that is in the page's memory and to one that may not be, a jump to a
frame far away until its image and its mask are drawn, the fourth click until the mask is painted, the pointer
at rest until the preview of a click is shown; then the memory of the page's script and of the server's
processes. Leave the machine alone meanwhile; its load is printed.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from dextr_vos.clip import open_clip
from dextr_vos.masks import write_labels
from dextr_vos.run_files import write_confidence
from dextr_vos.workspace import Workspace

WITHOUT_MASKS = 40  # frames at the beginning
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SETTLED = "() => Boolean(window.dextrVos) && dextrVos.shown().settled"
STEP = """async () => {
  const spent = [];
  for (let i = 0; i < 20; i++) {
    const begin = performance.now();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
    await new Promise((done) => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = done;
      channel.port2.postMessage(0);
    }));
    spent.push(performance.now() - begin);
    await new Promise((done) => setTimeout(done, 120));
  }
  return spent;
}"""
# Press a key, or type a frame, and wait until the frame is on the canvas: in the page, without round trips.
ARRIVE = """async (frame) => {
  const begin = performance.now(), now = dextrVos.shown().frame;
  const right = new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true });
  if (frame === null) document.body.dispatchEvent(right);
  else {
    const field = document.getElementById("frame-number");
    field.value = frame;
    field.dispatchEvent(new Event("change"));
  }
  while (dextrVos.shown().frame === now || !dextrVos.arrived()) await new Promise(requestAnimationFrame);
  return performance.now() - begin;
}"""
HEAP = "() => Math.round((performance.memory?.usedJSHeapSize ?? 0) / 1e6)"
# From the next movement of the pointer until the preview of a click there is drawn.
PREVIEWED = """() => { window.previewed = new Promise((done) => {
  document.getElementById("hud").addEventListener("pointermove", () => {
    const begin = performance.now();
    const look = () => (dextrVos.previewed() ? done(performance.now() - begin) : requestAnimationFrame(look));
    requestAnimationFrame(look);
  }, { once: true });
}); }"""
PAINTED = "() => performance.getEntriesByName('dextr-vos:painted').at(-1)?.duration ?? null"


def add_run(clip: str, out: Path) -> None:
    """Two ellipses in every frame but the first, in which is clicked, as if a run had made them."""
    frames = open_clip(clip)
    height, width = frames.size_hw
    run = Workspace(out).run
    y, x = np.mgrid[:height, :width] / height
    for index, name in enumerate(frames.names):
        turn = 2 * np.pi * index / 50
        labels = np.zeros((height, width), np.uint8)
        for object_id, middle in ((1, 0.6), (2, 1.2)) if index >= WITHOUT_MASKS else ():
            away = (x - middle - 0.1 * np.cos(turn)) ** 2 + 3 * (y - 0.5 - 0.1 * np.sin(turn)) ** 2
            labels[away < 0.03] = object_id
        write_labels(run.mask(name), labels)
        if index == len(frames) // 2:
            write_labels(Workspace(out).keyframe(name), labels)
    record = {"keyframes": [frames.names[len(frames) // 2]], "cuts": []}
    run.record.write_text(json.dumps(record), encoding="utf-8")
    write_confidence(run.confidence, {name: {1: 0.9, 2: 0.6} for name in frames.names})


@contextmanager
def filled_workspace(clip: str) -> Iterator[Path]:
    """A workspace with masks in every frame; it is deleted afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        add_run(clip, Path(scratch))
        yield Path(scratch)


@contextmanager
def server(clip: str, out: Path) -> Iterator[tuple[str, int]]:
    """The page's server on a clip: its address and process number."""
    command = [sys.executable, "-m", "dextr_vos", "annotate", clip, "--out", str(out), "--no-open"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            break
    try:
        yield found[0], process.pid
    finally:
        process.terminate()
        process.wait()


def chromium() -> str | None:
    """The program of the browser."""
    return os.environ.get("CHROMIUM") or which("chromium") or which("chromium-headless-shell")


@contextmanager
def opened(playwright: Any, address: str) -> Iterator[Any]:
    """The page in a browser that has never seen it."""
    with tempfile.TemporaryDirectory() as profile:
        browser = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium(),
            args=FLAGS,
            viewport={"width": 1280, "height": 800},
        )
        page = browser.pages[0]
        page.goto(address)
        yield page
        browser.close()


def settle(page: Any) -> None:
    """Wait until everything asked for is on the canvas."""
    while not page.evaluate(SETTLED):
        page.wait_for_timeout(10)


def opening(playwright: Any, address: str) -> float:
    """Seconds until the page is usable."""
    start = time.perf_counter()
    with opened(playwright, address) as page:
        settle(page)
        return time.perf_counter() - start


def click_to_mask(page: Any) -> float:
    """Milliseconds from the fourth click in a frame to its mask on the canvas."""
    width, height = page.evaluate("() => dextrVos.shown().size")
    for x, y in ((0.4, 0.5), (0.6, 0.5), (0.5, 0.3), (0.5, 0.7)):
        place = page.evaluate("([x, y]) => dextrVos.clientOf(x, y)", [int(x * width), int(y * height)])
        page.mouse.move(*place)
        page.evaluate("() => performance.clearMeasures('dextr-vos:painted')")
        page.mouse.click(*place)
        while page.evaluate(PAINTED) is None:
            page.wait_for_timeout(10)
        settle(page)
    return float(page.evaluate(PAINTED))


def previews(page: Any, count: int) -> list[float]:
    """Milliseconds from the pointer's last movement to the preview of a click, in a frame with a mask."""
    page.evaluate("() => localStorage.setItem('dextr-vos.click-preview', 'true')")  # slow ones stay on
    width, height = page.evaluate("() => dextrVos.shown().size")
    spent = []
    for place in range(count):
        x, y = int((0.42 + 0.16 * place / count) * width), int(0.42 * height)  # beside the points
        to = page.evaluate("([x, y]) => dextrVos.clientOf(x, y)", [x, y])
        page.evaluate(PREVIEWED)
        page.mouse.move(*to)
        spent.append(float(page.evaluate("() => window.previewed")))
    return spent


def arrivals(page: Any, frames: list[str | None]) -> list[float]:
    """Milliseconds until each of these frames, or the next one where None, is on the canvas with its mask."""
    spent = []
    for frame in frames:
        spent.append(float(page.evaluate(ARRIVE, frame)))
        settle(page)
        page.wait_for_timeout(100)
    return spent


def memory_mb(pid: int) -> int:
    """Resident memory of a process and its children, in MB."""
    told = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True)
    rows = [tuple(map(int, line.split())) for line in told.stdout.splitlines()]
    return sum(rss for child, parent, rss in rows if pid in (child, parent)) // 1024


def main(clip: str, runs: int = 10) -> None:
    """Measure and print."""
    with (
        filled_workspace(clip) as out,
        server(clip, out) as (address, pid),
        sync_playwright() as playwright,
    ):
        with opened(playwright, address) as page:
            settle(page)
            clicks = []
            for _ in range(runs + 1):
                clicks.append(click_to_mask(page))
                page.keyboard.press("ArrowRight")
                settle(page)
            page.keyboard.press("ArrowLeft")
            settle(page)
            shown = previews(page, runs + 1)
            for _ in range(20):
                page.keyboard.press("ArrowRight")
                settle(page)
            steps = page.evaluate(STEP)
            names = page.evaluate("() => fetch('/api/names').then((answer) => answer.json())")
            jumps = arrivals(page, [names[(index * 377) % len(names)] for index in range(1, 2 * runs + 1)])
            fresh = arrivals(page, [None] * 2 * runs)
            heap_mb = page.evaluate(HEAP)
        openings = [opening(playwright, address) for _ in range(runs)]
        figures = {
            "page usable, s": openings,
            "frame step from cache, ms": steps,
            "step to the next frame, ms": fresh,
            "jump to a frame far away, ms": jumps,
            "click to painted mask, ms": clicks[1:],  # the first one waits for the network
            "pointer at rest to preview, ms": shown[1:],
        }
        for name, values in figures.items():
            print(f"{name}: {statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})")
        print(f"memory of the page's script, MB: {heap_mb}")
        print(f"load of the machine: {os.getloadavg()[0]:.1f}")
        print(f"memory of the server's processes, MB: {memory_mb(pid)}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
