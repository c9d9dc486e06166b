"""Batch normalisation over the batches of all processes, so that two with half a batch equal one with all.

PyTorch has it for CUDA (`nn.SyncBatchNorm`); this adds the CPU. The names of the weights stay those of
`nn.BatchNorm2d` (Ioffe and Szegedy, ICML 2015), so saved ones load into the plain network.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def share_batch_norms(network: nn.Module, device: torch.device) -> None:
    """Replace the batch norms inside a network, in place; parameters stay the same objects.

    Args:
        network: at least one module deep.
        device: CUDA takes PyTorch's own kernels.
    """
    for name, module in network.named_children():
        if not isinstance(module, nn.BatchNorm2d):
            share_batch_norms(module, device)
        elif device.type == "cuda":
            convert = nn.SyncBatchNorm.convert_sync_batchnorm
            setattr(network, name, convert(module))  # type: ignore[no-untyped-call]
        else:
            setattr(network, name, SyncBatchNorm2d.share(module))


class SyncBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose batch, in training, is that of all processes of the default group together.

    All of them must call it equally often; batches may differ in size. In one process, and for
    evaluation, it is the plain layer.
    """

    @classmethod
    def share(cls, norm: nn.BatchNorm2d) -> "SyncBatchNorm2d":
        """A layer with the parameters and statistics of another, not copies of them."""
        layer = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        layer.weight, layer.bias = norm.weight, norm.bias
        layer.running_mean, layer.running_var = norm.running_mean, norm.running_var
        layer.num_batches_tracked = norm.num_batches_tracked
        return layer.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W to the same shape and dtype; statistics are computed in float32 at least."""
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        count = exact.new_tensor([exact.numel() / self.num_features])
        sums = _sum_over_processes(torch.cat([exact.sum((0, 2, 3)), count]))
        mean, total = sums[:-1] / sums[-1].detach(), sums[-1].detach()
        # in a second round, since the mean of squares less the square of the mean loses digits
        centred = exact - mean[:, None, None]
        var = _sum_over_processes(centred.square().sum((0, 2, 3))) / total
        self._update_running(mean.detach(), var.detach(), total)
        scale = torch.rsqrt(var + self.eps)
        if not self.affine:
            return (centred * scale[:, None, None]).to(x.dtype)
        scale = scale * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, var: Tensor, total: Tensor) -> None:
        """Update the running statistics as the plain layer does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = var * (total / (total - 1).clamp(min=1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)


class _SumOverProcesses(torch.autograd.Function):
    """A sum over processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(x: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(x)
    return total
