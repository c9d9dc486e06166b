"""The settings of a training of DEXTR, as a YAML in `configs/` gives them, and the objects they name."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.config import Settings
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.instances import Concat, ObjectSet, Subset
from dextr_vos.datasets.registry import DataSettings, fold_of, holdout_part, is_held_out, open_objects
from dextr_vos.geometry import IntArray
from dextr_vos.networks.dextr import RESNET101_BLOCKS, Head
from dextr_vos.networks.imagenet import IMAGENET
from dextr_vos.training.click_samples import ClickRecipe, Mixture
from dextr_vos.training.loader import SampleOrder
from dextr_vos.training.processes import is_main_process, world_size
from dextr_vos.training.task import LoopSettings

log = logging.getLogger(__name__)

Loss = Literal["balanced", "plain", "plain+iou"]
Fold = Literal[0, 1]

_MIN_CROP_PX = 32
_LITE_STRIDE = 16
_FOR_LITE = ("encoder_rate", "rounds", "mixture")
_FOR_PAPER = ("head", "blocks", "loss", "hard", "augmentation", "jitter_px", "crop_from_mask")


class DextrLoop(LoopSettings):
    """See `LoopSettings`.

    Attributes:
        steps: optimizer steps; 0 where `epochs` says how long.
    """

    steps: int = Field(default=0, ge=0)


class HardSettings(Settings):
    """Where hard examples come from.

    Attributes:
        first: weights of the network that was trained on fold 0 of the images; it segments fold 1.
        second: weights of the network that was trained on fold 1.
        below: an object is hard when the IoU of its mask from four clicks is below this.
    """

    first: Path
    second: Path
    below: float = Field(default=0.8, gt=0, le=1)


class DextrSettings(Settings):
    """Everything about a training of DEXTR.

    Attributes:
        out: folder of the training.
        model: lite, or the paper's.
        head: of the paper's network.
        blocks: residual blocks in each of the four layers of the paper's network.
        start: checkpoint to begin with: of the same network; for the lite model, MobileSAM's
            `mobile_sam.pt`; for the paper model, a ResNet-101 of ImageNet, Deeplab-v2 or PSPNet, or
            "imagenet", which downloads torchvision's. None begins with random weights.
        rate: learning rate; per sample and pixel for the paper model, whose loss is a sum.
        weight_decay: of the lite model's optimizer; the paper model has the paper's.
        encoder_rate: factor on the rate for the lite model's encoder.
        rounds: corrections of every sample of the lite model, beside its first mask.
        mixture: what the lite model is given of the objects.
        loss: class-balanced or plain cross-entropy, or plain with the soft overlap, which the lite model has.
        threshold: probability from which a pixel is the object, in validation and in the weights' metadata.
        data_root: folder that the roots of the data sets are relative to.
        data: the data sets.
        hold_out: share of the images that are kept for validation, where `validation` names no data.
        fold: trains on this half of the images alone.
        hard: trains on hard examples alone, each with a fifth click.
        validation: data sets to validate on.
        validation_objects: at most this many objects are validated on.
        crop: what the network sees of an image.
        crop_px: see `ClickRecipe`.
        jitter: see `ClickRecipe`.
        jitter_px: see `ClickRecipe`.
        extra_clicks: see `ClickRecipe`.
        crop_from_mask: see `ClickRecipe`.
        copy_paste: see `ClickRecipe`.
        augmentation: see `ClickRecipe`.
        epochs: how often every object is seen, where `loop.steps` does not say how long.
        loop: how long and how fast.
        seed: of everything random.
    """

    out: Path
    model: Literal["lite", "paper"] = "lite"
    head: Head = "psp"
    blocks: tuple[int, int, int, int] = RESNET101_BLOCKS
    start: Path | None = None
    rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    encoder_rate: float = Field(default=0.3, gt=0, le=1)
    rounds: int = Field(default=2, ge=0)
    mixture: Mixture = Mixture()
    loss: Loss = "plain+iou"
    threshold: float = Field(default=0.5, gt=0, lt=1)
    data_root: Path = Path()
    data: tuple[DataSettings, ...] = Field(min_length=1)
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    fold: Fold | None = None
    hard: HardSettings | None = None
    validation: tuple[DataSettings, ...] = ()
    validation_objects: int = Field(default=200, ge=1)
    crop: ClickCrop = ClickCrop()
    crop_px: tuple[tuple[float, int], ...] = ()
    jitter: float = Field(default=0.0, ge=0)
    jitter_px: int = Field(default=0, ge=0)
    extra_clicks: float = Field(default=0.0, ge=0, le=1)
    crop_from_mask: bool = False
    copy_paste: CopyPaste | None = None
    augmentation: Augmentation | None = None
    epochs: float | None = Field(default=None, gt=0)
    loop: DextrLoop
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _agrees(self) -> "DextrSettings":
        """Refuse what contradicts itself, or would silently do nothing."""
        if (self.epochs is None) == (self.loop.steps == 0):
            raise ValueError(
                f"expected either epochs or loop.steps, got {'both' if self.loop.steps else 'neither'}"
            )
        if self.copy_paste is not None and self.augmentation is not None:
            raise ValueError("expected either copy_paste or augmentation, got both")
        if self.hard is not None and self.copy_paste is not None:
            raise ValueError("expected hard with augmentation, got copy_paste, which moves no clicks along")
        if self.hard is not None and self.fold is not None:
            raise ValueError("expected either hard or fold, got both; hard examples come from both folds")
        if self.jitter and self.jitter_px:
            raise ValueError("expected either jitter or jitter_px, got both")
        if self.jitter_px and not self.crop_from_mask:
            raise ValueError("expected crop_from_mask with jitter_px, got a crop that follows the clicks")
        if self.model == "lite":
            self._agrees_with_lite()
        else:
            for name in _FOR_LITE:
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"expected {name} with model=lite, got model=paper")
        smallest = min([self.crop.size_px, *(px for _, px in self.crop_px)])
        if smallest < _MIN_CROP_PX:
            raise ValueError(f"expected crops of at least {_MIN_CROP_PX} pixels, got {smallest}")
        if min(self.blocks) < 1:
            raise ValueError(f"expected at least one block a layer, got {list(self.blocks)}")
        return self

    def _agrees_with_lite(self) -> None:
        for name in _FOR_PAPER:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"expected {name} with model=paper, got model=lite")
        if str(self.start) == IMAGENET:
            raise ValueError(f"expected start={IMAGENET} with model=paper, got model=lite")
        for px in (self.crop.size_px, *(px for _, px in self.crop_px)):
            if px % _LITE_STRIDE:
                raise ValueError(f"expected crops of a multiple of {_LITE_STRIDE} pixels, got {px}")


@dataclass(frozen=True)
class DextrData:
    """Objects, and further clicks on them.

    Attributes:
        sets: to train on, one a data set.
        validation: to validate on.
        sets_xy: further clicks, N×2, by the index of an object in the sets joined.
        validation_xy: the same of the validation's objects.
    """

    sets: Sequence[ObjectSet]
    validation: ObjectSet
    sets_xy: Mapping[int, IntArray] = field(default_factory=dict)
    validation_xy: Mapping[int, IntArray] = field(default_factory=dict)


def click_recipe(settings: DextrSettings) -> ClickRecipe:
    """How an object becomes a sample."""
    return ClickRecipe(
        settings.crop,
        settings.crop_px,
        settings.jitter,
        settings.jitter_px,
        settings.extra_clicks,
        settings.crop_from_mask,
        settings.copy_paste,
        settings.augmentation,
    )


def sample_order(settings: DextrSettings, data: DextrData) -> SampleOrder:
    """Which object comes where.

    Raises:
        InputError: there is nothing to train on.
    """
    counts = [len(part.refs) for part in data.sets]
    return SampleOrder(counts, [part.repeat for part in settings.data], settings.seed)


def samples_a_step(settings: DextrSettings) -> int:
    """Samples of one optimizer step, of all processes."""
    return settings.loop.batch * settings.loop.accumulate_grad * world_size()


def training_steps(settings: DextrSettings, order: SampleOrder) -> int:
    """Optimizer steps of the whole training."""
    if settings.epochs is None:
        return settings.loop.steps
    return math.ceil(settings.epochs * order.epoch_length / samples_a_step(settings))


def open_data(settings: DextrSettings, beside: Path) -> DextrData:
    """Open the data sets and log their sizes.

    Args:
        settings: of the training.
        beside: folder that descriptions of data sets are relative to.

    Raises:
        InputError: a data set is missing or broken.
    """
    share, fold = settings.hold_out, settings.fold
    opened = [open_objects(data, settings.data_root, beside) for data in settings.data]
    kept = [holdout_part(part, share, kept=True) for part in opened]
    sets = [
        Subset(part, lambda ref, _: not is_held_out(ref.image, share) and fold in (None, fold_of(ref.image)))
        for part in opened
    ]
    named = [open_objects(data, settings.data_root, beside) for data in settings.validation]
    validation = Concat(named or kept)
    chosen = _spread(len(validation.refs), settings.validation_objects)
    if is_main_process():
        of_fold = "" if fold is None else f" of fold {fold}"
        for data, part, apart in zip(settings.data, sets, kept, strict=True):
            rest = f", {len(apart.refs)} held out" if share else ""
            log.info("%s: %d objects%s to train on%s", data.describe(), len(part.refs), of_fold, rest)
        source = " and ".join(data.describe() for data in settings.validation) or "held-out images"
        log.info("validation on %d of %d objects: %s", len(chosen), len(validation.refs), source)
    return DextrData(sets, Subset(validation, lambda _, index: index in chosen))


def _spread(count: int, most: int) -> set[int]:
    """At most so many indices, evenly over all."""
    return set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist())
