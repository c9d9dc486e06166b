"""Training samples of DEXTR: an object, changed at random, its simulated clicks, and the crop around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.datasets.augment import Augmentation, augment_with_points
from dextr_vos.datasets.copy_paste import CopyPaste, Layer, compose
from dextr_vos.datasets.instances import Example, ObjectSet
from dextr_vos.geometry import BoolArray, Box, IntArray, crop, extreme_points, points_into_crop
from dextr_vos.masks import VOID
from dextr_vos.training.loader import SampleOrder

_NO_POINTS: IntArray = np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class ClickRecipe:
    """How an object becomes a sample.

    Attributes:
        crop: what the network sees.
        crop_px: sides of the crop over the run, (from this share of the samples on, pixels); none keeps
            the crop's own.
        jitter: largest distance of a click from the extreme coordinate, as a share of the mean of the
            object's sides; drawn for every sample.
        jitter_px: in place of it, a distance in pixels of the resized crop, always this much; DEXTR's release
            has 5, the paper 10. Further clicks are moved as far. The crop must follow the mask.
        extra_clicks: share of the samples with one to four more clicks on random places of the outline.
        crop_from_mask: the crop follows the mask's box, as in the release, and not that of the clicks.
        copy_paste: how crops are composed; where there is none, `augmentation` changes whole images.
        augmentation: random changes of whole images.
    """

    crop: ClickCrop
    crop_px: Sequence[tuple[float, int]] = ()
    jitter: float = 0.0
    jitter_px: int = 0
    extra_clicks: float = 0.0
    crop_from_mask: bool = False
    copy_paste: CopyPaste | None = None
    augmentation: Augmentation | None = None


@dataclass(frozen=True)
class Mixture:
    """What the lite network is given of the objects; every value is a share of the samples.

    Extreme points take the rest.

    Attributes:
        mask: a faulty mask and a first correction.
        box: a box.
        clicks: one to three positive clicks.
        box_jitter: largest error of a box's side, as a share of the box's size.
    """

    mask: float = 0.22
    box: float = 0.07
    clicks: float = 0.07
    box_jitter: float = 0.06


class ClickSamples(Dataset[dict[str, Tensor]]):
    """Samples by their position in the run; a pure function of the seed and the position.

    Args:
        objects: the sets joined.
        order: which object comes where.
        recipe: how it becomes a sample.
        step_samples: samples of one optimizer step; all have the same size.
        total: samples of the whole run.
        seed: of all that is random.
        extra_xy: further clicks, N×2, of an object by its index, as hard-example mining finds them; not with
            `copy_paste`.
    """

    def __init__(
        self,
        objects: ObjectSet,
        order: SampleOrder,
        recipe: ClickRecipe,
        step_samples: int,
        total: int,
        seed: int,
        extra_xy: Mapping[int, IntArray] | None = None,
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
        click_crop = replace(self._recipe.crop, size_px=self._size_at(position))
        size = (click_crop.size_px, click_crop.size_px)
        layer, extra_xy = self._changed(index, click_crop, rng)
        points_xy = np.vstack([self._clicks(layer.mask, rng), extra_xy])
        box_points = extreme_points(layer.mask) if self._recipe.crop_from_mask else points_xy
        box = click_crop.box(box_points, layer.mask.shape)
        target = _target(layer.mask, box, click_crop.size_px)
        in_crop = points_into_crop(points_xy, box, size)
        if self._recipe.jitter_px:
            in_crop = _jittered(in_crop, target, self._recipe.jitter_px, rng)
        inputs = np.empty((4, *size), dtype=np.uint8)
        inputs[:3] = cv2.split(click_crop.crop_image(layer.image_rgb, box))
        inputs[3] = np.rint(click_crop.heatmap(in_crop))
        return {
            "inputs": torch.from_numpy(inputs),
            "target": torch.from_numpy(target)[None],
            "void": torch.from_numpy(_void(layer.void, box, click_crop.size_px))[None],
        }

    def _size_at(self, position: int) -> int:
        # the step decides, since the samples of one step go through the network together
        done = (position // self._step_samples) * self._step_samples / self._total
        sizes = [px for begin, px in self._recipe.crop_px if done >= begin]
        return sizes[-1] if sizes else self._recipe.crop.size_px

    def _changed(self, index: int, click_crop: ClickCrop, rng: np.random.Generator) -> tuple[Layer, IntArray]:
        """The object and its further clicks after all random changes."""
        example, recipe = self._objects.read(index), self._recipe
        extra_xy = self._extra_xy.get(index, _NO_POINTS)
        if recipe.copy_paste is not None:
            layer = compose(example, self._draw, recipe.copy_paste, click_crop.size_px, rng)
        elif recipe.augmentation is not None:
            layer, extra_xy = _augmented(example, extra_xy, recipe.augmentation, rng)
        else:
            layer = Layer(example.image_rgb, example.mask, example.void)
        return layer, np.vstack([extra_xy, _random_clicks(layer.mask, recipe.extra_clicks, rng)])

    def _draw(self, rng: np.random.Generator) -> Example:
        return self._objects.read(self._order.at(int(rng.integers(self._order.epoch_length))))

    def _clicks(self, mask: BoolArray, rng: np.random.Generator) -> IntArray:
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        jitter_px = 0
        if self._recipe.jitter:
            # small errors are more common than large ones
            jitter_px = int(self._recipe.jitter * rng.random() ** 2 * (width + height) / 2 + 0.5)
        points = extreme_points(mask[y : y + height, x : x + width], jitter_px, rng)
        points += (x, y)
        return points


def _target(mask: BoolArray, box: Box, size_px: int) -> BoolArray:
    """The mask in the resized crop."""
    interpolation = cv2.INTER_AREA if box[2] - box[0] > size_px else cv2.INTER_LINEAR
    share = cv2.resize(crop(mask, box).astype(np.float32), (size_px, size_px), interpolation=interpolation)
    target: BoolArray = share > 0.5
    return target


def _void(void: BoolArray, box: Box, size_px: int) -> BoolArray:
    """Void in the resized crop."""
    if not void.any():
        return np.zeros((size_px, size_px), dtype=bool)
    resized = cv2.resize(crop(void, box).view(np.uint8), (size_px, size_px), interpolation=cv2.INTER_NEAREST)
    counted_out: BoolArray = resized.view(np.bool_)
    return counted_out


def _jittered(points_xy: IntArray, target: BoolArray, jitter_px: int, rng: np.random.Generator) -> IntArray:
    """The clicks as the release simulates them, on the resized crop; four extreme ones, then further ones."""
    # an object of a few pixels may get lost when a whole image is made smaller
    extremes = extreme_points(target, jitter_px, rng) if target.any() else points_xy[:4]
    further = points_xy[4:] + rng.integers(-jitter_px, jitter_px + 1, points_xy[4:].shape)
    return np.vstack([extremes, further])


def _augmented(
    example: Example, extra_xy: IntArray, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[Layer, IntArray]:
    """A whole image changed, further clicks with it; unchanged where the object would leave the image."""
    labels = example.mask.astype(np.uint8)
    labels[example.void] = VOID
    image_rgb, moved, moved_xy = augment_with_points(example.image_rgb, labels, extra_xy, augmentation, rng)
    mask = moved == 1
    if not mask.any():
        return Layer(example.image_rgb, example.mask, example.void), extra_xy
    return Layer(image_rgb, mask, moved == VOID), moved_xy


def _random_clicks(mask: BoolArray, share: float, rng: np.random.Generator) -> IntArray:
    """None, or one to four random points of the outline."""
    if rng.random() >= share:
        return _NO_POINTS
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate(outlines)[:, 0]
    chosen: IntArray = points[rng.integers(len(points), size=rng.integers(1, 5))].astype(np.int64)
    return chosen
