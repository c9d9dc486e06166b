"""How quick the annotation page is: python scripts/measure_page.py CLIP [RUNS].

CLIP should be long, 1,000 frames, say. Needs playwright and Chromium, as scripts/test.sh installs them.
Prints medians: page opened until frame and mask are drawn (a new browser profile each time), a frame step
among frames seen before, the fourth click until the mask is painted, and the memory of the server's
processes. Leave the machine alone meanwhile.
"""

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
from typing import Any

from playwright.sync_api import sync_playwright

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
PAINTED = "() => performance.getEntriesByName('dextr-vos:painted').at(-1)?.duration ?? null"


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


@contextmanager
def opened(playwright: Any, address: str) -> Iterator[Any]:
    """The page in a browser that has never seen it."""
    with tempfile.TemporaryDirectory() as profile:
        browser = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
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


def memory_mb(pid: int) -> int:
    """Resident memory of a process and its children, in MB."""
    told = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True)
    rows = [tuple(map(int, line.split())) for line in told.stdout.splitlines()]
    return sum(rss for child, parent, rss in rows if pid in (child, parent)) // 1024


def main(clip: str, runs: int = 10) -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        server(clip, Path(scratch)) as (address, pid),
        sync_playwright() as playwright,
    ):
        with opened(playwright, address) as page:
            settle(page)
            clicks = []
            for _ in range(runs + 1):
                clicks.append(click_to_mask(page))
                page.keyboard.press("ArrowRight")
                settle(page)
            for _ in range(20):
                page.keyboard.press("ArrowRight")
                settle(page)
            steps = page.evaluate(STEP)
        openings = [opening(playwright, address) for _ in range(runs)]
        figures = {
            "page usable, s": openings,
            "frame step from cache, ms": steps,
            "click to painted mask, ms": clicks[1:],  # the first one waits for the network
        }
        for name, values in figures.items():
            print(f"{name}: {statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})")
        print(f"memory of the server's processes, MB: {memory_mb(pid)}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
