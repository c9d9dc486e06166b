"""The segmenter in a child process returns what it returns in this one; it is loaded in the background."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_frame
from tiny_page import OTHER, POINTS
from tiny_run import Squares

from dextr_vos.annotation.segmenter import load_segmenter
from dextr_vos.errors import InputError, WeightsError
from dextr_vos.web.segmenter_process import ProcessSegmenter, SegmenterLoader


def test_loading_that_failed_is_tried_again():
    errors = [WeightsError("no memory")]

    def load():
        if errors:
            raise errors.pop()
        return Squares()

    loader = SegmenterLoader("squares", load)
    with pytest.raises(WeightsError, match="no memory"):
        loader.get()
    assert loader.get().name == "squares"
    assert loader.get() is loader.get()


def test_everybody_who_waits_for_a_load_that_fails_is_told():
    errors, go_on, asked = [WeightsError("no memory")], threading.Event(), threading.Semaphore(0)

    def load():
        assert go_on.wait(600)
        if errors:
            raise errors.pop()
        return Squares()

    loader = SegmenterLoader("squares", load)

    def get():
        asked.release()
        try:
            return loader.get().name
        except WeightsError as error:
            return str(error)

    with ThreadPoolExecutor(8) as threads:
        told = [threads.submit(get) for _ in range(8)]
        for _ in told:
            assert asked.acquire(timeout=600)
        go_on.set()
        told = {each.result(600) for each in told}
    assert "no memory" in told
    assert told <= {"no memory", "squares"}, "who asks later gets what is loaded then"
    assert loader.get().name == "squares"


@pytest.mark.slow
def test_the_masks_are_the_same_image_after_image_and_after_a_crash(children):
    here, there = load_segmenter("grabcut"), ProcessSegmenter("grabcut")
    assert (there.name, there.threshold) == (here.name, here.threshold)
    images = [tiny_frame(0), tiny_frame(1)]
    for image in (images[0], images[0], images[1]):
        for objects in ([np.array(POINTS)], [np.array(POINTS), np.array(OTHER)]):
            for one, other in zip(
                here.probabilities(image, objects), there.probabilities(image, objects), strict=True
            ):
                assert one.dtype == other.dtype
                assert (one == other).all()
    os.kill(children()[-1], signal.SIGKILL)
    with pytest.raises(InputError, match="try again"):
        there.probabilities(images[1], [np.array(POINTS)])
    again = there.probabilities(images[1], [np.array(POINTS)])
    assert (again[0] == here.probabilities(images[1], [np.array(POINTS)])[0]).all()
    there.close()


@pytest.fixture
def children():
    """The process ids of the children that were started during the test."""

    def started() -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                found.append(int(path.parent.name))
        return sorted(set(found) - before)

    before: set[int] = set()
    before.update(started())
    return started


@pytest.mark.slow
def test_the_shipped_network_gives_the_same_mask_as_in_this_process():
    objects = [np.array(POINTS)]
    there = ProcessSegmenter("lite", device="cpu")
    mask = there.probabilities(tiny_frame(0), objects)[0]
    expected = load_segmenter("lite", device="cpu").probabilities(tiny_frame(0), objects)[0]
    assert np.allclose(mask, expected, atol=1e-4)
    there.close()


@pytest.mark.slow
def test_errors_of_loading_are_raised_as_they_are(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"no weights")
    with pytest.raises((WeightsError, InputError), match=r"w\.pth"):
        ProcessSegmenter("lite", tmp_path / "w.pth")


def test_a_child_whose_server_ends_while_it_loads_ends_in_silence():
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "dextr_vos.web.segmenter_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child.stdout.close()
    with child.stderr as errors:
        child.stdin.write(pickle.dumps(("grabcut", None, "auto")))
        child.stdin.close()
        assert errors.read() == b""
    child.wait(600)
