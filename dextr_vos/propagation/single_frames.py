"""Segmentation of single frames by a network that does not track, such as OSVOS."""

import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.networks.lite_tracker import Memory
from dextr_vos.propagation.keyframes import AnnotatedClip
from dextr_vos.propagation.spans import FramePrediction, OnStep, Span
from dextr_vos.propagation.training_data import network_size
from dextr_vos.runtime import autocast

Preprocess = Callable[[npt.NDArray[np.uint8]], Tensor]


class FrameSegmenter:
    """Soft masks of frames, each on its own.

    Args:
        network: in evaluation mode, on `device`; frames in, list of logits N×K×h×w out, the final one last.
        preprocess: N×H×W×3 uint8 RGB to the network's input.
        longest_side: longest side of the frame that enters the network, in pixels; None keeps its size.
        device: where to compute.
        bf16: compute in bf16 where that is faster.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocess: Preprocess,
        longest_side: int | None,
        device: torch.device,
        bf16: bool,
    ) -> None:
        self._network, self._preprocess, self._longest_side = network, preprocess, longest_side
        self._device, self._bf16 = device, bf16

    @torch.inference_mode()
    def segment(self, image_rgb: ImageRgb) -> FloatArray:
        """Soft masks of one frame, K×H×W float32 in [0, 1].

        Args:
            image_rgb: H×W×3 uint8.
        """
        size_hw = (image_rgb.shape[0], image_rgb.shape[1])
        height, width = network_size(size_hw, self._longest_side)
        small = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA)
        with autocast(self._device, self._bf16):
            logits = self._network(self._preprocess(small[None]).to(self._device))[-1].float()
        if (height, width) != size_hw:
            logits = nn.functional.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)
        probs: FloatArray = torch.sigmoid(logits[0]).float().cpu().numpy()
        return probs


class SingleFramePropagator:
    """The frames of a clip's spans, each segmented on its own.

    Args:
        annotated: the clip and its keyframes.
        segmenter: of single frames.
    """

    def __init__(self, annotated: AnnotatedClip, segmenter: FrameSegmenter) -> None:
        self._annotated, self._segmenter = annotated, segmenter
        self._certain = np.ones(len(annotated.object_ids), np.float32)

    def passes(self, span: Span) -> int:
        """Each frame of a span is segmented once."""
        return 1

    def propagate(
        self, span: Span, begin: int, on_step: OnStep, on_known: OnStep = lambda: None
    ) -> Iterator[FramePrediction]:
        """The frames of a span in order, from `begin` on; `on_step` is called after each."""
        for index in range(begin, span.last + 1):
            yield self.repeat(index)
            on_step()

    def repeat(self, index: int) -> FramePrediction:
        """The prediction for any frame; keyframes are frames like others here."""
        image = self._annotated.read(index)
        return FramePrediction(index, image, self._segmenter.segment(image), self._certain)

    def memory(self) -> Memory | None:
        """Such a network has no memory."""
        return None

    def forget(self) -> None:
        """Nothing is kept."""

    def segment_once(self, index: int) -> None:
        """Segment a frame, for timing."""
        self.repeat(index)


def seconds_of(work: Callable[[], object], runs: int = 3) -> float:
    """Least seconds of several runs of the same work."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
