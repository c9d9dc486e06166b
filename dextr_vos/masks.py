"""Masks: indexed PNG files, the palette, and soft masks made into labels.

`labels` is H×W uint8: 0 background, 1…254 objects, 255 void (never an object). Files written by DAVIS 2016
({0, 255}), by DAVIS 2017 (indexed) and by this package are distinguished when they are read.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path
from dextr_vos.geometry import FloatArray
from dextr_vos.images import read_8_bits

Labels = npt.NDArray[np.uint8]

VOID = 255
MAX_OBJECTS = 254
DRAW_S = 79.0  # seconds to draw one object's mask by hand (Maninis et al., Deep Extreme Cut, CVPR 2018)
# Above this, the values of a grey mask are taken for grey levels (anti-aliasing), not for object ids.
_LARGEST_GREY_INDEX = 64
_WHITE_16_BITS = 65535


_DISPLAY_COLOURS = (
    (255, 70, 60),
    (60, 170, 255),
    (255, 200, 40),
    (60, 210, 120),
    (190, 110, 255),
    (255, 140, 40),
    (40, 210, 210),
    (255, 110, 180),
    (160, 210, 40),
    (140, 140, 255),
)


def display_colour(object_id: int) -> tuple[int, int, int]:
    """The colour in which an object is shown over images: light ones, which carry further than the palette's.

    Args:
        object_id: from 1; colours repeat after ten.
    """
    return _DISPLAY_COLOURS[(object_id - 1) % len(_DISPLAY_COLOURS)]


def voc_palette() -> npt.NDArray[np.uint8]:
    """The PASCAL VOC colour map, 256×3 uint8: the bits of the index go to R, G, B in turn, highest first."""
    index = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def write_labels(path: str | Path, labels: npt.ArrayLike) -> None:
    """Write labels as an indexed PNG with the PASCAL VOC palette, atomically.

    Args:
        path: file to write, `.png`; parent folders are created.
        labels: H×W integers from 0 to 255 or bool: 0 background, 1 to 254 objects, 255 void.

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
    with atomic_path(path) as temporary:
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

    A grey {0, 255} mask (DAVIS 2016) becomes {0, 1}; indexed files keep their values, with 255 as void.

    Args:
        path: PNG with a palette, or grey, or a true-colour image of a grey or VOC-coloured mask.
        size_hw: height and width that the mask must have, if given.

    Returns:
        H×W uint8 labels: 0 background, 1 to 254 objects, 255 void.

    Raises:
        InputError: the file is missing, broken, of another size, or its values cannot be object ids.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "davis.png"
        >>> Image.fromarray(np.array([[0, 255]], np.uint8)).save(path)
        >>> read_labels(path)
        array([[0, 1]], dtype=uint8)
    """
    path = Path(path)
    try:
        values = read_8_bits(path)
        if values is not None:
            indices, palette = values
            labels = (
                _labels_of_grey(indices, path) if palette is None else _labels_of_indices(indices, palette)
            )
        else:
            with Image.open(path) as image:
                image.load()
                labels = _labels_of(image, path)
    except FileNotFoundError:
        raise InputError(f"there is no mask {path}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read the mask {path}: {error}; save it again as a PNG") from None
    if size_hw is not None and labels.shape != size_hw:
        raise InputError(
            f"the mask {path} is {labels.shape[1]}×{labels.shape[0]} pixels, "
            f"its frame is {size_hw[1]}×{size_hw[0]}; masks must have the size of their frames"
        )
    return labels


def _labels_of(image: Image.Image, path: Path) -> Labels:
    if image.mode == "P":
        palette = np.array((image.getpalette() or [])[:768], dtype=np.uint8).reshape(-1, 3)
        return _labels_of_indices(np.array(image, dtype=np.uint8), palette)
    if image.mode == "1":
        return np.array(image, dtype=np.uint8)
    if image.mode in ("RGB", "RGBA", "LA", "PA"):
        return _labels_of_colours(np.array(image.convert("RGB")), path)
    return _labels_of_grey(np.array(image), path)


def _labels_of_indices(indices: Labels, palette: npt.NDArray[np.uint8]) -> Labels:
    """Indices are object ids, unless all colours in use are black and white, whatever their indices."""
    if not (palette[1:] == 0).all(axis=1).any() and not (palette == 255).all(axis=1).any():
        return indices  # the usual case: there is no white, and no black but the background
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    colours = palette[used[used < len(palette)]]
    if (
        len(colours) == len(used)
        and set(np.unique(colours)) <= {0, 255}
        and (np.ptp(colours, axis=1) == 0).all()
    ):
        white = np.zeros(256, dtype=np.uint8)
        white[used] = colours[:, 0] // 255
        return np.asarray(white[indices], dtype=np.uint8)
    return indices


def _labels_of_grey(grey: npt.NDArray[np.generic], path: Path) -> Labels:
    levels = (VOID,) if grey.dtype == np.uint8 else (VOID, _WHITE_16_BITS)
    for level in levels:
        white = grey == level
        if np.count_nonzero(white) == np.count_nonzero(grey):
            binary: Labels = white.view(np.uint8)
            return binary
    values = np.unique(grey)
    ids = values[values != VOID]
    if ids.max() > _LARGEST_GREY_INDEX or ids.min() < 0 or (ids != ids.astype(np.int64)).any():
        raise InputError(
            f"the mask {path} holds {len(values)} different grey levels up to {int(values.max())}, expected "
            "{0, 255} or small object ids; it looks anti-aliased or like a photograph, "
            "save it without smoothing"
        )
    labels: Labels = grey.astype(np.uint8)
    return labels


def _labels_of_colours(rgb: npt.NDArray[np.uint8], path: Path) -> Labels:
    if (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all():
        return _labels_of_grey(rgb[..., 0], path)
    code = rgb.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    palette_code = voc_palette().astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    order = np.argsort(palette_code)
    place = np.clip(np.searchsorted(palette_code[order], code), 0, 255)
    index: npt.NDArray[np.int64] = order[place]
    if not (palette_code[index] == code).all():
        raise InputError(
            f"the mask {path} is a colour image whose colours are not the PASCAL VOC palette; "
            "save it as an indexed PNG, or as grey with 0 and 255"
        )
    labels: Labels = index.astype(np.uint8)
    return labels


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
        stronger = prob > best
        best[stronger] = prob[stronger]
        labels[stronger] = object_id
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
        with Image.open(path) as image:
            return image.mode == "P" and (image.getpalette() or [])[:15] == voc_palette()[:5].ravel().tolist()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
