"""Losses on logits: class-balanced and plain binary cross-entropy, and soft IoU.

The balanced one is that of HED (Xie and Tu, ICCV 2015) as OSVOS (Caelles et al., CVPR 2017) and DEXTR
(Maninis et al., CVPR 2018) use it; the plain one is DEXTR's ablation. What the lite networks minimize
is in `training.tracker_task` and `training.prompt_task`.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Average = Literal["batch", "size", "sum"]

_PER_CHANNEL = (0, 2, 3)


def class_balanced_bce(
    logits: Tensor,
    targets: Tensor,
    void: Tensor | None = None,
    average: Average = "batch",
    absent_weight: float = 0.0,
) -> Tensor:
    """Cross-entropy in which foreground and background weigh the same, however small the object.

    Positives weigh (negatives / total), negatives (positives / total), counted over the whole batch. Where
    one class does not occur at all the loss is 0, with gradient 0, as in the papers.

    Args:
        logits: N×K×H×W.
        targets: N×K×H×W, foreground where ≥ 0.5; any dtype.
        void: true where a pixel counts neither way, in loss or in weights; N×K×H×W or N×1×H×W.
        average: "batch", summed over pixels and divided by N, as in both papers; "size", divided by the
            number of pixels that count; "sum", not divided.
        absent_weight: weight of each negative in a channel without a positive, so that an image without
            the object teaches something, too.

    Returns:
        Scalar, float32 at least; with K > 1 the mean of the channels, each balanced by itself.

    Raises:
        ValueError: shapes differ, or `average` is unknown.
    """
    positive, counted = _masks(logits, targets, void)
    pixels = _cross_entropy(logits, positive)
    positives, total = positive.sum(_PER_CHANNEL), counted.sum(_PER_CHANNEL)  # K
    # max avoids 0/0 when all is void
    weight_positive = (total - positives) / total.clamp(min=1)
    weight_negative = torch.where(positives > 0, positives / total.clamp(min=1), absent_weight)
    loss_positive = (pixels * positive).sum(_PER_CHANNEL)
    loss_negative = (pixels * (counted - positive)).sum(_PER_CHANNEL)
    summed = weight_positive * loss_positive + weight_negative * loss_negative
    # all channels weigh the same, however small their objects (exactly 1 for K = 1)
    weight = weight_positive * positives + weight_negative * (total - positives)
    summed = summed * torch.where(weight > 0, weight.mean() / weight.clamp(min=1e-12), 1.0)
    return _average(summed, total, len(logits), average)


def plain_bce(
    logits: Tensor, targets: Tensor, void: Tensor | None = None, average: Average = "batch"
) -> Tensor:
    """Cross-entropy in which every pixel weighs 1: DEXTR's ablation. Arguments as `class_balanced_bce`."""
    positive, counted = _masks(logits, targets, void)
    pixels = _cross_entropy(logits, positive) * counted
    return _average(pixels.sum(_PER_CHANNEL), counted.sum(_PER_CHANNEL), len(logits), average)


def _masks(logits: Tensor, targets: Tensor, void: Tensor | None) -> tuple[Tensor, Tensor]:
    """Positives and counted pixels as 0 and 1, of the logits' shape."""
    if logits.ndim != 4 or logits.shape != targets.shape:
        raise ValueError(
            f"expected logits and targets of one shape N×K×H×W, got {tuple(logits.shape)} "
            f"and {tuple(targets.shape)}"
        )
    dtype = torch.promote_types(logits.dtype, torch.float32)
    positive = (targets >= 0.5).to(dtype)
    if void is None:
        return positive, torch.ones_like(positive)
    if void.shape not in (logits.shape, (len(logits), 1, *logits.shape[2:])):
        raise ValueError(f"expected void of shape {tuple(logits.shape)}, got {tuple(void.shape)}")
    counted = (void < 0.5 if void.is_floating_point() else ~void.bool()).to(dtype).expand_as(positive)
    return positive * counted, counted


def _cross_entropy(logits: Tensor, positive: Tensor) -> Tensor:
    # fp16 cannot hold a sum over 512² pixels
    return F.binary_cross_entropy_with_logits(logits.to(positive.dtype), positive, reduction="none")


def _average(summed: Tensor, total: Tensor, batch: int, average: Average) -> Tensor:
    if average == "batch":
        return summed.mean() / batch
    if average == "size":
        return (summed / total.clamp(min=1)).mean()
    if average == "sum":
        return summed.mean()
    raise ValueError(f"average is batch, size or sum, not {average!r}")


def soft_iou_loss(logits: Tensor, targets: Tensor, void: Tensor | None = None) -> Tensor:
    """One minus the overlap of probabilities and mask, a mean over images (Rahman and Wang, ISVC 2016).

    Args:
        logits: N×K×H×W.
        targets: as `class_balanced_bce` takes them.
        void: likewise.

    Returns:
        Scalar in [0, 1]; every image and channel counts the same, however small its object.
    """
    positive, counted = _masks(logits, targets, void)
    prob = torch.sigmoid(logits.to(positive.dtype)) * counted
    both = (prob * positive).sum((2, 3))
    either = prob.sum((2, 3)) + positive.sum((2, 3)) - both
    return (1 - (both + 1) / (either + 1)).mean()
