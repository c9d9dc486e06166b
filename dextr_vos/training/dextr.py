"""Training DEXTR, both models: network, samples, loss and validation (Maninis et al., CVPR 2018)."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.annotation.dextr import DextrSegmenter
from dextr_vos.config import as_yaml
from dextr_vos.datasets.instances import Concat, OnObject
from dextr_vos.errors import WeightsError
from dextr_vos.evaluation.interactive import mask_iou
from dextr_vos.geometry import extreme_points
from dextr_vos.interrupt import StopAsked, never
from dextr_vos.networks.checkpoints import load_into, read_state_dict
from dextr_vos.networks.dextr import Dextr, paper_optimizer, upsample_logits
from dextr_vos.networks.imagenet import IMAGENET, imagenet_state, load_backbone, load_torchvision_resnet
from dextr_vos.networks.lite_clicks import LiteClicks
from dextr_vos.networks.losses import class_balanced_bce, plain_bce, soft_iou_loss
from dextr_vos.training.checkpoint_folder import TrainingFolder
from dextr_vos.training.click_samples import ClickSamples
from dextr_vos.training.dextr_settings import (
    DextrData,
    DextrSettings,
    click_recipe,
    open_data,
    sample_order,
    samples_a_step,
    training_steps,
)
from dextr_vos.training.hard_examples import HARD_EXAMPLES, check_networks, with_hard_examples
from dextr_vos.training.loop import OnStep, TrainingResult, train
from dextr_vos.training.processes import is_main_process
from dextr_vos.training.prompt_task import PromptTask, lite_network
from dextr_vos.training.task import NamedTensors

log = logging.getLogger(__name__)


def train_dextr(
    settings: DextrSettings,
    beside: Path = Path(),
    device: torch.device | None = None,
    on_step: OnStep | None = None,
    stop_asked: StopAsked = never,
    on_object: OnObject | None = None,
) -> TrainingResult:
    """Train a DEXTR, or resume a training that was stopped.

    Args:
        settings: everything about it.
        beside: folder that paths inside the settings' file are relative to.
        device: see `loop.train`.
        on_step: see `loop.train`.
        stop_asked: see `loop.train`.
        on_object: called with objects done and in all while hard examples are searched for.

    Raises:
        ConfigError: the networks that search for hard examples learned from the wrong folds.
        InputError: a data set is missing, there is nothing to train on, or the loss is no longer finite.
        WeightsError: a checkpoint to begin with is missing, broken or of another network.
        Interrupted: see `loop.train`.
    """
    data = open_data(settings, beside)
    network = lite_network(settings) if settings.model == "lite" else _paper_network(settings)
    if settings.hard is not None and not (settings.out / HARD_EXAMPLES).exists():
        check_networks(settings.hard)
    folder = TrainingFolder(settings.out, as_yaml(settings), _metadata(settings))
    if settings.hard is not None:
        if is_main_process():
            folder.acquire()
        try:
            data = with_hard_examples(data, settings.out, settings.hard, device, on_object, stop_asked)
        finally:
            folder.release()
    task: DextrTask | PromptTask
    if isinstance(network, LiteClicks):
        task = PromptTask(settings, network, data)
    else:
        task = DextrTask(settings, network, data)
    loop = settings.loop.model_copy(update={"steps": task.steps})
    return train(task, loop, folder, settings.seed, device, on_step, stop_asked)


class DextrTask:
    """The paper's network; see `task.Task`.

    Args:
        settings: everything about the training.
        network: to train.
        data: to learn from and to validate on.

    Attributes:
        steps: of the whole training.

    Raises:
        InputError: there is nothing to train on.
    """

    def __init__(self, settings: DextrSettings, network: Dextr, data: DextrData) -> None:
        self._settings, self._data = settings, data
        self.network: nn.Module = network
        self.optimizer: torch.optim.Optimizer = paper_optimizer(network, settings.rate)
        order = sample_order(settings, data)
        self.steps = training_steps(settings, order)
        step_samples = samples_a_step(settings)
        self.samples = ClickSamples(
            Concat(data.sets),
            order,
            click_recipe(settings),
            step_samples,
            step_samples * self.steps,
            settings.seed,
            data.sets_xy,
        )

    def loss(self, network: nn.Module, batch: NamedTensors, done: float) -> Tensor:
        """See `task.Task.loss`."""
        inputs = batch["inputs"].float().contiguous(memory_format=torch.channels_last)
        target, void = batch["target"].float(), batch["void"]
        logits = upsample_logits(network(inputs).float(), (target.shape[-2], target.shape[-1]))
        if self._settings.loss == "balanced":
            return class_balanced_bce(logits, target, void)
        if self._settings.loss == "plain":
            return plain_bce(logits, target, void)
        return plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean IoU of four clicks without jitter, and further ones, on the objects kept for validation."""
        objects, settings = self._data.validation, self._settings
        device = next(network.parameters()).device
        segmenter = DextrSegmenter(network, device, settings.crop, settings.threshold)
        ious = []
        for index in range(len(objects.refs)):
            example = objects.read(index)
            points = extreme_points(example.mask)
            if index in self._data.validation_xy:
                points = np.vstack([points, self._data.validation_xy[index]])
            (prob,) = segmenter.probabilities(example.image_rgb, [points])
            ious.append(mask_iou(prob > settings.threshold, example.mask, example.void))
        return {"iou": float(np.mean(ious))} if ious else {}


def _metadata(settings: DextrSettings) -> Mapping[str, str]:
    """What is written beside the weights, so that a segmenter can be made of them."""
    metadata = {"crop": json.dumps(asdict(settings.crop)), "threshold": str(settings.threshold)}
    if settings.fold is not None:
        metadata["fold"] = str(settings.fold)
    if settings.model == "lite":
        return {"network": "lite-clicks"} | metadata
    return {"network": "dextr", "head": settings.head, "blocks": json.dumps(settings.blocks)} | metadata


def _paper_network(settings: DextrSettings) -> Dextr:
    torch.manual_seed(settings.seed)
    network = Dextr(settings.head, blocks=settings.blocks)
    if settings.start is None:
        return network
    from_imagenet = str(settings.start) == IMAGENET
    state = imagenet_state("resnet101") if from_imagenet else read_state_dict(settings.start)
    # the heat map is a fourth channel
    of_colours = any(
        key.endswith("conv1.weight") and tensor.shape[1:2] == (3,) for key, tensor in state.items()
    )
    if not of_colours:
        load_into(network, state, settings.start)
        return network
    try:
        (load_torchvision_resnet if "fc.weight" in state else load_backbone)(network, state)
    except WeightsError as error:
        raise WeightsError(f"{settings.start}: {error}") from None
    if is_main_process():
        log.info("%s starts the backbone; the head begins with random weights", settings.start)
    return network
