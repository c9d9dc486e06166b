"""The exponential moving average of a network's weights, which is what is validated and saved."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Follows a network, slowly.

    Args:
        network: starts from its weights.
        decay: share that stays at each step; 0 follows at once. It grows to this over the first steps, so
            that the first weights are forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self.state = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's weights and running statistics after its step number `step`."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for key, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.state[key].lerp_(tensor, 1 - decay)
            else:
                self.state[key].copy_(tensor)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state."""
        for key, tensor in state.items():
            self.state[key].copy_(tensor)
