"""Training DEXTR, both tiers: settings, samples, loss and validation (Maninis et al., CVPR 2018)."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dextr_vos.annotation.click_crop import ClickCrop
from dextr_vos.annotation.dextr import DextrSegmenter
from dextr_vos.config import Settings, as_yaml
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.catalogue import DataSettings, held_out, open_objects
from dextr_vos.datasets.compose import Composition
from dextr_vos.datasets.objects import ChosenObjects, JoinedObjects, ObjectSet
from dextr_vos.errors import ConfigError
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.geometry import extreme_points
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.dextr import Dextr, Head, paper_optimizer, upsample_logits
from dextr_vos.networks.lite_dextr import LiteDextr
from dextr_vos.networks.losses import class_balanced_bce, plain_bce, soft_iou_loss
from dextr_vos.networks.weights import load_into, read_state_dict
from dextr_vos.training.click_samples import ClickRecipe, ClickSamples
from dextr_vos.training.folder import TrainingFolder
from dextr_vos.training.loop import Batch, LoopSettings, OnStep, Outcome, train
from dextr_vos.training.order import SampleOrder

Loss = Literal["balanced", "plain", "plain+iou"]


class DextrSettings(Settings):
    """Everything about a training of DEXTR.

    Attributes:
        out: folder of the training.
        network: the tier.
        head: of the paper tier's network.
        start: checkpoint to begin with; none begins with random weights.
        rate: of the optimiser; per sample and pixel for the paper tier, whose loss is a sum.
        weight_decay: of the lite tier's optimiser.
        loss: class-balanced or plain cross-entropy, or plain with the soft overlap.
        threshold: what counts as object in validation, and in the weights' metadata.
        data_root: what the data sets' roots are relative to.
        data: the data sets.
        hold_out: share of the pictures that are kept for validation, where `validation` names no data.
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
        loop: how long and how fast.
        seed: of everything random.
    """

    out: Path
    network: Literal["lite", "resnet101"] = "lite"
    head: Head = "psp"
    start: Path | None = None
    rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    loss: Loss = "plain+iou"
    threshold: float = Field(default=0.5, gt=0, lt=1)
    data_root: Path = Path()
    data: tuple[DataSettings, ...] = Field(min_length=1)
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    validation: tuple[DataSettings, ...] = ()
    validation_objects: int = 200
    crop: ClickCrop = ClickCrop()
    crop_px: tuple[tuple[float, int], ...] = ()
    jitter: float = 0.0
    jitter_px: int = 0
    extra_clicks: float = 0.0
    crop_from_mask: bool = False
    composition: Composition | None = None
    augmentation: Augmentation | None = None
    loop: LoopSettings
    seed: int = Field(default=0, ge=0)


def train_dextr(
    settings: DextrSettings,
    beside: Path = Path(),
    device: torch.device | None = None,
    on_step: OnStep | None = None,
    stop_asked: StopAsked = never,
) -> Outcome:
    """Train a DEXTR, or go on with a training that was stopped.

    Args:
        settings: everything about it.
        beside: folder that paths inside the settings' file are relative to.
        device: see `loop.train`.
        on_step: likewise.
        stop_asked: likewise.

    Raises:
        ConfigError: settings that contradict one another.
        InputError: a data set is missing, or the loss is no number any more.
        Interrupted: see `loop.train`.
    """
    if settings.composition is not None and settings.augmentation is not None:
        raise ConfigError("give composition or augmentation, not both")
    task = DextrTask(settings, beside)
    metadata = {
        "network": "lite-dextr" if settings.network == "lite" else "dextr",
        "crop": json.dumps(asdict(settings.crop)),
        "threshold": str(settings.threshold),
    }
    folder = TrainingFolder(settings.out, as_yaml(settings), metadata)
    return train(task, settings.loop, folder, settings.seed, device, on_step, stop_asked)


class DextrTask:
    """See `loop.Task`.

    Args:
        settings: everything about the training.
        beside: folder that paths inside the settings' file are relative to.
    """

    def __init__(self, settings: DextrSettings, beside: Path = Path()) -> None:
        self._settings = settings
        torch.manual_seed(settings.seed)
        self.network = _network(settings)
        self.optimizer = _optimizer(self.network, settings)
        sets = [open_objects(data, settings.data_root, beside) for data in settings.data]
        trained = [_without_held_out(objects, settings.hold_out) for objects in sets]
        order = SampleOrder(
            [len(part.refs) for part in trained], [data.repeat for data in settings.data], settings.seed
        )
        world = int(torch.distributed.get_world_size()) if torch.distributed.is_initialized() else 1
        step_samples = settings.loop.batch * settings.loop.passes * world
        recipe = ClickRecipe(
            settings.crop,
            settings.crop_px,
            settings.jitter,
            settings.jitter_px,
            settings.extra_clicks,
            settings.crop_from_mask,
            settings.composition,
            settings.augmentation,
        )
        self.samples = ClickSamples(
            JoinedObjects(trained),
            order,
            recipe,
            step_samples,
            step_samples * settings.loop.steps,
            settings.seed,
        )
        self._validation = _validation_objects(settings, sets, beside)

    def loss(self, network: nn.Module, batch: Batch, done: float) -> Tensor:
        """See `loop.Task.loss`."""
        inputs = batch["inputs"].float().contiguous(memory_format=torch.channels_last)
        target, void = batch["target"].float(), batch["void"]
        logits = upsample_logits(network(inputs).float(), (target.shape[-2], target.shape[-1]))
        if self._settings.loss == "balanced":
            return class_balanced_bce(logits, target, void)
        if self._settings.loss == "plain":
            return plain_bce(logits, target, void)
        return plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean IoU of four clicks without jitter on the objects kept for validation."""
        if not self._validation.refs:
            return {}
        settings = self._settings
        device = next(network.parameters()).device
        segmenter = DextrSegmenter(network, device, settings.crop, settings.threshold)
        ious = []
        for index in _spread(len(self._validation.refs), settings.validation_objects):
            example = self._validation.read(index)
            points = extreme_points(example.mask)
            (prob,) = segmenter.segment(example.image_rgb, [points])
            mask = (prob > settings.threshold) & ~example.void
            ious.append(region_similarity(example.mask & ~example.void, mask))
        return {"iou": float(np.mean(ious))}


def _network(settings: DextrSettings) -> nn.Module:
    network: nn.Module = LiteDextr() if settings.network == "lite" else Dextr(settings.head)
    if settings.start is not None:
        load_into(network, read_state_dict(settings.start), settings.start)
    return network


def _optimizer(network: nn.Module, settings: DextrSettings) -> torch.optim.Optimizer:
    if isinstance(network, Dextr):
        return paper_optimizer(network, settings.rate)
    # norms and biases are not pulled to zero
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.rate, weight_decay=settings.weight_decay)


def _without_held_out(objects: ObjectSet, share: float) -> ObjectSet:
    return ChosenObjects(objects, lambda ref, _: not held_out(ref.picture, share)) if share else objects


def _validation_objects(settings: DextrSettings, sets: Sequence[ObjectSet], beside: Path) -> ObjectSet:
    if settings.validation:
        return JoinedObjects([open_objects(data, settings.data_root, beside) for data in settings.validation])
    share = settings.hold_out
    return JoinedObjects([ChosenObjects(part, lambda ref, _: held_out(ref.picture, share)) for part in sets])


def _spread(count: int, most: int) -> list[int]:
    """At most `most` indices, evenly over all."""
    places: list[int] = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return places
