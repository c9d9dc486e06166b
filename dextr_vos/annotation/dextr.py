"""DEXTR (Maninis et al., CVPR 2018): clicks to soft masks, with the published network or the lite one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.geometry import FloatArray, IntArray
from dextr_vos.images import ImageRgb
from dextr_vos.networks.dextr import upsample_logits
from dextr_vos.runtime import autocast

PAPER_THRESHOLD = 0.8


class DextrSegmenter(Segmenter):
    """A DEXTR network as a `Segmenter`.

    Args:
        network: network with its weights, from N×4×S×S inputs to N×1×h×w logits.
        device: device it runs on.
        crop: how an image and its clicks become the network's input.
        threshold: probability above which a pixel belongs to the object.
        name: name of the model.
        bf16: compute in bf16 where that is faster, see `runtime.autocast`.
        batch_size: number of objects in one forward pass.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        crop: ClickCrop | None = None,
        threshold: float = PAPER_THRESHOLD,
        name: str = "paper",
        bf16: bool = False,
        batch_size: int = 4,
    ) -> None:
        self.name = name
        self.threshold = threshold
        # the memory layout in which convolutions are fastest, on CPUs and on GPUs
        network = network.to(device).to(memory_format=torch.channels_last)
        self._network: nn.Module = network.eval()
        self._device = device
        self._crop = crop or ClickCrop()
        self._bf16 = bf16
        self._batch_size = batch_size

    @property
    def network(self) -> nn.Module:
        """The network, on its device and in evaluation mode."""
        return self._network

    def probabilities(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """See `Segmenter.probabilities`."""
        masks = []
        size_hw = (image_rgb.shape[0], image_rgb.shape[1])
        for start in range(0, len(objects_xy), self._batch_size):
            batch_xy = objects_xy[start : start + self._batch_size]
            inputs = np.stack([self._crop.inputs(image_rgb, points) for points in batch_xy])
            probs = self._forward(inputs)
            masks += [
                self._crop.paste_back(prob, points, size_hw)
                for prob, points in zip(probs, batch_xy, strict=True)
            ]
        return masks

    @torch.inference_mode()
    def _forward(self, inputs: FloatArray) -> FloatArray:
        # the inputs have their channels last, and stay so
        tensor = torch.from_numpy(inputs).permute(0, 3, 1, 2).to(self._device)
        probs = self._probs(tensor)
        masks: FloatArray = probs[:, 0].float().cpu().numpy()
        return masks

    def _probs(self, inputs: Tensor) -> Tensor:
        with autocast(self._device, self._bf16):
            logits = self._network(inputs)
        return torch.sigmoid(upsample_logits(logits.float(), (self._crop.size_px, self._crop.size_px)))
