"""A folder of images with label images or polygons, described by a small YAML: objects to learn from.

`docs/formats.md` describes the YAML; `configs/datasets/` has examples.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from dextr_vos.config import Settings, load_settings
from dextr_vos.datasets.instances import Example, ObjectRef, PackedMask, connected_parts
from dextr_vos.datasets.layout import Indices, read_indices
from dextr_vos.errors import InputError
from dextr_vos.files import read_text
from dextr_vos.geometry import BoolArray, FloatArray
from dextr_vos.images import SUFFIXES, ImageRgb, image_size, read_image

# an object's category, and its mask
Found = tuple[str, PackedMask]


def _expand(values: object) -> tuple[int, ...]:
    """[8, "1-3"] becomes (1, 2, 3, 8)."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"expected a list of values such as [8, 1-58], got {values!r}")
    expanded: set[int] = set()
    for value in values:
        first, dash, last = str(value).partition("-")
        ends = (first.strip(), last.strip() if dash else first.strip())
        if isinstance(value, bool) or not all(end.isdecimal() for end in ends) or int(ends[0]) > int(ends[1]):
            raise ValueError(f"expected whole numbers and ranges such as 1-58, got {value!r}")
        if int(ends[1]) > 0xFFFF:
            raise ValueError(f"expected values of at most 65535, got {value!r}")
        expanded.update(range(int(ends[0]), int(ends[1]) + 1))
    return tuple(sorted(expanded))


LabelValues = Annotated[tuple[int, ...], BeforeValidator(_expand)]


class ObjectRule(Settings):
    """Which label values make objects of one kind.

    Attributes:
        name: category of the objects.
        values: label values, or classes of polygons.
        each: every value is an object of its own, and not their union; its category is then the value's name,
            if it has one.
        parts: every connected part is an object.
        min_area: smaller objects are dropped, in pixels.
        min_part: smaller connected parts of an object are left out of it, in pixels.
    """

    name: str = Field(min_length=1)
    values: LabelValues = Field(min_length=1)
    each: bool = False
    parts: bool = False
    min_area: int = Field(default=1, ge=1)
    min_part: int = Field(default=1, ge=1)


class FolderDescription(Settings):
    """What the YAML of a folder data set says.

    Attributes:
        images: folder of images, below the root.
        labels: folder of label files with the images' stems, below the root.
        format: `indexed`, a PNG whose values are the labels; or `polygons`, a text file with a class and
            then x y pairs as shares of width and height, one line an instance.
        objects: what the objects are.
        void: label values that count neither way.
        names: categories of single values; used where each value is an object by itself, and by polygons.
        missing_labels: whether an image without a label file is skipped or an error.
    """

    images: str = Field(min_length=1)
    labels: str = Field(min_length=1)
    format: Literal["indexed", "polygons"] = "indexed"
    objects: tuple[ObjectRule, ...] = Field(min_length=1)
    void: LabelValues = ()
    names: dict[int, str] = Field(default={})
    missing_labels: Literal["skip", "error"] = "error"

    @model_validator(mode="after")
    def _agrees(self) -> "FolderDescription":
        for rule in self.objects:
            both = set(rule.values) & set(self.void)
            if both:
                raise ValueError(f"expected values that are objects or void, got {min(both)} as both")
            if self.format == "polygons" and (rule.each or rule.parts or rule.min_part > 1):
                raise ValueError(
                    "a polygon is one object; `each`, `parts` and `min_part` are for indexed labels"
                )
        if self.format == "polygons" and self.void:
            raise ValueError("`void` is for indexed labels")
        return self


