"""One object in one image: the interface of every data set of images, and sets joined and filtered."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from dextr_vos.geometry import BoolArray
from dextr_vos.images import ImageRgb


@dataclass(frozen=True)
class ObjectRef:
    """An object by name, known without reading its image's pixels.

    Attributes:
        image: name of its image, unique in the set.
        object_id: which object of that image, from 0.
        category: what it is, as the set names it; "object" where the set has no categories.
        area: pixels of its mask.
    """

    image: str
    object_id: int
    category: str
    area: int


@dataclass(frozen=True)
class Example:
    """An object with its pixels.

    Attributes:
        ref: which object.
        image_rgb: H×W×3 uint8, the whole image.
        mask: H×W bool, the object.
        void: H×W bool, pixels that count neither way; disjoint from the mask.
    """

    ref: ObjectRef
    image_rgb: ImageRgb
    mask: BoolArray
    void: BoolArray


class ObjectSet(Protocol):
    """A data set seen as a list of objects; indices follow `refs`."""

    @property
    def refs(self) -> Sequence[ObjectRef]:
        """All objects, those of one image side by side."""
        ...

    def read(self, index: int) -> Example:
        """The object `refs[index]`; InputError when its files are missing or broken."""
        ...


class Concat:
    """Several sets one after the other.

    Args:
        sets: at least one.
    """

    def __init__(self, sets: Sequence[ObjectSet]) -> None:
        self._sets = list(sets)
        self._ends = list(accumulate(len(part.refs) for part in self._sets))
        self.refs: Sequence[ObjectRef] = [ref for part in self._sets for ref in part.refs]

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        part = bisect_right(self._ends, index)
        return self._sets[part].read(index - (self._ends[part - 1] if part else 0))


class Subset:
    """The objects of a set that a condition accepts.

    Args:
        objects: the set.
        accept: whether an object stays, by its reference and index.
    """

    def __init__(self, objects: ObjectSet, accept: Callable[[ObjectRef, int], bool]) -> None:
        self._objects = objects
        self._indices = [index for index, ref in enumerate(objects.refs) if accept(ref, index)]
        self.refs: Sequence[ObjectRef] = [objects.refs[index] for index in self._indices]

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        return self._objects.read(self._indices[index])
