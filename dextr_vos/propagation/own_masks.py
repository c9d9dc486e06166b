"""What a network that sees frames alone says of each, beside the lite network that follows the objects."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from dextr_vos.clip import Clip
from dextr_vos.geometry import BoolArray, FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.propagation.models import COMPANION, LITE, build_network
from dextr_vos.propagation.soft_masks import SoftMasks

Segment = Callable[[ImageRgb], FloatArray]


class OwnMasks:
    """Soft masks of frames by their index, made once however many passes ask for them.

    Args:
        clip: its frames.
        size_hw: at which masks are carried along.
        segment: from a frame H×W×3 uint8, at full size, to soft masks K×H×W.
        share: of these masks in a frame's.
        folder: where they are kept.
        count: objects K.
    """

    def __init__(
        self, clip: Clip, size_hw: tuple[int, int], segment: Segment, share: float, folder: Path, count: int
    ) -> None:
        self._clip, self._size_hw, self._segment = clip, size_hw, segment
        self._share, self._kept = share, SoftMasks(folder, count)

    def __contains__(self, index: int) -> bool:
        return index in self._kept

    def make(self, index: int) -> FloatArray:
        """Soft masks of a frame; one that is there already is not segmented again.

        Args:
            index: of the frame.

        Returns:
            K×h×w float32 in [0, 1], at the size at which masks are carried along.

        Raises:
            InputError: the frame cannot be read.
        """
        if index in self._kept:
            return self._kept.read(index)
        size = self._size_hw[1], self._size_hw[0]
        probs = self._segment(self._clip.read(index))
        small = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in probs]
        return self._kept.write(index, np.stack(small))

    def mixed(self, index: int, followed: FloatArray, crop_coverage: BoolArray) -> FloatArray:
        """The mean of these masks and those of a pass, weighted by the share.

        Args:
            index: of the frame.
            followed: K×h×w in [0, 1].
            crop_coverage: h×w, where the pass has looked; elsewhere these masks count as empty.

        Returns:
            K×h×w float32 in [0, 1].

        Raises:
            InputError: the frame cannot be read.
        """
        own = self.make(index) * crop_coverage
        mean: FloatArray = ((1 - self._share) * followed + self._share * own).astype(np.float32)
        return mean


def companion(device: torch.device) -> LiteTracker:
    """The shipped lite network, ready to follow."""
    network = build_network(LITE, 1, seed=0, parent=shipped_weights(COMPANION))
    assert isinstance(network, LiteTracker)
    return network.eval().to(device).to(memory_format=torch.channels_last)
