"""Training the parent of the propagation networks: what an object is, before it is told which one.

OSVOS (Caelles et al., CVPR 2017) for the paper tier: whole frames of DAVIS, all side losses, their weight
falling to nothing. The lite tier learns from scenes made of still pictures and may start from lite DEXTR.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dextr_vos.config import Settings, as_yaml
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.catalogue import DataSettings, held_out, open_objects
from dextr_vos.datasets.objects import ChosenObjects, ObjectSet
from dextr_vos.datasets.scene import Scene
from dextr_vos.errors import ConfigError
from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.losses import class_balanced_bce, plain_bce, soft_iou_loss
from dextr_vos.networks.osvos import Osvos, parent_optimizer
from dextr_vos.propagation.tiers import LITE, OSVOS, build_network, tier_named
from dextr_vos.training.folder import TrainingFolder
from dextr_vos.training.loop import Batch, LoopSettings, OnStep, Outcome, train
from dextr_vos.training.optimizer import lite_optimizer
from dextr_vos.training.order import SampleOrder
from dextr_vos.training.scene_samples import Pictures, SceneSamples


class ParentSettings(Settings):
    """Everything about the training of a parent network.

    Attributes:
        out: folder of the training.
        network: the tier.
        start: checkpoint to begin with: of a parent; for lite also of a lite DEXTR; for osvos also
            torchvision's VGG-16 or `vgg_caffe.mat`. None begins with random weights.
        rate: of the optimiser; for osvos per sample and pixel, its loss being a sum.
        weight_decay: of the lite tier's optimiser.
        loss: "balanced" as in the paper, or plain cross-entropy with the soft overlap.
        side_weight: of the side losses at the beginning; it falls to nothing in a line.
        data_root: what the data sets' roots are relative to.
        data: the data sets.
        hold_out: share of the pictures that are kept for validation, where `validation` names no data.
        validation: data sets to validate on.
        validation_pictures: at most this many pictures are validated on.
        scene: how scenes are composed of pictures; none takes whole pictures.
        augmentation: random changes of whole pictures.
        loop: how long and how fast.
        seed: of everything random.
    """

    out: Path
    network: Literal["lite", "osvos"] = "lite"
    start: Path | None = None
    rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    loss: Literal["balanced", "plain+iou"] = "plain+iou"
    side_weight: float = Field(default=0.5, ge=0)
    data_root: Path = Path()
    data: tuple[DataSettings, ...] = Field(min_length=1)
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    validation: tuple[DataSettings, ...] = ()
    validation_pictures: int = Field(default=100, ge=1)
    scene: Scene | None = None
    augmentation: Augmentation | None = None
    loop: LoopSettings
    seed: int = Field(default=0, ge=0)


def train_parent(
    settings: ParentSettings,
    beside: Path = Path(),
    device: torch.device | None = None,
    on_step: OnStep | None = None,
    stop_asked: StopAsked = never,
) -> Outcome:
    """Train a parent network, or go on with a training that was stopped.

    Args:
        settings: everything about it.
        beside: folder that paths inside the settings' file are relative to.
        device: see `loop.train`.
        on_step: likewise.
        stop_asked: likewise.

    Raises:
        ConfigError: settings that contradict one another.
        InputError: a data set is missing, or the loss is no number any more.
        WeightsError: the start does not fit.
        Interrupted: see `loop.train`.
    """
    if settings.scene is None and settings.loop.batch > 1:
        raise ConfigError("whole pictures differ in size: set loop.batch=1 and take more loop.passes")
    task = ParentTask(settings, beside)
    folder = TrainingFolder(settings.out, as_yaml(settings), {"network": f"{settings.network}-parent"})
    return train(task, settings.loop, folder, settings.seed, device, on_step, stop_asked)


class ParentTask:
    """See `loop.Task`.

    Args:
        settings: everything about the training.
        beside: folder that paths inside the settings' file are relative to.
    """

    def __init__(self, settings: ParentSettings, beside: Path = Path()) -> None:
        self._settings = settings
        self._prepare = tier_named(settings.network).prepare
        self.network, self.optimizer = _network(settings)
        sets = [open_objects(data, settings.data_root, beside) for data in settings.data]
        share = settings.hold_out
        pictures = Pictures([_part(objects, share, kept=False) for objects in sets])
        order = SampleOrder(pictures.counts, [data.repeat for data in settings.data], settings.seed)
        self.samples = SceneSamples(pictures, order, settings.seed, settings.scene, settings.augmentation)
        validation = [open_objects(data, settings.data_root, beside) for data in settings.validation]
        self._validation = Pictures(validation or [_part(part, share, kept=True) for part in sets])

    def loss(self, network: nn.Module, batch: Batch, done: float) -> Tensor:
        """See `loop.Task.loss`: the fused loss, and those of the sides with a falling weight."""
        settings = self._settings
        frames = self._prepare(batch["image"].cpu().numpy()).to(batch["image"].device)
        *sides, fused = network(frames)
        target, void = batch["target"].float(), batch["void"]
        loss = self._one_loss(fused, target, void)
        weight = settings.side_weight * (1 - done)
        for side in sides:
            loss = loss + weight * self._one_loss(side, target, void)
        return loss

    def _one_loss(self, logits: Tensor, target: Tensor, void: Tensor) -> Tensor:
        logits = logits.float()
        if self._settings.loss == "balanced":
            return class_balanced_bce(logits, target, void)
        return plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean IoU of the foreground of whole pictures kept for validation."""
        network.eval()
        device = next(network.parameters()).device
        ious = []
        count = len(self._validation)
        chosen = np.linspace(0, count - 1, min(count, self._settings.validation_pictures)).round().astype(int)
        for number in chosen.tolist():
            layer = self._validation.read(number)
            logits = network(self._prepare(layer.image_rgb[None]).to(device))[-1]
            mask = (logits[0, 0] > 0).cpu().numpy() & ~layer.void
            ious.append(region_similarity(layer.mask, mask))
        return {"iou": float(np.mean(ious))} if ious else {}


def _part(objects: ObjectSet, share: float, *, kept: bool) -> ObjectSet:
    return ChosenObjects(objects, lambda ref, _: held_out(ref.picture, share) == kept)


def _network(settings: ParentSettings) -> tuple[nn.Module, torch.optim.Optimizer]:
    if settings.network == "osvos":
        network = build_network(OSVOS, 1, settings.seed, settings.start)
        assert isinstance(network, Osvos)
        return network, parent_optimizer(network, settings.rate)
    lite = build_network(LITE, 1, settings.seed, settings.start, freeze_norm=False)
    return lite, lite_optimizer(lite, settings.rate, settings.weight_decay)
