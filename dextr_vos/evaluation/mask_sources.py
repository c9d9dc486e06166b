"""Masks of a clip in the forms that `evaluate` takes: by index, by name, in order, or in a folder."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dextr_vos.errors import InputError, counted
from dextr_vos.files import natural_key
from dextr_vos.masks import Labels, check_labels, read_labels
from dextr_vos.workspace import ResultMasks

# the index of a frame, or its name where masks come from a folder
Frame = int | str
Reader = Callable[[], Labels]
Masks = Mapping[Any, npt.ArrayLike] | Sequence[npt.ArrayLike] | npt.NDArray[Any] | Path | str


def read_masks(source: Masks, name: str) -> dict[Frame, Reader]:
    """A way to each mask, so that files are read one at a time.

    Args:
        source: the masks.
        name: of what they are, for errors: "results" or "truth".

    Returns:
        By frame, in order, a function that returns its labels.

    Raises:
        InputError: `source` has another form, or no mask.
    """
    if isinstance(source, str | Path):
        return _files(Path(source), name)
    if isinstance(source, Mapping):
        named = all(isinstance(key, str) for key in source)
        if not named and not all(isinstance(key, int | np.integer) for key in source):
            raise InputError(f"expected {name} by frame indices or by frame names, got {list(source)[:3]}")
        if not named and source and min(source) < 0:
            raise InputError(f"expected {name} by frame indices from 0, got {min(source)}")
        order = sorted(source, key=natural_key if named else None)
        arrays: dict[Frame, Any] = {key if named else int(key): source[key] for key in order}
    elif isinstance(source, Sequence | np.ndarray):
        arrays = dict(enumerate(source))
    else:
        raise InputError(
            f"expected {name} as {{frame: labels}}, a sequence of labels or a folder of masks, got "
            f"{type(source).__name__}"
        )
    if not arrays:
        raise InputError(f"expected {name} of at least one frame, got none")
    return {key: partial(check_labels, array, f"{name} of frame {key!r}") for key, array in arrays.items()}


def _files(folder: Path, name: str) -> dict[Frame, Reader]:
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; expected {name} as FRAME.png in a folder")
    paths = ResultMasks.find(folder).files()
    if not paths:
        raise InputError(f"the folder {folder} holds no mask; expected {name} as FRAME.png")
    return {frame: partial(read_labels, path) for frame, path in paths.items()}


def matched(results: Sequence[Frame], truth: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    """Frames of two sides that belong together; index i of one side is the i-th name of the other.

    Args:
        results: frames, as `read_masks` has them.
        truth: likewise.

    Returns:
        For each frame of the truth, its key in the results, and the frame.

    Raises:
        InputError: one side has names, the other has indices, and they are not as many.
    """
    if isinstance(results[0], str) == isinstance(truth[0], str):
        return [(frame, frame) for frame in truth]
    kinds = ("by index", "by name") if isinstance(truth[0], str) else ("by name", "by index")
    if len(results) != len(truth):
        raise InputError(
            f"the results have {counted(len(results), 'frame')} {kinds[0]}, the truth has {len(truth)} "
            f"{kinds[1]}; expected as many; give the truth of these frames only, as {{index: labels}}, or "
            "all results"
        )
    if isinstance(truth[0], str):
        return list(enumerate(truth))
    return list(zip(results, truth, strict=True))
