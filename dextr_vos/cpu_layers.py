"""Faster forms of what PyTorch does in several passes over its data, for prediction on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _only_predicts(x: Tensor) -> bool:
    """Whether a result on the CPU is wanted and nothing else: no gradient, no compiled or exported graph."""
    return x.device.type == "cpu" and not (torch.is_grad_enabled() or torch.compiler.is_compiling())


def _has_fused_gelu() -> bool:
    """Whether oneDNN is what convolves, and PyTorch hands out its convolution with an activation."""
    return (
        bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


_HAS_FUSED_GELU = _has_fused_gelu()


def conv_gelu(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """GELU of a convolution, in one pass where that is possible, as PyTorch's own compiler does it.

    Args:
        convolution: with numbers for its padding.
        x: N×C×H×W.

    Returns:
        N×C×H×W, in the precision of the weights, or in that of autocast where it casts them.
    """
    weight, bias = convolution.weight, convolution.bias
    autocast_changes_it = weight.dtype is torch.float32 and torch.is_autocast_enabled("cpu")
    plain = weight.dtype in (torch.float32, torch.bfloat16) and convolution.padding_mode == "zeros"
    if autocast_changes_it or not (plain and _HAS_FUSED_GELU and _only_predicts(x)):
        return F.gelu(convolution(x))
    shape = convolution.padding, convolution.stride, convolution.dilation, convolution.groups
    fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x.to(weight.dtype), weight, bias, *shape, "gelu", [], "none"
    )
    return fused


def biased_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Softmax attention with a bias; for many short sequences on a CPU faster than PyTorch's own.

    Args:
        query: N×heads×L×C.
        key: likewise.
        value: likewise.
        bias: 1×heads×L×L, in the same precision.

    Returns:
        N×heads×L×C.
    """
    if not _only_predicts(query):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    attended: Tensor = scores.add_(bias).softmax(-1) @ value
    return attended
