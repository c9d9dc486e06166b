"""The two models of propagation networks behind one interface, each with the recipe that fine-tunes it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.frame_pairs import SceneRecipe
from dextr_vos.datasets.mask_corruption import MaskCorruption
from dextr_vos.datasets.motion import Motion
from dextr_vos.datasets.photometric import PhotometricAugmentation
from dextr_vos.errors import ConfigError, InputError
from dextr_vos.geometry import FloatArray, fit_longest_side
from dextr_vos.images import ImageRgb
from dextr_vos.masks import Labels, labels_from_probs
from dextr_vos.networks import lite_tracker, osvos
from dextr_vos.networks.checkpoints import load_into, read_state_dict, repeat_objects
from dextr_vos.networks.imagenet import load_caffe_vgg, load_torchvision_vgg
from dextr_vos.networks.lite_dextr import is_lite_dextr
from dextr_vos.networks.lite_tracker import MEMORY_PREFIX, from_lite_dextr
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.propagation.settings import Recipe, TrackingSettings
from dextr_vos.runtime import autocast, bf16_is_faster

log = logging.getLogger(__name__)

# Below this there is nothing to learn, and OpenCV's mirrored borders never end on a single row.
SHORTEST_SIDE = 16


@dataclass(frozen=True)
class Model:
    """A kind of propagation network.

    Attributes:
        name: as `--network` has it.
        build: from the number of objects K to an untrained network, frames in, list of logits N×K×H×W out,
            the fused score last.
        prepare: N×H×W×3 uint8 RGB to the tensor the network takes.
        optimizer: of a network, for online fine-tuning.
        recipe: how it is fine-tuned.
        bf16: computes in bf16 where that is faster.
        plain_on_cpu: is trained with PyTorch's default layout on a CPU that computes in fp32.
        follows: the network is a `LiteTracker`, which goes from frame to frame; the others see frames alone.
        shipped: its parent inside the package, see `networks.shipped`; None where there is none.
    """

    name: str
    build: Callable[[int], nn.Module]
    prepare: Callable[[npt.NDArray[np.uint8]], Tensor]
    optimizer: Callable[[Any], torch.optim.Optimizer]
    recipe: Recipe
    bf16: bool = False
    plain_on_cpu: bool = False
    follows: bool = False
    shipped: str | None = None

    def layout(self, device: torch.device) -> torch.memory_format:
        """How the network's weights lie in memory while it is trained."""
        plain = self.plain_on_cpu and device.type == "cpu" and not bf16_is_faster(device)
        return torch.contiguous_format if plain else torch.channels_last

    def parent(self, asked: str | None) -> Path | None:
        """The checkpoint to start from: what was asked for, the shipped one, or none for "none"."""
        if asked is not None:
            return None if asked == "none" else Path(asked)
        return None if self.shipped is None else shipped_weights(self.shipped)


def _lite_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    # large steps forget what the parent has learned
    rate = 3e-4 if isinstance(network, lite_tracker.LiteTracker) and network.norm_frozen else 2e-3
    learning = [each for each in network.parameters() if each.requires_grad]
    return torch.optim.AdamW(learning, lr=rate, weight_decay=1e-4)


# a clip's own frames differ less from one another than pictures do
_LUCID = SceneRecipe(
    size_hw=(224, 320),
    size=(0.4, 0.85),
    own=0.6,
    merge=0.0,
    others=0.0,
    absent=0.03,
    sprite=CopyPaste(
        rotation_deg=8.0,
        shear=0.04,
        aspect=0.08,
        photometric=PhotometricAugmentation(0.12, 0.05, 0.0, 0.15, 0.1, 0.15),
    ),
    motion=Motion(photometric=PhotometricAugmentation(0.1, 0.05, 0.0, 0.2, 0.1, 0.15)),
)

LITE = Model(
    name="lite",
    build=lambda num_objects: lite_tracker.LiteTracker(),
    prepare=lite_tracker.lite_input,
    optimizer=_lite_optimizer,
    recipe=Recipe(
        longest_side=480,
        batch=2,
        passes=1,
        max_steps=20,
        correction_steps=16,
        window=20,
        tolerance=0.02,
        cooldown=20,
        average="size",
        side_weight=0.2,
        scene=_LUCID,
        mask_corruption=MaskCorruption(),
        correction_pool=20,
        kept=0.5,
        kept_of_clicks=0.2,
    ),
    bf16=True,
    follows=True,
    shipped="lite-parent",
)

