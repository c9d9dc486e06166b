"""A fine-tuned network applied to frames: soft masks at full size, labels by soft arg-max."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import nn

from dextr_vos.geometry import FloatArray
from dextr_vos.masks import Labels, labels_from_probs
from dextr_vos.pictures import ImageRgb
from dextr_vos.propagation.samples import network_size
from dextr_vos.propagation.tiers import Tier
from dextr_vos.runtime import autocast


@torch.inference_mode()
def object_probs(
    network: nn.Module, tier: Tier, longest_side: int | None, image_rgb: ImageRgb, device: torch.device
) -> FloatArray:
    """Soft masks of one frame.

    Args:
        network: in evaluation mode, on `device`.
        tier: its kind.
        longest_side: the frame is made smaller to this before it enters the network; None leaves it.
        image_rgb: H×W×3 uint8.
        device: where to compute.

    Returns:
        K×H×W float32 in [0, 1], one map an object, at full size.
    """
    size_hw = (image_rgb.shape[0], image_rgb.shape[1])
    height, width = network_size(size_hw, longest_side)
    small = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA)
    with autocast(device, tier.half):
        logits = network(tier.prepare(small[None]).to(device))[-1].float()
    if (height, width) != size_hw:
        logits = nn.functional.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)
    probs: FloatArray = torch.sigmoid(logits[0]).float().cpu().numpy()
    return probs


def frame_labels(
    network: nn.Module,
    tier: Tier,
    longest_side: int | None,
    numbers: Sequence[int],
    image_rgb: ImageRgb,
    device: torch.device,
) -> Labels:
    """Labels of one frame; `numbers[k]` is the object of channel k. See `object_probs`."""
    probs = object_probs(network, tier, longest_side, image_rgb, device)
    labels: Labels = np.array([0, *numbers], dtype=np.uint8)[labels_from_probs(probs)]
    return labels
