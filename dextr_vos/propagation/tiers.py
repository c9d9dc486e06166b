"""The two tiers of propagation networks behind one interface, each with the recipe that fine-tunes it."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dextr_vos.datasets.augment import Augmentation
from dextr_vos.errors import InputError
from dextr_vos.networks import lite, osvos
from dextr_vos.networks.lite_dextr import is_lite_dextr
from dextr_vos.networks.losses import Average
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.networks.weights import load_into, read_state_dict, repeat_objects

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How a network is fine-tuned on one clip.

    Attributes:
        longest_side: frames are made smaller to this before they enter the network; None leaves them.
        batch: samples a pass.
        passes: passes whose gradients are averaged into one step.
        max_steps: the step limit.
        window: steps over which the loss is averaged to see whether it still falls.
        tolerance: the loss has settled when it fell by less than this share from one window to the next.
        cooldown: last steps, over which the rate falls to zero.
        average: how the loss is averaged, see `class_balanced_bce`.
        side_weight: weight of each side loss beside the fused one.
        augmentation: random changes of each sample.
    """

    longest_side: int | None
    batch: int
    passes: int
    max_steps: int
    window: int
    tolerance: float
    cooldown: int
    average: Average
    side_weight: float
    augmentation: Augmentation = field(default_factory=Augmentation)

    def limited_to(self, max_steps: int) -> "Recipe":
        """The recipe with another step limit; a cool-down longer than half of it is shortened."""
        return replace(self, max_steps=max_steps, cooldown=min(self.cooldown, max_steps // 2))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        return asdict(self)


@dataclass(frozen=True)
class Tier:
    """A kind of propagation network.

    Attributes:
        name: as `--network` has it.
        build: from the number of objects K to an untrained network, frames in, list of logits N×K×H×W out,
            the fused score last.
        prepare: N×H×W×3 uint8 RGB to the tensor the network takes.
        optimizer: of a network, for online fine-tuning.
        recipe: how it is fine-tuned.
        half: computes in bf16 where that is faster.
        shipped: its parent inside the package, see `networks.shipped`; None where there is none.
    """

    name: str
    build: Callable[[int], nn.Module]
    prepare: Callable[[npt.NDArray[np.uint8]], Tensor]
    optimizer: Callable[[Any], torch.optim.Optimizer]
    recipe: Recipe
    half: bool = False
    shipped: str | None = None

    def parent(self, asked: str | None) -> Path | None:
        """The checkpoint to start from: what was asked for, the shipped one, or none for "none"."""
        if asked is not None:
            return None if asked == "none" else Path(asked)
        return None if self.shipped is None else shipped_weights(self.shipped)


def _lite_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    # large steps forget what the parent has learned
    rate = 5e-4 if isinstance(network, lite.LitePropagation) and network.norm_frozen else 2e-3
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)


LITE = Tier(
    name="lite",
    build=lite.LitePropagation,
    prepare=lite.lite_input,
    optimizer=_lite_optimizer,
    recipe=Recipe(
        longest_side=480,
        batch=2,
        passes=1,
        max_steps=300,
        window=40,
        tolerance=0.05,
        cooldown=40,
        average="size",
        side_weight=0.3,
        augmentation=Augmentation(shift=0.1, brightness=0.2),
    ),
    half=True,
    shipped="lite-parent",
)

# the published online training: 2,000 steps of 5 passes on full frames, loss on the fused score alone
OSVOS = Tier(
    name="osvos",
    build=osvos.Osvos,
    prepare=osvos.osvos_input,
    optimizer=osvos.online_optimizer,
    recipe=Recipe(
        longest_side=None,
        batch=1,
        passes=5,
        max_steps=2000,
        window=200,
        tolerance=0.01,
        cooldown=0,
        average="batch",
        side_weight=0.0,
        augmentation=Augmentation(brightness=0.1),
    ),
)

TIERS = {tier.name: tier for tier in (LITE, OSVOS)}


def tier_named(name: str) -> Tier:
    """The tier called `name`.

    Raises:
        InputError: there is none.
    """
    if name not in TIERS:
        raise InputError(f"unknown network '{name}'; expected one of {', '.join(TIERS)}")
    return TIERS[name]


def build_network(
    tier: Tier, num_objects: int, seed: int, parent: Path | None = None, freeze_norm: bool = True
) -> nn.Module:
    """A network ready to be fine-tuned.

    Args:
        tier: its kind.
        num_objects: K.
        seed: of the initial weights.
        parent: checkpoint to start from; its one object becomes K. For lite also a lite DEXTR. For OSVOS
            also ImageNet starts: torchvision's VGG-16 (`.pth`) or `vgg_caffe.mat`.
        freeze_norm: keep the parent's statistics of batch norms.

    Raises:
        WeightsError: the parent is broken or does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = tier.build(num_objects)
    if parent is None:
        if tier is OSVOS:
            log.warning("OSVOS without --parent starts from random weights and learns little")
        return network
    if isinstance(network, osvos.Osvos) and parent.suffix == ".mat":
        osvos.load_caffe_mat(network, parent)
        return network
    state = read_state_dict(parent)
    if isinstance(network, osvos.Osvos) and any(key.startswith("features.") for key in state):
        osvos.load_imagenet_torchvision(network, state)
        return network
    if isinstance(network, lite.LitePropagation) and is_lite_dextr(state):
        state = lite.from_lite_dextr(network, state)
    else:
        state = repeat_objects(state, num_objects)
    load_into(network, state, parent)
    if freeze_norm and isinstance(network, lite.LitePropagation):
        network.freeze_norm()
    return network
