"""What readers of formats give: frames of annotations, each mask decoded when it is asked for."""

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import ParseError

import numpy as np

from dextr_vos.errors import InputError
from dextr_vos.files import natural_key
from dextr_vos.geometry import BoolArray
from dextr_vos.images import check_size, within_limit
from dextr_vos.mask_file import MASK_SUFFIXES
from dextr_vos.masks import VOID, Labels, read_labels

Size = tuple[int, int]


@dataclass(frozen=True)
class ImportedMask:
    """The mask, or a part of the mask, of one object in one frame.

    Attributes:
        name: what the file calls the object.
        read: its mask, H×W bool, for the size of the frame.
        track: the object's id in all frames of the file; None where the file does not say which object of one
            frame is which of another.
        object_id: the id that the object should get, if it is free.
        colour: `#rrggbb`.
        may_be_empty: without a pixel, as a black PNG, it says that the object is not in the frame; a shape
            without one says nothing.
    """

    name: str
    read: Callable[[Size], BoolArray]
    track: str | None = None
    object_id: int | None = None
    colour: str | None = None
    may_be_empty: bool = False


@dataclass(frozen=True)
class ImportedFrame:
    """One annotated frame of a file.

    Attributes:
        name: of its image, without folder and suffix; "" where the file only counts frames.
        masks: of its objects, later ones on top.
        video: the clip that it belongs to, where the file names any.
        index: its number in the clip, where the file counts frames.
        size_hw: of its image, where the file says so.
        annotated: without masks it was annotated as empty; False where the file only lists it, or says no
            more of it than its void pixels.
        void: its void pixels, H×W bool, for the size of the frame; None where it has none.
        other_shapes: kinds of its annotations that are no masks, such as boxes and points, one each.
        source: the file or image that it is of, for messages; "" where its number says all.
    """

    name: str
    masks: tuple[ImportedMask, ...]
    video: str | None = None
    index: int | None = None
    size_hw: Size | None = None
    annotated: bool = True
    void: Callable[[Size], BoolArray] | None = None
    other_shapes: tuple[str, ...] = ()
    source: str = ""

    @property
    def says_something(self) -> bool:
        """Whether it has more than a place in a list."""
        return self.annotated or self.void is not None

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"'{self.name}'" if self.name else f"number {self.index}"


def split_name(image: str) -> tuple[str, str | None]:
    """A frame's name and its folder, of the name of an image in a file."""
    path = PurePosixPath(image.replace("\\", "/"))
    return path.stem, path.parent.name or None


def whole_number(value: object) -> int | None:
    """An id or an index in a JSON file; None where a value is none, such as `true`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@contextmanager
def faults_of(path: Path, format_name: str) -> Iterator[None]:
    """What a damaged or different file raises, as one sentence.

    Raises:
        InputError: for it.
    """
    advice = f"give what was exported as {format_name}"
    with faults_in(f"{path} is no {format_name} file, or is damaged", advice):
        yield


@contextmanager
def faults_in(place: str, advice: str) -> Iterator[None]:
    """What reading raises, as one sentence: place, reason, advice.

    Raises:
        InputError: for it.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, ParseError) as error:
        if isinstance(error, InputError):
            raise
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{place}: {reason}; {advice}") from None


def files_in(folder: Path, pattern: str, format_name: str) -> list[Path]:
    """Files of a folder, or of folders in it, that match a pattern in lower case, in natural order.

    Raises:
        InputError: there are none.
    """
    files = [file for file in _visible(folder) if fnmatchcase(file.name.lower(), pattern)]
    if not files:
        raise InputError(f"{folder} holds no {pattern}; expected the folder of an export as {format_name}")
    return files


def masks_in(folder: Path, format_name: str) -> list[Path]:
    """Mask files of a folder, or of folders in it, in natural order.

    Raises:
        InputError: there are none.
    """
    files = [file for file in _visible(folder) if file.suffix.lower() in MASK_SUFFIXES]
    if not files:
        raise InputError(
            f"{folder} holds no masks, like FRAME.png; expected the folder of an export as {format_name}"
        )
    return files


def _visible(folder: Path) -> list[Path]:
    files = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return sorted(files, key=lambda file: natural_key(str(file)))


def void_of(file: Path, labels: Labels) -> Callable[[Size], BoolArray] | None:
    """The void pixels of a file of labels, which are known; None where there are none."""
    return partial(mask_of_value, file, VOID) if (labels == VOID).any() else None


def mask_of_png(content: str) -> BoolArray:
    """A mask that a JSON file holds as a PNG, H×W bool: what is not black, or where there is alpha, opaque.

    Args:
        content: in Base64, also as a data URL.

    Raises:
        ValueError: it is none, or has too many pixels (`MAX_PIXELS`).
    """
    try:
        file = io.BytesIO(base64.b64decode(content.rpartition(",")[2]))
        with within_limit(file, "a mask", ("PNG",)) as image:
            check_size((image.height, image.width), "a mask")
            grey = image.getchannel("A") if "A" in image.getbands() else image.convert("L")
            return np.array(grey) > 0
    except InputError as error:
        raise ValueError(str(error)) from None
    except (OSError, SyntaxError) as error:
        raise ValueError(f"a mask is no PNG: {str(error).split('<')[0]}") from None


def mask_of_value(file: Path, value: int, size_hw: Size) -> BoolArray:
    """Where a file of labels has a value, H×W bool.

    Raises:
        InputError: the file is damaged, or of another size.
    """
    inside: BoolArray = read_labels(file, size_hw) == value
    return inside