# the published online training: 2,000 steps of 5 passes on full frames, loss on the fused score alone
OSVOS = Model(
    name="osvos",
    build=osvos.Osvos,
    prepare=osvos.osvos_input,
    optimizer=osvos.online_optimizer,
    recipe=Recipe(
        longest_side=None,
        batch=1,
        passes=5,
        max_steps=2000,
        correction_steps=400,
        window=200,
        tolerance=0.01,
        cooldown=0,
        average="batch",
        side_weight=0.0,
        augmentation=Augmentation(brightness=0.1),
        following=TrackingSettings(islands=0.0),
    ),
    bf16=True,
    # on AVX2 a pass takes 27 s so, and 43 s with channels last, whose backward convolutions are slow there
    plain_on_cpu=True,
)

COMPANION = "lite-parent"  # follows beside a network that cannot; of `networks.shipped`

MODELS = {model.name: model for model in (LITE, OSVOS)}


def model_named(name: str) -> Model:
    """The model called `name`.

    Raises:
        InputError: there is none.
    """
    if name not in MODELS:
        raise InputError(f"unknown network '{name}'; expected one of {', '.join(MODELS)}")
    return MODELS[name]


def accompanied(model: Model, following: TrackingSettings) -> bool:
    """Whether the shipped lite network follows the objects beside one that cannot."""
    return not model.follows and following.own_share is not None


def check_following(model: Model) -> None:
    """Refuse company for a network that follows objects itself.

    Raises:
        ConfigError: `following.own_share` was given to it.
    """
    if model.follows and model.recipe.following.own_share is not None:
        raise ConfigError(
            "following.own_share is for a network that sees frames alone, and "
            f"{model.name} follows objects itself; leave it out, or take osvos"
        )


def build_network(
    model: Model, num_objects: int, seed: int, parent: Path | None = None, freeze_norm: bool = True
) -> nn.Module:
    """A network ready to be fine-tuned.

    Args:
        model: its kind.
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
        network = model.build(num_objects)
    if parent is None:
        if model is OSVOS:
            log.warning("OSVOS without --parent starts from random weights and learns little")
        return network
    if isinstance(network, osvos.Osvos) and parent.suffix == ".mat":
        load_caffe_vgg(network, parent)
        return network
    state = read_state_dict(parent)
    if isinstance(network, osvos.Osvos) and any(key.startswith("features.") for key in state):
        load_torchvision_vgg(network, state)
        return network
    if isinstance(network, lite_tracker.LiteTracker):
        # the network of a run has its memory with it
        state = {key: tensor for key, tensor in state.items() if not key.startswith(MEMORY_PREFIX)}
        load_into(network, from_lite_dextr(network, state) if is_lite_dextr(state) else state, parent)
        if freeze_norm:
            network.freeze_norm()
        return network
    load_into(network, repeat_objects(state, num_objects), parent)
    return network


def network_size(size_hw: tuple[int, int], longest_side: int | None) -> tuple[int, int]:
    """Size at which frames enter the network."""
    if longest_side is None:
        return size_hw
    height, width = fit_longest_side(size_hw, longest_side)
    return max(SHORTEST_SIDE, height), max(SHORTEST_SIDE, width)


@torch.inference_mode()
def object_probs(
    network: nn.Module, model: Model, longest_side: int | None, image_rgb: ImageRgb, device: torch.device
) -> FloatArray:
    """Soft masks of one frame.

    Args:
        network: in evaluation mode, on `device`.
        model: its kind.
        longest_side: the frame is made smaller to this before it enters the network; None leaves it.
        image_rgb: H×W×3 uint8.
        device: where to compute.

    Returns:
        K×H×W float32 in [0, 1], one map an object, at full size.
    """
    size_hw = (image_rgb.shape[0], image_rgb.shape[1])
    height, width = network_size(size_hw, longest_side)
    small = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA)
    with autocast(device, model.bf16):
        logits = network(model.prepare(small[None]).to(device))[-1].float()
    if (height, width) != size_hw:
        logits = nn.functional.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)
    probs: FloatArray = torch.sigmoid(logits[0]).float().cpu().numpy()
    return probs


def frame_labels(
    network: nn.Module,
    model: Model,
    longest_side: int | None,
    numbers: Sequence[int],
    image_rgb: ImageRgb,
    device: torch.device,
) -> Labels:
    """Labels of one frame; `numbers[k]` is the object of channel k. See `object_probs`."""
    probs = object_probs(network, model, longest_side, image_rgb, device)
    labels: Labels = np.array([0, *numbers], dtype=np.uint8)[labels_from_probs(probs)]
    return labels
