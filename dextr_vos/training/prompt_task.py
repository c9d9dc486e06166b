"""Training the lite click network: extreme points, and corrections of what the network itself gets wrong.

Iterative training as in RITM (Sofiiuk et al., ICIP 2022): the network sees its own mask and a click on the
largest error of it. The image is encoded once for all rounds.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dextr_vos.annotation.corrections import next_correction
from dextr_vos.annotation.prompt_segmenter import PromptSegmenter
from dextr_vos.annotation.prompts import Prompt
from dextr_vos.datasets.instances import Concat
from dextr_vos.evaluation.interactive import mask_iou
from dextr_vos.geometry import extreme_points
from dextr_vos.networks.checkpoint_file import is_lite_clicks
from dextr_vos.networks.checkpoints import load_into, read_state_dict
from dextr_vos.networks.lite_clicks import LiteClicks, mobile_sam_state
from dextr_vos.networks.losses import plain_bce, soft_iou_loss
from dextr_vos.networks.prompt_decoder import NEGATIVE, PADDING, POSITIVE, Prompts, hint_maps
from dextr_vos.training.dextr_settings import (
    DextrData,
    DextrSettings,
    click_recipe,
    sample_order,
    samples_a_step,
    training_steps,
)
from dextr_vos.training.prompt_samples import PromptSamples
from dextr_vos.training.task import NamedTensors

_CLICK_WEIGHT = 0.5  # of the loss about the clicks, beside that of the whole mask
_HALF = 0.5  # of a pixel at half the size that is covered by the object


def lite_network(settings: DextrSettings) -> LiteClicks:
    """The lite network as its training begins: from MobileSAM, from one of its own, or with random weights.

    Raises:
        WeightsError: the checkpoint to begin with is missing, broken or of another network.
    """
    torch.manual_seed(settings.seed)
    network = LiteClicks()
    if settings.start is not None:
        state = read_state_dict(settings.start)
        own = is_lite_clicks(state)
        load_into(network, state if own else mobile_sam_state(network, state), settings.start)
    return network


class PromptTask:
    """The lite network; see `task.Task`.

    Args:
        settings: everything about the training.
        network: to train.
        data: to learn from and to validate on.

    Attributes:
        steps: of the whole training.

    Raises:
        InputError: there is nothing to train on.
    """

    def __init__(self, settings: DextrSettings, network: LiteClicks, data: DextrData) -> None:
        self._settings, self._data = settings, data
        self.network: nn.Module = network
        self.optimizer: torch.optim.Optimizer = _optimizer(network, settings)
        order = sample_order(settings, data)
        self.steps = training_steps(settings, order)
        step_samples = samples_a_step(settings)
        self.samples = PromptSamples(
            Concat(data.sets),
            order,
            click_recipe(settings),
            settings.mixture,
            step_samples,
            step_samples * self.steps,
            settings.seed,
        )

    def loss(self, network: nn.Module, batch: NamedTensors, done: float) -> Tensor:
        """See `task.Task.loss`."""
        image = batch["image"].float().contiguous(memory_format=torch.channels_last)
        prompts = Prompts(batch["points"], batch["kinds"], batch["mask"].float() / 255, batch["has_mask"])
        corrections = _Corrections(batch, prompts)
        predictions = network(image, prompts, corrections, self._settings.rounds)
        target, void = batch["target"].float(), batch["void"]
        losses = [
            _loss(logits, quality, target, void) + _CLICK_WEIGHT * _click_loss(logits, target, void, known)
            for (logits, quality), known in zip(predictions, corrections.known, strict=True)
        ]
        return torch.stack(losses).mean()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean IoU of four clicks without jitter, and after one correction, on the validation's objects."""
        objects, settings = self._data.validation, self._settings
        assert isinstance(network, LiteClicks)
        device = next(network.parameters()).device
        segmenter = PromptSegmenter(network, device, settings.crop, settings.threshold)
        ious: dict[str, list[float]] = {"iou": [], "corrected": []}
        for index in range(len(objects.refs)):
            example = objects.read(index)
            points = extreme_points(example.mask)
            (prob,) = segmenter.probabilities(example.image_rgb, [points])
            ious["iou"].append(mask_iou(prob > settings.threshold, example.mask, example.void))
            click = next_correction(prob > settings.threshold, example.mask, example.void)
            if click is not None:
                (prob,) = segmenter.prompted(example.image_rgb, [Prompt(points, (click,), mask=prob)])
            ious["corrected"].append(mask_iou(prob > settings.threshold, example.mask, example.void))
        return {name: float(np.mean(values)) for name, values in ious.items() if values}


