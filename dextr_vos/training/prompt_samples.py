"""Training samples of the lite click network: an object, and what a person says of it."""

from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from dextr_vos.annotation.corrections import next_correction
from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.annotation.prompt_segmenter import tokens
from dextr_vos.annotation.prompts import Click, Prompt, coverage, mask_input
from dextr_vos.datasets.copy_paste import Layer
from dextr_vos.datasets.faulty_masks import faulty_mask
from dextr_vos.datasets.instances import ObjectSet
from dextr_vos.datasets.photometric import PhotometricAugmentation, change_colours, change_sharpness
from dextr_vos.geometry import BoolArray, Box, box_size_hw, crop
from dextr_vos.networks.prompt_decoder import PADDING
from dextr_vos.training.click_samples import ClickRecipe, ClickSamples, Mixture
from dextr_vos.training.loader import SampleOrder

# four extreme points, at most four more, and the two corners of their box
POINTS = 10
# a thin part of the object is kept where it covers this share of a pixel of the crop
_THIN_COVER = 0.25


class PromptSamples(ClickSamples):
    """Samples by their position in the run; see `ClickSamples`.

    Args:
        objects: the sets joined.
        order: which object comes where.
        recipe: how it becomes a sample.
        mixture: what is known of it.
        step_samples: samples of one optimizer step; all have the same size.
        total: samples of the whole run.
        seed: of all that is random.
    """

    def __init__(
        self,
        objects: ObjectSet,
        order: SampleOrder,
        recipe: ClickRecipe,
        mixture: Mixture,
        step_samples: int,
        total: int,
        seed: int,
    ) -> None:
        super().__init__(objects, order, recipe, step_samples, total, seed)
        self._mixture = mixture

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """The sample at a position.

        Returns:
            "image" 3×S×S uint8; "target" and "void" 1×S×S bool; "points" P×2 float32 and "kinds" P integers
            as `Prompts` takes them; "mask" 1×S/4×S/4 uint8 in 0…255 and "has_mask"; "seed" of what comes
            after.
        """
        rng = np.random.default_rng((self._seed, position))
        size_px = self._size_at(position)
        click_crop = replace(self._recipe.crop, size_px=size_px)
        layer, prompt, box = self._prompted(self._order.at(position), click_crop, rng)
        points, kinds = tokens(prompt, box)
        mask = np.zeros((size_px // 4, size_px // 4), dtype=np.float32)
        if prompt.mask is not None:
            mask = mask_input(prompt.mask, box, size_px)
        return {
            "image": torch.from_numpy(np.stack(cv2.split(click_crop.crop_image(layer.image_rgb, box)))),
            "target": torch.from_numpy(_target(layer.mask, box, size_px))[None],
            "void": torch.from_numpy(_void(layer.void, box, size_px))[None],
            "points": torch.from_numpy(np.pad(points, ((0, POINTS - len(points)), (0, 0)))),
            "kinds": torch.tensor([*kinds, *[PADDING] * (POINTS - len(kinds))]),
            "mask": torch.from_numpy(np.rint(255 * mask).astype(np.uint8))[None],
            "has_mask": torch.tensor(prompt.mask is not None),
            "seed": torch.tensor(int(rng.integers(2**31))),
        }

    def _prompted(
        self, index: int, click_crop: ClickCrop, rng: np.random.Generator
    ) -> tuple[Layer, Prompt, Box]:
        mixture, chance = self._mixture, rng.random()
        if chance < mixture.clicks:
            layer = self._whole(index, rng)
            return layer, *_clicked(layer.mask, click_crop, rng)
        layer, outline_xy = self._changed(index, click_crop, rng)
        if chance < mixture.clicks + mixture.box:
            prompt = _boxed(layer.mask, mixture.box_jitter, rng)
        elif chance < mixture.clicks + mixture.box + mixture.mask:
            prompt = _to_correct(layer, rng)
        else:
            prompt = Prompt(np.vstack([self._clicks(layer.mask, rng), outline_xy]))
        size_hw = (layer.mask.shape[0], layer.mask.shape[1])
        return layer, prompt, prompt.crop_box(click_crop, size_hw)

    def _whole(self, index: int, rng: np.random.Generator) -> Layer:
        """An object in its own image, whose surroundings matter where there are only clicks."""
        example = self._objects.read(index)
        image, mask, void = example.image_rgb, example.mask, example.void
        if rng.random() < 0.5:
            image, mask, void = image[:, ::-1].copy(), mask[:, ::-1].copy(), void[:, ::-1].copy()
        copy_paste = self._recipe.copy_paste
        photometric = copy_paste.photometric if copy_paste else PhotometricAugmentation()
        image = change_sharpness(change_colours(image, photometric, rng), photometric, rng)
        return Layer(image, mask, void)


def _clicked(mask: BoolArray, click_crop: ClickCrop, rng: np.random.Generator) -> tuple[Prompt, Box]:
    """One to three clicks inside, and a part of the image between the object's surroundings and all of it."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    size_hw = (mask.shape[0], mask.shape[1])
    near = np.array(click_crop.box(np.array([(x, y), (x + width - 1, y + height - 1)]), size_hw))
    whole = np.array([0, 0, mask.shape[1] - 1, mask.shape[0] - 1])
    share = rng.random() ** 1.5 * rng.uniform(0.6, 1.0, 4)
    x0, y0, x1, y1 = np.rint(near + share * (whole - near)).astype(int).tolist()
    depth = cv2.distanceTransform(np.pad(mask.view(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_3)[1:-1, 1:-1]
    clicks = [_pick(depth > depth.max() / 2, rng)]
    clicks += [_pick(mask, rng) for _ in range(int(rng.integers(0, 3)))]
    return Prompt(clicks=clicks), (x0, y0, x1, y1)


def _pick(mask: BoolArray, rng: np.random.Generator) -> Click:
    ys, xs = np.nonzero(mask)
    chosen = int(rng.integers(len(xs)))
    return Click(int(xs[chosen]), int(ys[chosen]), True)


def _boxed(mask: BoolArray, jitter: float, rng: np.random.Generator) -> Prompt:
    """A box, a little off."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    off = jitter * rng.uniform(-1, 1, 4) * rng.random() * (width, height, width, height)
    x0, y0, x1, y1 = np.rint(np.array([x, y, x + width - 1, y + height - 1]) + off).astype(int).tolist()
    return Prompt(box_xyxy=(x0, y0, max(x0, x1), max(y0, y1)))


def _to_correct(layer: Layer, rng: np.random.Generator) -> Prompt:
    """A mask with faults and the first click on them."""
    guess = faulty_mask(layer.mask, layer.image_rgb, rng)
    click = next_correction(guess, layer.mask, layer.void, rng)
    clicks = [] if click is None else [click]
    if not clicks or rng.random() < 0.2:
        clicks.append(_pick(layer.mask, rng))
    return Prompt(clicks=clicks, mask=guess.astype(np.float32))


def _target(mask: BoolArray, box_xyxy: Box, size_px: int) -> BoolArray:
    """The mask in the resized crop, thin parts kept."""
    target: BoolArray = coverage(mask, box_xyxy, size_px) > 0.5
    shrinks = max(box_size_hw(box_xyxy)) / size_px
    if shrinks > 1:
        thin = thin_parts(mask, shrinks)
        if thin.any():
            target |= coverage(thin, box_xyxy, size_px) > _THIN_COVER
    return target


def _void(void: BoolArray, box_xyxy: Box, size_px: int) -> BoolArray:
    """Void in the resized crop."""
    if not void.any():
        return np.zeros((size_px, size_px), dtype=bool)
    part = crop(void, box_xyxy).view(np.uint8)
    resized = cv2.resize(part, (size_px, size_px), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, dtype=np.bool_)


def thin_parts(mask: BoolArray, width_px: float) -> BoolArray:
    """The parts of a mask, H×W bool, that are no wider than about twice `width_px`."""
    side = 1 + 2 * max(1, round(width_px))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    opened = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, kernel)
    thin: BoolArray = mask & (opened == 0)
    return thin
