"""The optimiser that both lite networks are trained with."""

from typing import Any

import torch
from torch import nn


def lite_optimizer(network: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019) that pulls kernels to zero, but no norms and no biases.

    Args:
        network: all its parameters learn.
        rate: the full learning rate.
        weight_decay: of the kernels.
    """
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, weight_decay=weight_decay)
