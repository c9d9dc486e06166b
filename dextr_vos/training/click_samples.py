"""Training samples of DEXTR: an object, changed at random, its simulated clicks, and the crop around them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dextr_vos.annotation.click_crop import ClickCrop
from dextr_vos.datasets.augment import Augmentation, augment
from dextr_vos.datasets.compose import Composition, Layer, compose
from dextr_vos.datasets.objects import Example, ObjectSet
from dextr_vos.geometry import BoolArray, IntArray, crop, extreme_points
from dextr_vos.masks import VOID
from dextr_vos.training.order import SampleOrder


@dataclass(frozen=True)
class ClickRecipe:
    """How an object becomes a sample.

    Attributes:
        crop: what the network sees.
        crop_px: sides of the crop over the run, (from this share of the samples on, pixels); none keeps
            the crop's own.
        jitter: largest distance of a click from the extreme coordinate, as a share of the mean of the
            object's sides; drawn anew for every sample.
        jitter_px: the same in pixels, always this much; DEXTR's release has 5, the paper 10.
        extra_clicks: share of the samples with one to four more clicks on random places of the outline.
        crop_from_mask: the crop follows the mask's box, as in the release, and not that of the clicks.
        composition: of crops; where there is none, `augmentation` changes whole pictures.
        augmentation: of whole pictures.
    """

    crop: ClickCrop
    crop_px: Sequence[tuple[float, int]] = ()
    jitter: float = 0.0
    jitter_px: int = 0
    extra_clicks: float = 0.0
    crop_from_mask: bool = False
    composition: Composition | None = None
    augmentation: Augmentation | None = None


class ClickSamples(Dataset[dict[str, Tensor]]):
    """Samples by their position in the run; a pure function of the seed and the position.

    Args:
        objects: the sets joined.
        order: which object comes where.
        recipe: how it becomes a sample.
        step_samples: samples of one optimiser step; all have the same size.
        total: samples of the whole run.
        seed: of all that is random.
        extra_xy: further clicks of an object by its index, as hard-example mining finds them.
    """

    def __init__(
        self,
        objects: ObjectSet,
        order: SampleOrder,
        recipe: ClickRecipe,
        step_samples: int,
        total: int,
        seed: int,
        extra_xy: dict[int, IntArray] | None = None,
    ) -> None:
        self._objects, self._order, self._recipe = objects, order, recipe
        self._step_samples, self._total, self._seed = step_samples, total, seed
        self._extra_xy = extra_xy or {}

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """The sample at a position.

        Returns:
            "inputs" 4×S×S uint8, red, green, blue and heat map; "target" and "void" 1×S×S bool.
        """
        rng = np.random.default_rng((self._seed, position))
        index = self._order.at(position)
        look = replace(self._recipe.crop, size_px=self._size_at(position))
        layer, extra_xy = self._changed(index, look, rng)
        points_xy = np.vstack([self._clicks(layer.mask, rng), extra_xy])
        box_points = extreme_points(layer.mask) if self._recipe.crop_from_mask else points_xy
        box = look.box(box_points, layer.mask.shape)
        inputs = look.inputs(layer.image_rgb, points_xy, box)
        size = (look.size_px, look.size_px)
        target = cv2.resize(
            crop(layer.mask, box).astype(np.float32),
            size,
            interpolation=cv2.INTER_AREA if box[2] - box[0] > look.size_px else cv2.INTER_LINEAR,
        )
        void = cv2.resize(crop(layer.void, box).view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        return {
            "inputs": torch.from_numpy(inputs.round().astype(np.uint8)).permute(2, 0, 1),
            "target": torch.from_numpy(target > 0.5)[None],
            "void": torch.from_numpy(void.view(np.bool_))[None],
        }

    def _size_at(self, position: int) -> int:
        # the step decides, since the samples of one step go through the network together
        done = (position // self._step_samples) * self._step_samples / self._total
        sizes = [px for begin, px in self._recipe.crop_px if done >= begin]
        return sizes[-1] if sizes else self._recipe.crop.size_px

    def _changed(self, index: int, look: ClickCrop, rng: np.random.Generator) -> tuple[Layer, IntArray]:
        example = self._objects.read(index)
        recipe = self._recipe
        if recipe.composition is not None:
            layer = compose(example, self._draw, recipe.composition, look.size_px, rng)
            return layer, _extra_clicks(layer.mask, recipe.extra_clicks, rng)
        extra_xy = self._extra_xy.get(index, np.zeros((0, 2), dtype=np.int64))
        if recipe.augmentation is None:
            return Layer(example.image_rgb, example.mask, example.void), extra_xy
        return _augmented(example, extra_xy, recipe.augmentation, rng)

    def _draw(self, rng: np.random.Generator) -> Example:
        return self._objects.read(self._order.at(int(rng.integers(self._order.epoch_length))))

    def _clicks(self, mask: BoolArray, rng: np.random.Generator) -> IntArray:
        jitter_px = self._recipe.jitter_px
        if self._recipe.jitter:
            _, _, width, height = cv2.boundingRect(mask.view(np.uint8))
            # small errors are more common than large ones
            jitter_px += int(self._recipe.jitter * rng.random() ** 2 * (width + height) / 2 + 0.5)
        return extreme_points(mask, jitter_px, rng)


def _augmented(
    example: Example, extra_xy: IntArray, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[Layer, IntArray]:
    """A whole picture changed; the further clicks move along as label values of single pixels."""
    labels = example.mask.astype(np.uint8)
    labels[example.void] = VOID
    image_rgb, moved = augment(example.image_rgb, labels, augmentation, rng)
    mask = moved == 1
    if not mask.any():
        # turned or shifted out of the picture
        return Layer(example.image_rgb, example.mask, example.void), extra_xy
    return Layer(image_rgb, mask, moved == VOID), extra_xy[:0] if len(extra_xy) else extra_xy


def _extra_clicks(mask: BoolArray, share: float, rng: np.random.Generator) -> IntArray:
    """None, or one to four random points of the outline."""
    if rng.random() >= share:
        return np.zeros((0, 2), dtype=np.int64)
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate(outlines)[:, 0]
    chosen: IntArray = points[rng.integers(len(points), size=rng.integers(1, 5))].astype(np.int64)
    return chosen
