"""Masks as the page shows them: the best there is of a frame, as grey PNGs."""

from pathlib import Path

import numpy as np

from dextr_vos.errors import InputError
from dextr_vos.masks import Labels, read_labels
from dextr_vos.web.images import BoundedCache
from dextr_vos.web.layers import grey_png
from dextr_vos.web.session import Session

_PNG_BYTES = 32_000_000


class ShownMasks:
    """Masks of a session's frames, encoded lately ones kept.

    Args:
        session: whose.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: BoundedCache[bytes] = BoundedCache(_PNG_BYTES, len)

    def frame(self, index: int) -> tuple[str, bytes] | None:
        """Source and grey PNG of a frame's labels; None where there is no mask."""
        found = self._find(index)
        if found is None:
            return None
        source, path = found
        key = _key(path, [entry.id for entry in self._session.document.objects])
        content = self._kept.get(key)
        if content is None:
            labels = self._labels(index, path)
            if labels is None:
                return None
            content = self._kept.put(key, grey_png(labels))
        return source, content

    def of_object(self, index: int, number: int) -> tuple[str, bytes] | None:
        """Source and grey PNG, 0 and 255, of one object in a frame; None where it has none."""
        found = self._find(index)
        labels = None if found is None else self._labels(index, found[1])
        if found is None or labels is None or not (labels == number).any():
            return None
        return found[0], grey_png(np.where(labels == number, 255, 0).astype(np.uint8))

    def labels(self, index: int) -> Labels | None:
        """The labels of a frame."""
        found = self._find(index)
        return None if found is None else self._labels(index, found[1])

    def _find(self, index: int) -> tuple[str, Path] | None:
        session = self._session
        name = session.pictures.names[index]
        if name in session.document.keyframes:
            path = session.workspace.keyframe(name)
            return ("keyframe", path) if path.exists() else None
        return session.run.find(name)

    def _labels(self, index: int, path: Path) -> Labels | None:
        try:
            labels = read_labels(path, self._session.pictures.size_hw(index))
        except InputError:
            return None  # it has just been replaced, or is broken; then there is nothing to show
        listed = [entry.id for entry in self._session.document.objects]
        labels[~np.isin(labels, listed)] = 0  # an object that was deleted since
        return labels


def _key(path: Path, numbers: list[int]) -> tuple[object, ...]:
    try:
        told = path.stat()
    except OSError:
        return (path, None)
    return (path, told.st_mtime_ns, told.st_size, told.st_ino, tuple(numbers))
