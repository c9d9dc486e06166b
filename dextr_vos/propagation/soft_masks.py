"""Soft masks on disk: a long clip does not have to fit into memory, and a stopped pass can resume."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.files import atomic_path
from dextr_vos.geometry import FloatArray


class SoftMasks:
    """Soft masks of frames by their index, one grey PNG a frame with the objects one below the other.

    Args:
        folder: made when the first one is written.
        count: objects K.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count

    def __contains__(self, index: int) -> bool:
        return self._path(index).exists()

    def read(self, index: int) -> FloatArray:
        """K×h×w float32 in [0, 1]."""
        levels = cv2.imread(str(self._path(index)), cv2.IMREAD_GRAYSCALE)
        assert levels is not None, f"{self._path(index)} was there a moment ago"
        return _probs(levels.reshape(self._count, -1, levels.shape[1]))

    def write(self, index: int, probs: FloatArray) -> FloatArray:
        """Write K×h×w float32 in [0, 1], atomically; gives back what will be read, 256 levels of it."""
        levels = np.rint(probs * 255).astype(np.uint8)
        with atomic_path(self._path(index)) as temporary:
            coded = cv2.imencode(
                ".png", levels.reshape(-1, levels.shape[2]), [cv2.IMWRITE_PNG_COMPRESSION, 1]
            )[1]
            temporary.write_bytes(coded.tobytes())
        return _probs(levels)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:08d}.png"


def _probs(levels: npt.NDArray[np.uint8]) -> FloatArray:
    return np.divide(levels, 255, dtype=np.float32)
