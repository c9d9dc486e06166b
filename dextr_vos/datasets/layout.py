"""Files of published data sets: the root, split lists, label images, and a cached index of the objects.

Counting the objects of 11,000 label files takes a minute, so their list is kept between runs: a JSON file in
a cache folder, never in the data set. Its name follows from the label files, their count, total size and
newest time, so that a changed data set gets a new index; a broken index is made again.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dextr_vos.datasets.instances import ObjectRef
from dextr_vos.errors import InputError
from dextr_vos.files import cache_folder, read_text, write_text
from dextr_vos.mask_file import read_stored

Indices = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_LARGEST_LABEL = 65535
_FORMAT = "dextr-vos index 1"

log = logging.getLogger(__name__)


def find_root(root: Path, below: Sequence[str], needed: Sequence[str], get_it: str) -> Path:
    """The folder of a data set, given it or a folder above it.

    Args:
        root: what the user gave.
        below: folders under it to try in turn; "" is the folder itself.
        needed: folders and files that must be there.
        get_it: for the message: which data set to get, from where, and the tree it must have.

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
    raise InputError(f"{nearest} has no {missing}; {get_it}")


def read_list(path: Path) -> list[str]:
    """Names of a split list: the first word of each line, each once, in order.

    Raises:
        InputError: there is no such list, it cannot be read, or names nothing.
    """
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.txt"))) or "none"
        raise InputError(
            f"{path.parent} has no list of the split {path.stem!r}; its splits are {known}"
        ) from None
    except (OSError, InputError) as error:
        raise InputError(f"cannot read the split list {path}: {error}; get it again") from None
    names = list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
    if not names:
        raise InputError(
            f"expected an image's name a line in the split list {path}, found none; get it again"
        )
    return names


def read_indices(path: Path) -> Indices:
    """The values of an indexed or grey image as they stand in the file, H×W uint8 or uint16.

    Unlike `masks.read_labels` it takes 0 and 255 for what they are.

    Raises:
        InputError: the file is missing or broken, or has colours in place of indices.
    """
    values = read_stored(path).values
    if values.ndim == 3 or values.dtype.kind == "f" or values.min() < 0 or values.max() > _LARGEST_LABEL:
        raise InputError(
            f"the labels {path} are no indexed or grey image with values from 0 to {_LARGEST_LABEL}; save "
            "them as one"
        )
    return values if values.dtype in (np.uint8, np.uint16) else values.astype(np.uint16)


def default_index_folder() -> Path:
    """`dextr-vos/indices` in the user's cache folder."""
    return cache_folder("indices")


def indexed_refs(
    name: str, files: Sequence[Path], count: Callable[[], Iterable[ObjectRef]], folder: Path | None = None
) -> list[ObjectRef]:
    """The objects of a data set from its index, which is made when there is none.

    Args:
        name: of the data set and its split, at the beginning of the index's file name.
        files: all files that `count` reads.
        count: lists the objects from the files.
        folder: where indices are kept; the user's cache folder when None.

    Raises:
        InputError: one of the files is missing.
    """
    path = (folder or default_index_folder()) / f"{name}-{_fingerprint(files)}.json"
    refs = _read_index(path)
    if refs is None:
        refs = list(count())
        rows = [[ref.image, ref.object_id, ref.category, ref.area] for ref in refs]
        try:
            write_text(path, json.dumps({"format": _FORMAT, "objects": rows}))
        except OSError as error:
            log.warning(
                "the objects will be counted again next time: cannot write the index %s: %s", path, error
            )
    return refs


def _fingerprint(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    newest = total = 0
    for path in files:
        try:
            state = path.stat()
        except OSError:
            raise InputError(
                f"there is no {path}, which the data set's lists name; get the data set again, or all of it"
            ) from None
        newest = max(newest, state.st_mtime_ns)
        total += state.st_size
        digest.update(f"{path.absolute()}\n".encode(errors="surrogateescape"))
    digest.update(f"{len(files)} {newest} {total}".encode())
    return digest.hexdigest()[:16]


def _read_index(path: Path) -> list[ObjectRef] | None:
    """The objects of an index, or None when it is missing or broken."""
    try:
        index = json.loads(read_text(path))
        if index["format"] != _FORMAT:
            return None
        return [
            ObjectRef(str(image), int(object_id), str(category), int(area))
            for image, object_id, category, area in index["objects"]
        ]
    except (OSError, InputError, ValueError, ArithmeticError, TypeError, KeyError):
        return None