class _Corrections:
    """Puts a click on the largest error of each mask of a batch.

    Attributes:
        known: the prompts of every round.
    """

    def __init__(self, batch: NamedTensors, first: Prompts) -> None:
        self.known = [first]
        truth, void = (batch[name].float() for name in ("target", "void"))
        self._truth = (F.avg_pool2d(truth, 2)[:, 0] >= _HALF).cpu().numpy()
        self._void = (F.max_pool2d(void, 2)[:, 0] > 0).cpu().numpy()
        # of the samples: however many processes share a batch, the clicks are the same
        self._rngs = [np.random.default_rng(seed) for seed in batch["seed"].tolist()]

    def __call__(self, logits: Tensor, prompts: Prompts) -> Prompts:
        probs = torch.sigmoid(logits.float())
        masks = (probs[:, 0] > 0.5).cpu().numpy()
        height, width = masks.shape[1:]
        points, kinds = [], []
        for mask, truth, void, rng in zip(masks, self._truth, self._void, self._rngs, strict=True):
            click = next_correction(mask, truth, void, rng)
            if click is None:
                points.append([0.5, 0.5])
                kinds.append(PADDING)
                continue
            points.append([(click.x + 0.5) / width, (click.y + 0.5) / height])
            kinds.append(POSITIVE if click.positive else NEGATIVE)
        device = logits.device
        corrected = prompts.corrected(
            torch.tensor(points, device=device), torch.tensor(kinds, device=device), F.avg_pool2d(probs, 2)
        )
        self.known.append(corrected)
        return corrected


def _loss(logits: Tensor, quality: Tensor, target: Tensor, void: Tensor) -> Tensor:
    logits = F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
    with torch.no_grad():
        mask, truth = (logits > 0) & ~void, (target > 0.5) & ~void
        either = (mask | truth).sum((1, 2, 3)).clamp(min=1)
        iou = (mask & truth).sum((1, 2, 3)) / either
    overlap = plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)
    return overlap + 0.3 * F.mse_loss(quality, iou)


def _click_loss(logits: Tensor, target: Tensor, void: Tensor, known: Prompts) -> Tensor:
    """Cross-entropy about the positive and negative clicks, which are to be obeyed."""
    near = hint_maps(known, (logits.shape[-2], logits.shape[-1]))[:, 1:3].amax(dim=1, keepdim=True)
    near = near * (F.max_pool2d(void.float(), 2) == 0)
    wrong = F.binary_cross_entropy_with_logits(logits, F.avg_pool2d(target, 2), reduction="none")
    # of each image by itself: the loss of a batch is the mean of its images
    return ((wrong * near).sum((1, 2, 3)) / near.sum((1, 2, 3)).clamp(min=1)).mean()


def _optimizer(network: LiteClicks, settings: DextrSettings) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = []
    for part, factor in ((network.encoder, settings.encoder_rate), (network.decoder, 1.0)):
        for kernels in (True, False):
            parameters = [p for p in part.parameters() if (p.ndim > 1) == kernels]
            decay = settings.weight_decay if kernels else 0.0
            groups.append({"params": parameters, "lr": settings.rate * factor, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)