class FolderObjects:
    """The objects of a folder of images; see `ObjectSet`.

    All label files are read once, when the set is made; masks stay in memory, packed. An image is named
    after its folder and stem: `ccp/images/0001`.

    Args:
        description: the YAML.
        root: the folder that `images` and `labels` are below; the YAML's own folder when not given.
        cache: keep decoded images in memory once they have been read. The arrays are shared by all
            examples of an image and therefore read-only.

    Raises:
        ConfigError: the YAML is wrong.
        InputError: a folder or label file is missing or broken, a label is not of its image's size, or
            there is no object.
    """

    def __init__(self, description: Path, root: Path | None = None, *, cache: bool = True) -> None:
        self.description = load_settings(FolderDescription, description)
        self._root = description.parent if root is None else root
        self._images: dict[str, ImageRgb] | None = {} if cache else None
        self._paths: dict[str, Path] = {}
        self._voids: dict[str, PackedMask] = {}
        self._masks: list[PackedMask] = []
        self.refs: list[ObjectRef] = []
        for path, label in self._pairs():
            self._scan(path, label)
        if not self.refs:
            raise InputError(
                f"no image in {self._folder('images')} has an object that {description} asks for"
            )

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        ref = self.refs[index]
        image_rgb = self._image(ref.image)
        packed = self._masks[index]
        if image_rgb.shape[:2] != packed.size_hw:
            raise InputError(f"the image {self._paths[ref.image]} has changed since it was opened")
        void = self._voids.get(ref.image)
        mask = packed.mask()
        return Example(ref, image_rgb, mask, np.zeros_like(mask) if void is None else void.mask())

    def _image(self, name: str) -> ImageRgb:
        if self._images is None:
            return read_image(self._paths[name])
        if name not in self._images:
            image_rgb = read_image(self._paths[name])
            image_rgb.flags.writeable = False
            self._images[name] = image_rgb
        return self._images[name]

    def _name(self, path: Path) -> str:
        # with its folder, so that images of several sets below one root have different names
        return f"{self.description.images.rstrip('/')}/{path.stem}"

    def _folder(self, which: Literal["images", "labels"]) -> Path:
        below: str = getattr(self.description, which)
        folder = self._root / below
        if not folder.is_dir():
            raise InputError(
                f"there is no folder of {which} {folder}; give the root below which {below} lies"
            )
        return folder

    def _pairs(self) -> Iterator[tuple[Path, Path]]:
        """Images with their label files, by name; label files without an image are left alone."""
        images, labels = self._folder("images"), self._folder("labels")
        suffix = ".png" if self.description.format == "indexed" else ".txt"
        paths = sorted(
            path for path in images.iterdir() if path.suffix.lower() in SUFFIXES and path.stem[0] != "."
        )
        stems: dict[str, Path] = {}
        for path in paths:
            if path.stem in stems:
                raise InputError(f"{path} and {stems[path.stem].name} would share one label file; rename one")
            stems[path.stem] = path
            label = labels / f"{path.stem}{suffix}"
            if label.is_file():
                yield path, label
            elif self.description.missing_labels == "error":
                raise InputError(
                    f"the image {path} has no label file {label}; add it, or say `missing_labels: skip`"
                )

    def _scan(self, path: Path, label: Path) -> None:
        size_hw = image_size(path)
        indexed = self.description.format == "indexed"
        found = self._regions(path, label, size_hw) if indexed else self._polygons(label, size_hw)
        name = self._name(path)
        for object_id, (category, packed) in enumerate(found):
            self.refs.append(ObjectRef(name, object_id, category, packed.area))
            self._masks.append(packed)
            self._paths[name] = path

    def _regions(self, path: Path, label: Path, size_hw: tuple[int, int]) -> Iterator[Found]:
        """Objects of an indexed label image; its void is kept, too."""
        indices = read_indices(label)
        if indices.shape != size_hw:
            raise InputError(
                f"the labels {label} are {indices.shape[1]}×{indices.shape[0]} pixels, their image "
                f"{path.name} is {size_hw[1]}×{size_hw[0]}; labels must have the size of their images"
            )
        if self.description.void:
            self._voids[self._name(path)] = PackedMask.of(_region(indices, self.description.void))
        present = set(np.unique(indices).tolist())
        for rule in self.description.objects:
            values = [value for value in rule.values if value in present]
            groups = [[value] for value in values] if rule.each else [values]
            for group in filter(None, groups):
                category = self.description.names.get(group[0], rule.name) if rule.each else rule.name
                masks = _objects_in(_region(indices, group), rule)
                yield from ((category, packed) for packed in masks if packed.area >= rule.min_area)

    def _polygons(self, label: Path, size_hw: tuple[int, int]) -> Iterator[Found]:
        """Objects of a file of polygons; a line is an object."""
        for value, polygon_xy in read_polygons(label):
            packed = PackedMask.of(fill_polygon(polygon_xy, size_hw))
            for rule in self.description.objects:
                if value in rule.values and packed.area >= rule.min_area:
                    yield self.description.names.get(value, rule.name), packed


