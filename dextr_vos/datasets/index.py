"""Lists of a data set's objects, kept between runs: counting those of 11,000 label files takes a minute.

An index is a JSON file in a cache folder, never in the data set. Its name follows from the label files, their
number, total size and newest time, so that a changed data set gets a new one; a broken index is made again.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dextr_vos.datasets.instances import ObjectRef
from dextr_vos.errors import InputError
from dextr_vos.files import write_text

_FORMAT = "dextr-vos index 1"
_log = logging.getLogger(__name__)


def default_index_folder() -> Path:
    """`dextr-vos/indices` in the user's cache folder: XDG_CACHE_HOME, or ~/.cache."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "dextr-vos" / "indices"


def indexed_refs(
    name: str, files: Sequence[Path], count: Callable[[], Iterable[ObjectRef]], folder: Path | None = None
) -> list[ObjectRef]:
    """The objects of a data set from its index, which is made when there is none.

    Args:
        name: of the data set and its split; the index is called after it.
        files: all files that `count` looks at.
        count: lists the objects from the files.
        folder: where indices are kept; the user's cache folder when None.

    Raises:
        InputError: one of the files is missing.
    """
    path = (folder or default_index_folder()) / f"{name}-{_fingerprint(files)}.json"
    refs = _read(path)
    if refs is None:
        refs = list(count())
        rows = [[ref.image, ref.object_id, ref.category, ref.area] for ref in refs]
        try:
            write_text(path, json.dumps({"format": _FORMAT, "objects": rows}))
        except OSError as fault:
            _log.warning(
                "the objects will be counted again next time: cannot write the index %s: %s", path, fault
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


def _read(path: Path) -> list[ObjectRef] | None:
    """The index, or None when it is missing or broken."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != _FORMAT:
            return None
        return [
            ObjectRef(str(picture), int(number), str(category), int(area))
            for picture, number, category, area in index["objects"]
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return None
