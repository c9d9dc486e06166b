"""Dense optical flow (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016)."""

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dextr_vos.geometry import FloatArray, fit_longest_side
from dextr_vos.images import ImageRgb

_FLOW_SIDE = 480  # at which masks' flow is computed


def backward_flow(before: npt.NDArray[np.uint8], now: npt.NDArray[np.uint8]) -> FloatArray:
    """From each pixel of an image to where it was in the one before.

    Args:
        before: H×W uint8, grey.
        now: H×W uint8, grey.

    Returns:
        H×W×2 float32, x and y in pixels.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(now, before, None), np.float32)


def frame_flow(before_rgb: ImageRgb, now_rgb: ImageRgb) -> Tensor:
    """The flow from a frame back to its neighbour, for `warp_masks`.

    Args:
        before_rgb: H×W×3 uint8.
        now_rgb: H×W×3 uint8, the neighbour, later or earlier.

    Returns:
        1×2×h×w float32 on the CPU, as shares of width and height.
    """
    height, width = fit_longest_side((now_rgb.shape[0], now_rgb.shape[1]), _FLOW_SIDE)
    before, now = (
        cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_AREA)
        for image in (before_rgb, now_rgb)
    )
    shares = backward_flow(before, now) / np.array([width, height], np.float32)
    return torch.from_numpy(np.ascontiguousarray(shares.transpose(2, 0, 1)))[None]


def warp_masks(masks: Tensor, flow: Tensor) -> Tensor:
    """Soft masks of frames, moved to their neighbours.

    Args:
        masks: N×K×H×W float32, of the frames before.
        flow: N×2×h×w on the same device, from each neighbour back to the frame before it, as shares of width
            and height.

    Returns:
        N×K×H×W; 0 for what comes in from beyond the border.
    """
    height, width = masks.shape[-2:]
    flow = 2 * F.interpolate(flow.float(), size=(height, width), mode="bilinear", align_corners=False)
    y, x = ((2 * torch.arange(side, device=masks.device) + 1) / side - 1 for side in (height, width))
    places = torch.stack([flow[:, 0] + x, flow[:, 1] + y[:, None]], dim=1)  # a map each is made fastest
    return F.grid_sample(masks, places.permute(0, 2, 3, 1), align_corners=False)
