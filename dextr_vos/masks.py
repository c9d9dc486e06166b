"""Masks: files read and written as labels, and soft masks made into labels.

`labels` is H×W uint8: 0 background, 1…254 objects, 255 void (never an object). How files of other
programs are understood is in `mask_values.py`.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path
from dextr_vos.geometry import FloatArray
from dextr_vos.images import within_limit
from dextr_vos.mask_file import read_stored
from dextr_vos.mask_values import MAX_OBJECTS, VOID, Labels, labels_of, voc_palette

__all__ = [
    "DRAW_S",
    "MAX_OBJECTS",
    "VOID",
    "Labels",
    "check_labels",
    "default_name",
    "display_colour",
    "labels_from_probs",
    "looks_like_mask",
    "object_ids",
    "read_labels",
    "voc_palette",
    "write_labels",
]

DRAW_S = 79.0  # seconds to draw one object's mask by hand (Maninis et al., Deep Extreme Cut, CVPR 2018)
# Any two differ by at least 11 (CIEDE2000), also to a protanope or a deuteranope; the first ones differ most.
_DISPLAY_COLOURS = (
    (255, 60, 60),
    (140, 220, 255),
    (100, 100, 255),
    (240, 220, 0),
    (0, 160, 140),
    (200, 255, 220),
    (200, 60, 100),
    (180, 200, 120),
    (100, 160, 255),
    (100, 60, 160),
    (200, 0, 0),
    (140, 200, 180),
    (60, 140, 160),
    (180, 255, 255),
    (60, 0, 255),
    (40, 120, 100),
    (160, 20, 60),
    (120, 60, 100),
    (220, 255, 160),
    (80, 180, 200),
)


def display_colour(object_id: int) -> tuple[int, int, int]:
    """The colour in which an object is shown over images; a red-green deficiency does not hide them.

    Args:
        object_id: from 1; colours repeat after twenty.
    """
    return _DISPLAY_COLOURS[(object_id - 1) % len(_DISPLAY_COLOURS)]


def write_labels(path: str | Path, labels: npt.ArrayLike, durable: bool = False) -> None:
    """Write labels as an indexed PNG with the PASCAL VOC palette, atomically.

    Args:
        path: file to write, `.png`; parent folders are created.
        labels: H×W integers from 0 to 255 or bool: 0 background, 1 to 254 objects, 255 void.
        durable: wait until the file is on the disk, where it survives a power cut.

    Raises:
        InputError: the file does not end in .png, or the labels are not such an array.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> path = Path(tempfile.mkdtemp()) / "00000.png"
        >>> labels = np.zeros((48, 64), np.uint8)
        >>> labels[10:20, 30:50] = 1
        >>> write_labels(path, labels)
        >>> bool((read_labels(path) == labels).all())
        True
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"the mask {path} must end in .png")
    image = Image.fromarray(np.ascontiguousarray(check_labels(labels, "labels")))
    image.putpalette(voc_palette().tobytes())
    with atomic_path(path, durable) as temporary:
        image.save(temporary, format="PNG")


def check_labels(labels: npt.ArrayLike, name: str) -> Labels:
    """Check labels that a caller passes in memory.

    Args:
        labels: what should be an H×W array of integers from 0 to 255, or bool.
        name: what to call it in the message.

    Returns:
        H×W uint8.

    Raises:
        InputError: it is anything else.
    """
    try:
        array = np.asarray(labels)
    except ValueError:
        raise InputError(
            f"expected {name} as H×W integers from 0 to 255 or bool, got rows of several lengths"
        ) from None
    if array.ndim != 2 or array.dtype.kind not in "bui" or not array.size:
        raise InputError(
            f"expected {name} as H×W integers from 0 to 255 or bool, got {array.dtype} of shape {array.shape}"
        )
    if array.dtype.kind == "i" or array.dtype.itemsize > 1:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > VOID:
            raise InputError(f"expected {name} with values from 0 to 255, got {low} to {high}")
    return array.astype(np.uint8, copy=False)


def read_labels(path: str | Path, size_hw: tuple[int, int] | None = None) -> Labels:
    """Read a mask file as labels.

    A grey {0, 255} mask (DAVIS 2016) becomes {0, 1}; indexed files keep their values, with 255 as void. The
    other forms, among them colours and masks in the alpha channel, are listed in docs/formats.md.

    Args:
        path: PNG, TIFF, BMP, lossless WebP or NPY file.
        size_hw: height and width that the mask must have, if given; checked before pixels are decoded.

    Returns:
        H×W uint8 labels: 0 background, 1 to 254 objects, 255 void.

    Raises:
        InputError: the file is missing, broken, of another size, or its values cannot be object ids, or could
            be meant in several ways.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "davis.png"
        >>> Image.fromarray(np.array([[0, 255]], np.uint8)).save(path)
        >>> read_labels(path)
        array([[0, 1]], dtype=uint8)
    """
    path = Path(path)
    return labels_of(read_stored(path, size_hw), path)


def labels_from_probs(probs: Iterable[FloatArray], threshold: float = 0.5) -> Labels:
    """Labels from the soft masks of all objects, by arg-max, so that objects never overlap.

    Args:
        probs: K arrays H×W in [0, 1], K ≥ 1, object 1 first; read one at a time.
        threshold: a pixel is background where no object's probability is above this.

    Returns:
        H×W uint8 labels in 0…K; where two objects are equally probable, the first.
    """
    best: FloatArray | None = None
    labels: Labels = np.zeros(0, dtype=np.uint8)
    for object_id, prob in enumerate(probs, start=1):
        if best is None:
            best = np.full(prob.shape, threshold, dtype=prob.dtype)
            labels = np.zeros(prob.shape, dtype=np.uint8)
        np.copyto(labels, object_id, where=prob > best)
        np.maximum(best, prob, out=best)
    return labels


def object_ids(labels: Labels) -> list[int]:
    """Ids of the objects that occur, ascending, without background and void."""
    return [int(value) for value in np.unique(labels) if value not in (0, VOID)]


def default_name(object_id: int) -> str:
    """The name of an object without a name of its own."""
    return f"object {object_id}"


def looks_like_mask(path: Path) -> bool:
    """Whether a file is an indexed PNG with the PASCAL VOC palette, as masks are and photographs never."""
    try:
        with within_limit(path, f"the image {path}") as image:
            return image.mode == "P" and (image.getpalette() or [])[:15] == voc_palette()[:5].ravel().tolist()
    except (OSError, SyntaxError, ValueError, InputError):
        return False
