"""Masks of single objects, kept by what they are: a mask that was once there can always come back.

An object's layer is its whole mask, also where another object covers it in the labels of the frame.
"""

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dextr_vos.files import atomic_path
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import Labels, voc_palette

_KEPT_BYTES = 64_000_000


class LayerStore:
    """A folder of 1-bit PNGs, each called after a digest of its pixels.

    Args:
        folder: made with the first layer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: OrderedDict[str, BoolArray] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, mask: BoolArray) -> str:
        """Keep a mask, H×W bool.

        Returns:
            Its digest.
        """
        digest = hashlib.sha256(repr(mask.shape).encode() + np.packbits(mask).tobytes()).hexdigest()[:32]
        path = self._path(digest)
        if not path.exists():
            with atomic_path(path) as temporary:
                Image.fromarray(mask.astype(np.uint8) * 255).convert("1").save(temporary, format="PNG")
        self._keep(digest, mask)
        return digest

    def get(self, digest: str, size_hw: tuple[int, int]) -> BoolArray | None:
        """The mask of a digest; None where it is gone or of another size."""
        with self._lock:
            mask = self._kept.get(digest)
            if mask is not None:
                self._kept.move_to_end(digest)
        if mask is None:
            try:
                with Image.open(self._path(digest)) as picture:
                    mask = np.array(picture.convert("1"), dtype=bool)
            except (OSError, SyntaxError, ValueError):
                return None
            self._keep(digest, mask)
        return mask if mask.shape == size_hw else None

    def sweep(self, used: Iterable[str]) -> None:
        """Remove all masks but those in use, and what killed writers left."""
        wanted = {f"{digest}.png" for digest in used}
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.png"

    def _keep(self, digest: str, mask: BoolArray) -> None:
        mask.setflags(write=False)
        with self._lock:
            self._kept[digest] = mask
            self._kept.move_to_end(digest)
            while sum(each.nbytes for each in self._kept.values()) > _KEPT_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)


def composite(layers: Mapping[int, BoolArray], size_hw: tuple[int, int]) -> Labels:
    """Labels of a frame, H×W uint8: the layers by object number drawn in their order, later ones on top."""
    labels: Labels = np.zeros(size_hw, dtype=np.uint8)
    for number, mask in layers.items():
        labels[mask] = number
    return labels


def labels_png(labels: Labels) -> bytes:
    """Labels as the bytes of an indexed PNG with the VOC palette."""
    picture = Image.fromarray(np.ascontiguousarray(labels))
    picture.putpalette(voc_palette().tobytes())
    return _png(picture)


def grey_png(values: Labels) -> bytes:
    """H×W uint8 as the bytes of a grey PNG, quickly rather than small."""
    return _png(Image.fromarray(np.ascontiguousarray(values)))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=2)
    return buffer.getvalue()
