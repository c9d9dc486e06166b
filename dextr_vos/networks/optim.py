"""How fast networks learn: the learning-rate schedule of every training, and the lite networks' optimizer.

The optimizers of the papers are beside their networks, in `osvos` and `dextr`.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

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


class Optimizer(Protocol):
    """What fine-tuning needs of an optimizer; those of `torch.optim` have it."""

    param_groups: list[dict[str, Any]]

    def zero_grad(self) -> None:
        """Drop the gradients."""

    def step(self) -> Any:
        """Change the parameters by their gradients."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""


class QuickAdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019) for trainings of seconds.

    It computes and is saved as `torch.optim.AdamW(…, fused=True)`. Making one of those imports PyTorch's
    compiler, which takes two to three seconds: half as long as fine-tuning on a keyframe.

    Args:
        groups: parameters with the same learning rate, and that rate.
        weight_decay: of all of them.
    """

    def __init__(self, groups: Iterable[tuple[Iterable[nn.Parameter], float]], weight_decay: float) -> None:
        self.param_groups: list[dict[str, Any]] = [
            {
                "params": list(parameters),
                "lr": rate,
                "weight_decay": weight_decay,
                "betas": (0.9, 0.999),
                "eps": 1e-8,
            }
            for parameters, rate in groups
        ]
        self._state: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for _, parameter in self._numbered():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient."""
        numbered = self._numbered()
        for group in self.param_groups:
            learning = [
                (index, each)
                for index, each in itertools.islice(numbered, len(group["params"]))
                if each.grad is not None
            ]
            states = [self._state.setdefault(index, _moments(each)) for index, each in learning]
            adamw(
                [each for _, each in learning],
                [each.grad for _, each in learning if each.grad is not None],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )

    def state_dict(self) -> dict[str, Any]:
        """As that of `torch.optim.AdamW`."""
        numbers = iter(index for index, _ in self._numbered())
        return {
            "state": self._state,
            "param_groups": [
                {**group, "params": list(itertools.islice(numbers, len(group["params"])))}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state.

        Args:
            state_dict: what `state_dict` gave; its tensors are copied.

        Raises:
            ValueError: it is of other parameters.
        """
        groups, states = state_dict["param_groups"], state_dict["state"]
        parameters = dict(self._numbered())
        sizes, own_sizes = ([len(group["params"]) for group in some] for some in (groups, self.param_groups))
        if sizes != own_sizes or any(
            each["exp_avg"].shape != parameters[index].shape for index, each in states.items()
        ):
            raise ValueError("the state is of other parameters")
        self._state = {
            index: {name: tensor.to(parameters[index].device, copy=True) for name, tensor in each.items()}
            for index, each in states.items()
        }
        for own, group in zip(self.param_groups, groups, strict=True):
            own.update({**group, "params": own["params"]})

    def _numbered(self) -> Iterator[tuple[int, nn.Parameter]]:
        """Every parameter with its number, over all groups."""
        return enumerate(itertools.chain.from_iterable(group["params"] for group in self.param_groups))


def _moments(parameter: nn.Parameter) -> dict[str, Tensor]:
    zeros = [torch.zeros_like(parameter, memory_format=torch.preserve_format) for _ in range(2)]
    count = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return {"step": count, "exp_avg": zeros[0], "exp_avg_sq": zeros[1]}
