"""Masks of single objects, stored by content, and what is made of them: labels of frames, strokes, PNGs.

An object's layer is its whole mask, including what another object covers in the labels of the frame. A mask
that once existed can therefore always be restored by undo.
"""

import hashlib
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from dextr_vos.annotation.annotations import ObjectClicks
from dextr_vos.errors import InputError
from dextr_vos.files import Unsynced, atomic_path, sweep_temporaries
from dextr_vos.geometry import BoolArray
from dextr_vos.images import open_image
from dextr_vos.masks import Labels, voc_palette
from dextr_vos.web.images import BoundedCache

_DIGEST = re.compile("[0-9a-f]{32}")
_CACHE_BYTES = 64_000_000
_TINT_ALPHA = 165  # of the masks on thumbnails
_MAX_STROKE_PIXELS = 200_000_000  # tested over all segments of a stroke; takes a few seconds


class LayerStore:
    """A folder of 1-bit PNGs, each named after a digest of its pixels.

    Args:
        folder: created with the first layer.

    Attributes:
        unsynced: layers that were put and may not be on the disk yet; what refers to them waits for them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.unsynced = folder, Unsynced()
        self._cache: BoundedCache[BoolArray] = BoundedCache(_CACHE_BYTES, lambda mask: mask.nbytes)

    def clear(self) -> None:
        """Forget the masks that are in memory; they stay on the disk."""
        self._cache.clear()

    def put(self, mask: BoolArray) -> str:
        """Store a mask, H×W bool.

        Returns:
            The digest under which `get` finds it.
        """
        digest = hashlib.sha256(repr(mask.shape).encode() + np.packbits(mask).tobytes()).hexdigest()[:32]
        if self.get(digest, mask.shape) is None:  # or damaged
            with atomic_path(self._path(digest)) as temporary:
                Image.fromarray(mask).save(temporary, format="PNG")
            self.unsynced.add(self._path(digest), lambda: self._forget(digest))
            self.unsynced.add(self.folder)
        self._add_to_cache(digest, mask)
        return digest

    def get(self, digest: str, size_hw: tuple[int, int]) -> BoolArray | None:
        """The mask of a digest, H×W bool; None where it is missing or of another size."""
        mask = self._cache.get(digest)
        if mask is None and _DIGEST.fullmatch(digest):
            try:
                with open_image(self._path(digest)) as image:
                    if (image.height, image.width) == size_hw:
                        mask = np.array(image.convert("1"), dtype=bool)
            except InputError:
                return None
        if mask is None:
            return None
        self._add_to_cache(digest, mask)
        return mask if mask.shape == size_hw else None

    def get_or_empty(self, digest: str | None, size_hw: tuple[int, ...]) -> BoolArray:
        """See `get`; all False where there is no such mask."""
        mask = None if digest is None else self.get(digest, (size_hw[0], size_hw[1]))
        return np.zeros(size_hw, dtype=bool) if mask is None else mask

    def with_mask(self, clicks: ObjectClicks, mask: BoolArray) -> ObjectClicks:
        """An object with another mask, H×W bool; of what was painted, only that within it stays."""
        added = self.get_or_empty(clicks.added, mask.shape) & mask
        put = {"layer": self.put(mask), "added": self.put(added) if added.any() else None}
        return clicks.model_copy(update=put)

    def with_stroke(self, clicks: ObjectClicks, stroke: BoolArray, erase: bool) -> ObjectClicks | None:
        """An object after a stroke, H×W bool: the mask, and the pixels that stay as strokes set them.

        None where nothing is left of it, neither mask nor clicks.
        """
        mask, added, erased = (
            self.get_or_empty(digest, stroke.shape) for digest in (clicks.layer, clicks.added, clicks.erased)
        )
        put = {
            "layer": mask & ~stroke if erase else mask | stroke,
            "added": added & ~stroke if erase else added | stroke,
            "erased": erased | stroke if erase else erased & ~stroke,
        }
        if erase and not clicks.points and not put["layer"].any():
            return None
        kept = {
            key: self.put(pixels) if key == "layer" or pixels.any() else None for key, pixels in put.items()
        }
        return clicks.model_copy(update={"painted": True, **kept})

    def sweep(self, used: Iterable[str]) -> None:
        """Delete all layers except those in use, and what killed writers left behind."""
        sweep_temporaries(self.folder)
        wanted = set(used)
        for path in list(self.folder.glob("*.png")):
            if _DIGEST.fullmatch(path.stem) and path.stem not in wanted:
                path.unlink(missing_ok=True)

    def _forget(self, digest: str) -> None:
        """Remove a layer that the disk refused, and to which nothing refers yet."""
        self._cache.drop(digest)
        with suppress(OSError):
            self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.png"

    def _add_to_cache(self, digest: str, mask: BoolArray) -> None:
        mask.setflags(write=False)
        self._cache.put(digest, mask)


def composite(layers: Mapping[int, BoolArray], size_hw: tuple[int, int]) -> Labels:
    """Labels of a frame, H×W uint8: the layers by object id, drawn in their order, later ones on top."""
    labels: Labels = np.zeros(size_hw, dtype=np.uint8)
    for object_id, mask in layers.items():
        labels[mask] = object_id
    return labels


def stroke_mask(path: Sequence[tuple[float, float]], radius: float, size_hw: tuple[int, int]) -> BoolArray:
    """The pixels whose centres lie within a radius of a path.

    Args:
        path: one or more x, y positions of the brush's centre, joined by straight lines, in pixels; pixel i
            spans [i, i + 1). The path may leave the image.
        radius: of the brush, in pixels.
        size_hw: of the image.

    Returns:
        H×W bool.

    Raises:
        InputError: the stroke is too long and wide to be painted at once.
    """
    mask = np.zeros(size_hw, dtype=bool)
    points = np.asarray(path, dtype=np.float64).reshape(-1, 2) - 0.5  # whole numbers are centres of pixels
    starts, ends = np.concatenate([points[:1], points[:-1]]), points
    lows = np.floor(np.minimum(starts, ends) - radius).astype(int).clip(0)
    highs = np.ceil(np.maximum(starts, ends) + radius).astype(int).clip(-1, np.array(size_hw[::-1]) - 1)
    if np.prod((highs - lows + 1).clip(0), axis=1).sum() > _MAX_STROKE_PIXELS:
        raise InputError("the stroke is too long and wide to be painted at once; paint it in parts")
    for start, end, low, high in zip(starts, ends, lows, highs, strict=True):
        if (high < low).any():
            continue
        x, y = np.arange(low[0], high[0] + 1) - start[0], np.arange(low[1], high[1] + 1)[:, None] - start[1]
        (dx, dy), length = end - start, float(((end - start) ** 2).sum())
        along = np.clip((x * dx + y * dy) / length, 0, 1) if length else 0.0
        near = (x - along * dx) ** 2 + (y - along * dy) ** 2 <= radius * radius
        mask[low[1] : high[1] + 1, low[0] : high[0] + 1] |= near
    return mask


def area_mask(outline: Sequence[tuple[float, float]], size_hw: tuple[int, int]) -> BoolArray:
    """The pixels whose centres lie within an outline.

    Args:
        outline: x, y positions joined by straight lines, the last with the first; pixel i spans [i, i + 1).
            It may leave the image, and cross itself: whatever it goes around is within.
        size_hw: of the image.

    Returns:
        H×W bool.
    """
    height, width = size_hw
    points = np.asarray(outline, dtype=np.float64).reshape(-1, 2) - 0.5  # whole numbers are centres of pixels
    turns = np.zeros((height, width + 1), dtype=np.int16)  # how often each row's outline goes down, less up
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        low, high = sorted((y0, y1))
        rows = np.arange(max(0, math.ceil(low)), min(height, math.ceil(high)))
        if rows.size:
            crossed = np.ceil(x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))).clip(0, width).astype(int)
            turns[rows, crossed] += 1 if y1 > y0 else -1
    return np.asarray(turns[:, :-1].cumsum(axis=1, dtype=np.int16) != 0)


def labels_png(labels: Labels) -> bytes:
    """Labels, H×W uint8, as the bytes of an indexed PNG with the VOC palette, written for speed."""
    image = Image.fromarray(np.ascontiguousarray(labels))
    image.putpalette(voc_palette().tobytes())
    return _png(image)


def grey_png(values: Labels) -> bytes:
    """H×W uint8 as the bytes of a grey PNG, written for speed."""
    return _png(Image.fromarray(np.ascontiguousarray(values)))


def tinted_png(labels: Labels, size_hw: tuple[int, int], colours: Mapping[int, str]) -> bytes:
    """Labels, H×W uint8, as the bytes of a small indexed PNG, transparent outside the objects.

    Args:
        labels: of a frame.
        size_hw: of the PNG.
        colours: `#rrggbb` by object id; objects that are not in it are transparent.
    """
    rows, columns = (
        np.minimum(((np.arange(to) + 0.5) * of / to).astype(int), of - 1)
        for to, of in zip(size_hw, labels.shape, strict=True)
    )
    image = Image.fromarray(np.ascontiguousarray(labels[np.ix_(rows, columns)]))
    palette, alpha = np.zeros((256, 3), dtype=np.uint8), bytearray(256)
    for object_id, colour in colours.items():
        palette[object_id] = tuple(bytes.fromhex(colour[1:]))
        alpha[object_id] = _TINT_ALPHA
    image.putpalette(palette.tobytes())
    return _png(image, transparency=bytes(alpha))


def _png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=2, **options)
    return buffer.getvalue()
