"""How fast networks learn: the learning-rate schedule of every training, and the lite networks' optimizer.

The optimizers of the papers are beside their networks, in `osvos` and `dextr`.
"""

import math
from typing import Any, Literal

import torch
from torch import nn

Decay = Literal["constant", "linear", "cosine", "poly"]

_POLY_POWER = 0.9  # of Deeplab


def rate_factor(step: int, decay: Decay, start: int, end: int, warmup: int = 0) -> float:
    """Factor on the learning rate at a step: rising over the warm-up, 1, then falling to 0.

    Args:
        step: 0-based.
        decay: how it falls: in a line, along a cosine (Loshchilov and Hutter, ICLR 2017), with the power 0.9
            of Deeplab ("poly"), or not at all.
        start: the last step at the full rate.
        end: the step at which nothing is left.
        warmup: first steps, over which it rises in a line; at most `start`.

    Returns:
        In [0, 1].
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if decay == "constant":
        return 1.0
    done = min(1.0, max(0, step - start) / max(1, end - start))
    if decay == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    left = 1 - done
    return left**_POLY_POWER if decay == "poly" else left


def lite_optimizer(
    network: nn.Module, rate: float, weight_decay: float, encoder_rate: float = 1.0
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019) with weight decay on kernels, none on norms and biases.

    Args:
        network: a network whose encoder is called so; all its parameters learn.
        rate: the full learning rate.
        weight_decay: of the kernels.
        encoder_rate: factor on the rate for the encoder.
    """
    groups: list[dict[str, Any]] = []
    for of_encoder, factor in ((True, encoder_rate), (False, 1.0)):
        for kernels in (True, False):
            parameters = [
                parameter
                for name, parameter in network.named_parameters()
                if name.startswith("encoder.") == of_encoder and (parameter.ndim > 1) == kernels
            ]
            decay = weight_decay if kernels else 0.0
            groups.append({"params": parameters, "lr": rate * factor, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)
