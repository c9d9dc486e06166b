"""Files of data sets in layouts that others fixed: the root, split lists, index pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dextr_vos.errors import InputError

Indices = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_INDEX_MODES = ("P", "L", "1", "I;16")


def find_root(root: Path, below: Sequence[str], needed: Sequence[str], get_it: str) -> Path:
    """The folder of a data set, given it or a folder above it.

    Args:
        root: what the user gave.
        below: folders under it to look at in turn; "" is itself.
        needed: folders and files that must be there.
        get_it: which data set to get, from where, and the tree it must have.

    Raises:
        InputError: none of the folders holds all that is needed.
    """
    if not root.is_dir():
        raise InputError(f"there is no folder {root}; {get_it}")
    tried = [root / name for name in below]
    for folder in tried:
        if all((folder / name).exists() for name in needed):
            return folder
    nearest = max(tried, key=lambda folder: sum((folder / name).exists() for name in needed))
    missing = ", ".join(name for name in needed if not (nearest / name).exists())
    raise InputError(f"{nearest} lacks {missing}; {get_it}")


def read_list(path: Path) -> list[str]:
    """Names of a split list: the first word of each line, each once, in order.

    Raises:
        InputError: there is no such list, it cannot be read, or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.txt"))) or "none"
        raise InputError(
            f"{path.parent} has no list of the split {path.stem!r}; its splits are {known}"
        ) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(f"cannot read the split list {path}: {fault}; get it again") from None
    names = list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
    if not names:
        raise InputError(
            f"expected a picture's name a line in the split list {path}, found none; get it again"
        )
    return names


def read_indices(path: Path) -> Indices:
    """The values of an indexed or grey picture as they stand in the file, H×W uint8 or uint16.

    Unlike `masks.read_labels` it takes 0 and 255 for what they are.

    Raises:
        InputError: the file is missing or broken, or has colours in place of indices.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode not in _INDEX_MODES:
                raise InputError(
                    f"the labels {path} are a picture of mode {picture.mode}, expected an indexed or grey "
                    "PNG whose values are the labels; save it as one"
                )
            values = np.array(picture)
    except FileNotFoundError:
        raise InputError(f"there is no label picture {path}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise InputError(f"cannot read the labels {path}: {fault}; get or save the file again") from None
    return values if values.dtype == np.uint16 else values.astype(np.uint8, copy=False)
