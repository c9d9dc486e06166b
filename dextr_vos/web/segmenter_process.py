"""A segmenter in a child process: importing PyTorch takes seconds, during which the server must answer.

Requests and answers are pickles on the child's standard input and output. The child ends when its input does.
"""

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dextr_vos.annotation.prompts import Prompt
from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.errors import DextrVosError, InputError
from dextr_vos.geometry import FloatArray, IntArray
from dextr_vos.images import ImageRgb

Crop = tuple[FloatArray, int, int]
"""The part of a soft mask that is not zero, and its first row and column."""


class SegmenterLoader:
    """A segmenter that is loaded in the background.

    Args:
        name: of the segmenter, known before it is loaded.
        load: makes the segmenter.
        corrects: see `Segmenter`; known before it is loaded, too.
    """

    def __init__(self, name: str, load: Callable[[], Segmenter], corrects: bool = False) -> None:
        self.name, self.corrects = name, corrects
        self._load = load
        self._lock = threading.Lock()
        self._loading: Future[Segmenter] | None = None

    def start(self) -> None:
        """Start to load the segmenter, once."""
        self._started()

    def get(self) -> Segmenter:
        """The segmenter; waits for it. Raises what `load` raised; a later call then loads again."""
        loading = self._started()
        try:
            return loading.result()
        except Exception:
            with self._lock:
                if self._loading is loading:
                    self._loading = None
            raise

    @property
    def ready(self) -> bool:
        """Whether the segmenter is there, so that `get` returns it at once."""
        loading = self._loading
        return loading is not None and loading.done() and loading.exception() is None

    def close(self) -> None:
        """Release what the segmenter holds."""
        close = getattr(self.get(), "close", None) if self.ready else None
        if close is not None:
            close()

    def _started(self) -> "Future[Segmenter]":
        with self._lock:
            if self._loading is None:
                self._loading = Future()
                run = threading.Thread(target=self._run, args=(self._loading,), name="segmenter", daemon=True)
                run.start()
            return self._loading

    def _run(self, loading: "Future[Segmenter]") -> None:
        try:
            loading.set_result(self._load())
        except Exception as error:
            loading.set_exception(error)


class ProcessSegmenter(Segmenter):
    """A segmenter like any other; see `Segmenter` and, for the arguments, `load_segmenter`.

    Raises:
        InputError, WeightsError: what `load_segmenter` raises.
    """

    def __init__(self, model: str | None = None, weights: Path | None = None, device: str = "auto") -> None:
        self._arguments = (model, weights, device)
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sent: ImageRgb | None = None
        with self._asking:
            self.name, self.threshold, self.corrects = self._start()

    def probabilities(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """See `Segmenter.probabilities`."""
        return self.prompted(image_rgb, [Prompt(points) for points in objects_xy])

    def prompted(self, image_rgb: ImageRgb, prompts: Sequence[Prompt]) -> list[FloatArray]:
        """See `Segmenter.prompted`."""
        with self._asking:
            if self._process is None:
                self._start()
            # images are never changed in place, so the one that was sent last need not be sent again
            image = None if image_rgb is self._sent else image_rgb
            self._sent = None  # the child has the image even if making the masks fails
            crops: list[Crop] = self._ask((image, list(prompts)))
            self._sent = image_rgb
        return [_uncropped(crop, image_rgb.shape[:2]) for crop in crops]

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            for stream in (process.stdin, process.stdout):
                try:
                    stream.close()
                except OSError:
                    continue  # the child has ended already
            process.wait()

    def _start(self) -> tuple[str, float, bool]:
        self._sent = None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dextr_vos.web.segmenter_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the server
        )
        try:
            answer: tuple[str, float, bool] = self._ask(self._arguments)
        except DextrVosError:
            self.close()
            raise
        return answer

    def _ask(self, request: object) -> Any:
        assert self._process is not None
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            pickle.dump(request, stdin, protocol=5)
            stdin.flush()
            error, answer = pickle.load(stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            self.close()
            raise InputError(
                "the process that makes masks has ended, perhaps because memory ran out; try again"
            ) from None
        if error is not None:
            raise error
        return answer


def main() -> None:
    """Make the segmenter that the first request describes, then answer one request after the other."""
    try:
        _serve()
    except BrokenPipeError:
        os._exit(1)  # the server ended first; closing the pipe would raise again


def _serve() -> None:
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr  # whatever a library prints must not get among the answers
    requests = sys.stdin.buffer
    segmenter: Any = None
    image: ImageRgb | None = None
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        try:
            if segmenter is None:
                from dextr_vos.annotation.segmenter import load_segmenter

                segmenter = load_segmenter(*request)
                _answer(out, None, (segmenter.name, segmenter.threshold, segmenter.corrects))
                continue
            new_image, prompts = request
            image = image if new_image is None else new_image
            _answer(out, None, [_cropped(prob) for prob in segmenter.prompted(image, prompts)])
        except BrokenPipeError:
            raise
        except DextrVosError as error:
            _answer(out, error, None)
        except Exception as error:
            logging.getLogger(__name__).exception("no mask was made")
            _answer(out, RuntimeError(str(error)), None)


def _answer(out: BinaryIO, error: Exception | None, answer: object) -> None:
    pickle.dump((error, answer), out, protocol=5)
    out.flush()


def _cropped(prob: FloatArray) -> Crop:
    rows, columns = np.flatnonzero(prob.any(axis=1)), np.flatnonzero(prob.any(axis=0))
    if not len(rows):
        return prob[:0, :0], 0, 0
    top, left = int(rows[0]), int(columns[0])
    return np.ascontiguousarray(prob[top : rows[-1] + 1, left : columns[-1] + 1]), top, left


def _uncropped(crop: Crop, size_hw: tuple[int, ...]) -> FloatArray:
    """The soft mask in the size of its image again, H×W."""
    values, top, left = crop
    prob: FloatArray = np.zeros(size_hw, dtype=np.float32)
    prob[top : top + values.shape[0], left : left + values.shape[1]] = values
    return prob


if __name__ == "__main__":
    main()
