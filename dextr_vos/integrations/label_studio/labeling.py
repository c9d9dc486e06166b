"""What Label Studio says of an object: its labeling configuration and regions, as a prompt of one object.

https://labelstud.io/guide/task_format and https://labelstud.io/guide/ml_create describe both.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, Field

from dextr_vos.annotation.prompts import FEWEST_POINTS, Click, Prompt
from dextr_vos.errors import InputError
from dextr_vos.export.formats.run_lengths import mask_of_label_studio
from dextr_vos.geometry import BoolArray, Box, FloatArray, pixel_under, touched_box

_POINTS, _BOX, _BRUSH = "keypointlabels", "rectanglelabels", "brushlabels"
_EXTREMES = "extreme"  # in the name of the tag whose points are extreme ones
_Percent = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]  # regions may leave the image


class RegionValue(BaseModel):
    """Where a region is, in percent of the image's width and height, and its label."""

    x: _Percent = 0
    y: _Percent = 0
    width: _Percent = 0
    height: _Percent = 0
    rotation: float = 0
    rle: list[Annotated[int, Field(ge=0, le=255)]] = []
    keypointlabels: list[str] = []
    rectanglelabels: list[str] = []
    brushlabels: list[str] = []


class Region(BaseModel):
    """One of the regions that a person drew with smart tools."""

    type: str
    from_name: str = ""
    value: RegionValue
    image_rotation: float = 0
    is_positive: bool = True

    @property
    def labels(self) -> list[str]:
        """Its labels; one, as a rule."""
        labels: list[str] = getattr(self.value, self.type)
        return labels


@dataclass(frozen=True)
class Labeling:
    """The tags of a labeling configuration between which masks go.

    Attributes:
        brush: name of the BrushLabels tag that takes masks.
        image: name of its Image tag.
        key: of the image's address in the data of a task.
        labels: that the brush has.
    """

    brush: str
    image: str
    key: str
    labels: frozenset[str]

    @classmethod
    def parse(cls, configuration: str) -> Self:
        """The tags of a labeling configuration.

        Args:
            configuration: XML, as the project's settings show it.

        Raises:
            InputError: it is no XML, or it has no brush on an image.
        """
        try:
            tags = list(ElementTree.fromstring(configuration).iter())
        except (ElementTree.ParseError, ValueError) as error:
            raise InputError(f"the labeling configuration is not XML: {error}") from None
        keys = {tag.get("name", ""): tag.get("value", "") for tag in tags if tag.tag == "Image"}
        for tag in tags:
            image = tag.get("toName", "")
            if tag.tag == "BrushLabels" and image in keys:
                labels = frozenset(label.get("value", "") for label in tag.iter("Label"))
                return cls(tag.get("name", ""), image, keys[image].removeprefix("$"), labels)
        raise InputError(
            "the labeling configuration has no BrushLabels on an Image, to which masks could go; add "
            '<BrushLabels name="brush" toName="image"> with the labels'
        )

    def label_of(self, regions: Sequence[Region]) -> str:
        """The label of the region drawn last, which the mask gets.

        Raises:
            InputError: the brush does not have it.
        """
        label = next((region.labels[0] for region in reversed(regions) if region.labels), "")
        if label not in self.labels:
            raise InputError(
                f"the label '{label}' of the region is none of those of the brush '{self.brush}': "
                f"{', '.join(sorted(self.labels))}; give both tags the same labels"
            )
        return label


def check_regions(regions: Sequence[Region]) -> None:
    """Refuse regions that say nothing of an object.

    Raises:
        InputError: one of another kind, or rotated.
    """
    for region in regions:
        if region.type not in (_POINTS, _BOX, _BRUSH):
            raise InputError(
                f"a region of the type {region.type}, expected KeyPointLabels, RectangleLabels or BrushLabels"
            )
        if region.image_rotation or region.value.rotation:
            raise InputError("the image or the rectangle is rotated; expected both upright")


def prompt_of(regions: Sequence[Region], size_hw: tuple[int, int]) -> Prompt | None:
    """What the regions of one object say of it.

    Key points of a tag with `extreme` in its name are extreme points; others are positive clicks, or negative
    ones where Alt was held. The last rectangle is the box, and brush strokes are a mask to correct.

    Args:
        regions: checked, see `check_regions`.
        size_hw: height and width of the image.

    Returns:
        The prompt; None as long as no mask can be made of it.

    Raises:
        InputError: a brush stroke of another size.
    """
    extremes: list[tuple[int, int]] = []
    clicks: list[Click] = []
    box: Box | None = None
    mask: BoolArray | None = None
    for region in regions:
        if region.type == _BRUSH:
            stroke = _stroke(region, size_hw)
            mask = stroke if mask is None else mask | stroke
        elif region.type == _BOX:
            box = _box(region.value, size_hw)
        elif _EXTREMES in region.from_name.lower():
            extremes.append(_pixel(region.value, size_hw))
        else:
            clicks.append(Click(*_pixel(region.value, size_hw), region.is_positive))
    if extremes and len(extremes) < FEWEST_POINTS:
        return None
    soft: FloatArray | None = None if mask is None else mask.astype(np.float32)
    # extreme points say what a box says, and more
    prompt = Prompt(
        np.array(extremes, np.int64) if extremes else None, tuple(clicks), None if extremes else box, soft
    )
    return prompt if prompt.makes_mask else None


def _stroke(region: Region, size_hw: tuple[int, int]) -> BoolArray:
    try:
        return mask_of_label_studio(region.value.rle, size_hw)
    except ValueError as error:
        raise InputError(f"the brush stroke cannot be read: {error}") from None


def _place(x: float, y: float, size_hw: tuple[int, int]) -> tuple[float, float]:
    """A place in percent, in pixels."""
    return x * size_hw[1] / 100, y * size_hw[0] / 100


def _pixel(value: RegionValue, size_hw: tuple[int, int]) -> tuple[int, int]:
    return pixel_under(_place(value.x, value.y, size_hw), size_hw)


def _box(value: RegionValue, size_hw: tuple[int, int]) -> Box:
    end = _place(value.x + value.width, value.y + value.height, size_hw)
    return touched_box((*_place(value.x, value.y, size_hw), *end), size_hw)
