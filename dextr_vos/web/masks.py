"""Masks of frames as the page shows them: annotated, else being made by a run, else of the finished run."""

from pathlib import Path

import numpy as np

from dextr_vos.annotation.annotations import Annotations
from dextr_vos.errors import InputError
from dextr_vos.masks import Labels, read_labels
from dextr_vos.web.cache import BoundedCache
from dextr_vos.web.images import Images
from dextr_vos.web.layers import grey_png
from dextr_vos.web.run_masks import RunMasks
from dextr_vos.workspace import Workspace

_PNG_BYTES = 32_000_000


class FrameMasks:
    """The best mask of each frame, encoded for the page; recently encoded ones are cached.

    Args:
        workspace: holds the masks of annotated frames.
        images: what is annotated.
        run: masks of the other frames.
    """

    def __init__(self, workspace: Workspace, images: Images, run: RunMasks) -> None:
        self._workspace, self._images, self.run = workspace, images, run
        self._cache: BoundedCache[bytes] = BoundedCache(_PNG_BYTES, len)

    def png(self, document: Annotations, index: int) -> tuple[str, bytes] | None:
        """Source ("keyframe", "made" or "run") of a frame's labels and their PNG of 8 bits, or None."""
        found = self._find(document, index)
        if found is None:
            return None
        source, path = found
        key = _key(path, document)
        content = self._cache.get(key)
        if content is None:
            labels = self._read(document, index, path)
            if labels is None:
                return None
            content = self._cache.put(key, grey_png(labels))
        return source, content

    def object_png(self, document: Annotations, index: int, object_id: int) -> tuple[str, bytes] | None:
        """Source and grey PNG, 0 and 255, of one object in a frame; None where it has no mask there."""
        found = self._find(document, index)
        labels = None if found is None else self._read(document, index, found[1])
        if found is None or labels is None or not (labels == object_id).any():
            return None
        return found[0], grey_png(np.where(labels == object_id, 255, 0).astype(np.uint8))

    def labels(self, document: Annotations, index: int) -> Labels | None:
        """The labels of a frame, H×W uint8, or None."""
        found = self._find(document, index)
        return None if found is None else self._read(document, index, found[1])

    def remember(self, document: Annotations, path: Path, png: bytes) -> None:
        """Take over a mask that has just been written, so that it need not be read back to be sent.

        Args:
            document: of which it is a keyframe's mask.
            path: of the mask.
            png: what was written: labels of 8 bits.
        """
        self._cache.put(_key(path, document), png)

    def _find(self, document: Annotations, index: int) -> tuple[str, Path] | None:
        name = self._images.names[index]
        if name in document.keyframes:
            path = self._workspace.keyframe(name)
            return ("keyframe", path) if path.exists() else None
        return self.run.find(name)

    def _read(self, document: Annotations, index: int, path: Path) -> Labels | None:
        try:
            labels = read_labels(path, self._images.size_hw(index))
        except InputError:
            return None  # it is just being replaced, or damaged; there is nothing to show then
        listed = [entry.id for entry in document.objects]
        labels[~np.isin(labels, listed)] = 0  # an object that was deleted since
        return labels


def _key(path: Path, document: Annotations) -> tuple[object, ...]:
    """What the content of a mask as it is shown depends on."""
    try:
        file = path.stat()
    except OSError:
        return (path, None)
    listed = frozenset(entry.id for entry in document.objects)
    return (path, file.st_mtime_ns, file.st_size, file.st_ino, listed)
