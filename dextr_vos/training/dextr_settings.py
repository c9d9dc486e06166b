"""The settings of a training of DEXTR, as a YAML in `configs/` gives them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.config import Settings
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.registry import DataSettings
from dextr_vos.networks.dextr import RESNET101_BLOCKS, Head
from dextr_vos.training.loop import LoopSettings

Loss = Literal["balanced", "plain", "plain+iou"]

_LEAST_CROP_PX = 32


class DextrLoop(LoopSettings):
    """See `LoopSettings`.

    Attributes:
        steps: optimiser steps; 0 where `epochs` says how long.
    """

    steps: int = Field(default=0, ge=0)


class HardSettings(Settings):
    """Where hard examples come from.

    Attributes:
        first: weights of the network that was trained on half 0 of the pictures; it looks at half 1.
        second: of the one that was trained on half 1.
        below: an object is hard when the IoU of its mask from four clicks is below this.
    """

    first: Path
    second: Path
    below: float = Field(default=0.8, gt=0, le=1)


class DextrSettings(Settings):
    """Everything about a training of DEXTR.

    Attributes:
        out: folder of the training.
        network: the model.
        head: of the paper model's network.
        blocks: residual blocks of its four layers.
        start: checkpoint to begin with: of the same network or, for the paper model, a ResNet-101 of
            ImageNet, Deeplab-v2 or PSPNet. None begins with random weights.
        rate: of the optimiser; per sample and pixel for the paper model, whose loss is a sum.
        weight_decay: of the lite model's optimiser; the paper model has the paper's.
        loss: class-balanced or plain cross-entropy, or plain with the soft overlap.
        threshold: what counts as object in validation, and in the weights' metadata.
        data_root: what the data sets' roots are relative to.
        data: the data sets.
        hold_out: share of the pictures that are kept for validation, where `validation` names no data.
        half: trains on this half of the pictures alone.
        hard: trains on hard examples alone, each with a fifth click.
        validation: data sets to validate on.
        validation_objects: at most this many objects are validated on.
        crop: what the network sees.
        crop_px: see `ClickRecipe`.
        jitter: likewise.
        jitter_px: likewise.
        extra_clicks: likewise.
        crop_from_mask: likewise.
        composition: likewise.
        augmentation: likewise.
        epochs: how often every object comes, where `loop.steps` does not say how long.
        loop: how long and how fast.
        seed: of everything random.
    """

    out: Path
    network: Literal["lite", "resnet101"] = "lite"
    head: Head = "psp"
    blocks: tuple[int, int, int, int] = RESNET101_BLOCKS
    start: Path | None = None
    rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    loss: Loss = "plain+iou"
    threshold: float = Field(default=0.5, gt=0, lt=1)
    data_root: Path = Path()
    data: tuple[DataSettings, ...] = Field(min_length=1)
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    half: Literal[0, 1] | None = None
    hard: HardSettings | None = None
    validation: tuple[DataSettings, ...] = ()
    validation_objects: int = Field(default=200, ge=1)
    crop: ClickCrop = ClickCrop()
    crop_px: tuple[tuple[float, int], ...] = ()
    jitter: float = Field(default=0.0, ge=0)
    jitter_px: int = Field(default=0, ge=0)
    extra_clicks: float = Field(default=0.0, ge=0, le=1)
    crop_from_mask: bool = False
    composition: CopyPaste | None = None
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
        if self.composition is not None and self.augmentation is not None:
            raise ValueError("expected either composition or augmentation, got both")
        if self.hard is not None and self.composition is not None:
            raise ValueError("expected hard with augmentation, got composition, which moves no clicks along")
        if self.hard is not None and self.half is not None:
            raise ValueError("expected either hard or half, got both; hard examples come from both halves")
        if self.jitter and self.jitter_px:
            raise ValueError("expected either jitter or jitter_px, got both")
        if self.jitter_px and not self.crop_from_mask:
            raise ValueError("expected crop_from_mask with jitter_px, got a crop that follows the clicks")
        smallest = min([self.crop.size_px, *(px for _, px in self.crop_px)])
        if smallest < _LEAST_CROP_PX:
            raise ValueError(f"expected crops of at least {_LEAST_CROP_PX} pixels, got {smallest}")
        if min(self.blocks) < 1:
            raise ValueError(f"expected at least one block a layer, got {list(self.blocks)}")
        return self
