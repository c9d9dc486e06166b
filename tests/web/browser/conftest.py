"""Fixtures of the tests in a real browser: the browser, clips, a server in a process of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from web.browser.screen import PATIENCE_S, Screen, open_context

# without windows, the headless shell needs half as much of the processor
_PROGRAMS = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(os.path.exists, _PROGRAMS), _PROGRAMS[0])
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
]
# Arguments of a server for runs where it matters that they are made, not how well; see `short_runs`.
SHORT = ("--max-steps", "2")
# Those for runs that are cancelled: however late that is, they have not ended.
ENDLESS = ("--max-steps", "1000000")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, with a profile of its own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip(
            "playwright is not installed; pip install playwright and apt-get install chromium-headless-shell "
            "to run these"
        )
    if not Path(CHROMIUM).exists():
        pytest.skip(
            f"there is no {CHROMIUM}; apt-get install chromium-headless-shell, or set CHROMIUM, to run these"
        )
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-test")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        stuck = threading.Timer(60, _kill_browsers)  # nobody needs it any more
        stuck.daemon = True
        stuck.start()
        browser.close()
    stuck.cancel()


def _kill_browsers() -> None:
    """Kill Chromium, which may hang as it closes, and Playwright, which waits while its pipe is open."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "chrom" in process.name() or "run-driver" in process.cmdline():
                process.kill()


class Server:
    """`dextr-vos annotate` in a process of its own."""

    def __init__(self, *arguments: str | Path, out: Path | None = None) -> None:
        if out is not None:
            arguments = (*arguments, "--out", out)
        self.out = out
        small = "--max-steps" in arguments
        program = [str(Path(__file__).with_name("short_runs.py"))] if small else ["-m", "dextr_vos"]
        command = [sys.executable, *program, "annotate", "--no-open", *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self._wait_for_address()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def _wait_for_address(self) -> str:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = re.search(r"http://\S+token=[\w-]+", "".join(self.lines))
            if found:
                return found[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError("the server gave no address:\n" + "".join(self.lines))

    def kill(self) -> None:
        """As kill -9 does it."""
        self.process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self) -> None:
        """As Ctrl-C does it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self._end()

    def _end(self) -> None:
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE_S)  # until its children, which write to the same stream, have ended, too
        assert not self._reader.is_alive(), "what the server started goes on"
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="session")
def real_clip(davis_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of scooter-black as they are."""
    return _frames(davis_root, tmp_path_factory.mktemp("real") / "scooter", range(12), None)


@pytest.fixture(scope="session")
def small_clip(davis_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of scooter-black, three apart, made small."""
    return _frames(davis_root, tmp_path_factory.mktemp("small") / "scooter", range(20, 29, 3), (214, 120))


def _frames(root: Path, folder: Path, indices: range, size: tuple[int, int] | None) -> Path:
    source = root / "JPEGImages" / "480p" / "scooter-black"
    folder.mkdir()
    for place, index in enumerate(indices):
        frame = source / f"{index:05d}.jpg"
        if size is None:
            shutil.copy(frame, folder / f"{place:05d}.jpg")
        else:
            Image.open(frame).resize(size, Image.Resampling.LANCZOS).save(folder / f"{place:05d}.png")
    return folder


@pytest.fixture(scope="session")
def annotating(browser: Any, real_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server on the real clip; every test keeps to frames of its own."""
    server = Server(real_clip, out=tmp_path_factory.mktemp("annotating") / "work")
    yield server
    server.stop()


@contextmanager
def _screen(browser: Any, address: str, **context: Any) -> Iterator[Screen]:
    settings = {"viewport": {"width": 1280, "height": 800}, "accept_downloads": True, **context}
    errors: list[str] = []
    with open_context(browser, **settings) as opened:
        page = opened.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        screen = Screen(page)
        screen.settle()
        yield screen
    assert not errors, errors


@pytest.fixture(scope="session")
def open_screen(browser: Any) -> Callable[..., Any]:
    """A context manager: the page at an address, settled; it must have met no error when it closes."""
    return lambda address, **context: _screen(browser, address, **context)


@pytest.fixture(scope="session")
def extremes(davis_root: Path) -> Callable[[int], list[tuple[int, int]]]:
    """The four extreme points of the scooter in a frame of the real clip, from its true mask."""
    from dextr_vos.geometry import extreme_points
    from dextr_vos.masks import read_labels

    def of(index: int) -> list[tuple[int, int]]:
        mask = read_labels(davis_root / "Annotations" / "480p" / "scooter-black" / f"{index:05d}.png")
        return [(int(x), int(y)) for x, y in extreme_points(mask == 1)]

    return of


@pytest.fixture(scope="session")
def expected(real_clip: Path) -> Callable[..., np.ndarray]:
    """What the segmenter itself makes of points in a frame of the real clip."""
    import torch

    from dextr_vos.annotation.prompts import Prompt
    from dextr_vos.annotation.segmenter import label_frame, load_segmenter
    from dextr_vos.clip import open_clip

    torch.set_num_threads(1)
    clip, segmenter = open_clip(real_clip), load_segmenter(device="cpu")

    def labels(index: int, objects_xy: dict[int, list[tuple[int, int]]]) -> np.ndarray:
        return label_frame(
            segmenter, clip.read(index), {key: Prompt(np.array(points)) for key, points in objects_xy.items()}
        )

    return labels


@pytest.fixture(scope="session")
def boxed(real_clip: Path) -> Callable[..., np.ndarray]:
    """What the segmenter itself makes of two corners of a box in a frame of the real clip."""
    import torch

    from dextr_vos.annotation.segmenter import load_segmenter
    from dextr_vos.clip import open_clip

    torch.set_num_threads(1)
    clip, segmenter = open_clip(real_clip), load_segmenter(device="cpu")

    def labels(index: int, *corners: tuple[int, int]) -> np.ndarray:
        box = np.concatenate([np.min(corners, axis=0), np.max(corners, axis=0)])
        return segmenter.segment(clip.read(index), box_xyxy=box).astype(np.uint8)

    return labels


@pytest.fixture(scope="session")
def refined(real_clip: Path) -> Callable[..., np.ndarray]:
    """What the segmenter itself makes of a mask and clicks, x, y and whether positive, in the real clip."""
    import torch

    from dextr_vos.annotation.segmenter import load_segmenter
    from dextr_vos.clip import open_clip

    torch.set_num_threads(1)
    clip, segmenter = open_clip(real_clip), load_segmenter(device="cpu")

    def labels(
        index: int, mask: np.ndarray, points: list[tuple[int, int]], clicks: list[tuple[int, int, bool]]
    ) -> np.ndarray:
        positive, negative = (
            [click[:2] for click in clicks if click[2] is wanted] for wanted in (True, False)
        )
        return segmenter.refine(clip.read(index), mask == 1, positive, negative, points or None)

    return labels