def _region(indices: Indices, values: Sequence[int]) -> BoolArray:
    chosen: BoolArray = np.zeros(0x10000, dtype=bool)
    chosen[list(values)] = True
    return indices == values[0] if len(values) == 1 else chosen[indices]


def _objects_in(region: BoolArray, rule: ObjectRule) -> Iterable[PackedMask]:
    if rule.parts:
        return connected_parts(region, max(rule.min_area, rule.min_part))
    if rule.min_part > 1:
        kept = np.zeros_like(region)
        for part in connected_parts(region, rule.min_part):
            kept |= part.mask()
        return [PackedMask.of(kept)]
    return [PackedMask.of(region)]


_OVERSHOOT = 0.05  # polygons may leave the image by this share; they are cut off at its edge
_SUBPIXEL_BITS = 4
_FINER = 5  # odd, so that a pixel has a middle


def read_polygons(path: Path) -> Iterator[tuple[int, FloatArray]]:
    """Class and N×2 corners, as shares of width and height in [0, 1], of every line of a file.

    Raises:
        InputError: the file cannot be read, or a line is no polygon; it names the line.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, InputError) as error:
        raise InputError(f"cannot read the polygons {path}: {error}") from None
    for line_number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        try:
            value, shares = int(words[0]), np.array([float(word) for word in words[1:]], np.float32)
        except ValueError:
            value, shares = -1, np.zeros(0, np.float32)
        inside = np.abs(shares - 0.5) <= 0.5 + _OVERSHOOT  # false for nan
        if value < 0 or len(shares) < 6 or len(shares) % 2 or not inside.all():
            raise InputError(
                f"{path} line {line_number}: expected a class number and three or more x y pairs as "
                f"shares of width and height from 0 to 1, got {line[:40]!r}"
            )
        yield value, np.clip(shares, 0, 1).reshape(-1, 2)


def fill_polygon(shares_xy: FloatArray, size_hw: tuple[int, int]) -> BoolArray:
    """The pixels whose centres lie in a polygon, by the even-odd rule.

    Args:
        shares_xy: N×2 corners as shares of width and height in [0, 1], 0 being the outer edge of pixel 0.
        size_hw: of the image.

    Returns:
        H×W bool.
    """
    polygon_xy = shares_xy * (size_hw[1], size_hw[0])
    mask = np.zeros(size_hw, dtype=bool)
    x0, y0 = np.floor(polygon_xy.min(axis=0)).astype(int)
    x1, y1 = np.minimum(np.ceil(polygon_xy.max(axis=0)).astype(int) + 1, size_hw[::-1])
    if x0 >= x1 or y0 >= y1:
        return mask  # nothing but the image's last edge
    # OpenCV fills every pixel that an outline touches: fill a finer grid and look at the pixels' centres
    fine = np.zeros(((y1 - y0) * _FINER, (x1 - x0) * _FINER), dtype=np.uint8)
    corners = ((polygon_xy - (x0, y0)) * _FINER - 0.5) * (1 << _SUBPIXEL_BITS)
    cv2.fillPoly(fine, [np.rint(corners).astype(np.int32)], 1, shift=_SUBPIXEL_BITS)
    mask[y0:y1, x0:x1] = fine[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]
    return mask
