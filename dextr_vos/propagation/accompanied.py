"""A network that sees frames alone, accompanied by the shipped lite network, which follows the objects."""

import hashlib
from collections.abc import Callable, Sequence

import torch

from dextr_vos.geometry import FloatArray
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.networks.shipped import shipped_weights
from dextr_vos.pictures import ImageRgb
from dextr_vos.propagation.soft_masks import SoftMasks
from dextr_vos.propagation.tiers import LITE, build_network
from dextr_vos.propagation.tracker import Memories, Tracker, View
from dextr_vos.propagation.window import Zoom

OnFrame = Callable[[ImageRgb], FloatArray]

_DIGEST_BYTES = 8


class Accompanied(Tracker):
    """Soft masks of one frame after the other, a share of which are another network's.

    That one knows from its fine-tuning how the objects look, wherever they are; the lite network knows where
    they were just before.

    Args:
        own: the other network: from a frame H×W×3 uint8 to soft masks K×H×W.
        share: of its masks in the mean.
        kept: its masks, which passes from both sides ask for.
        device: where the lite network computes.
        zoom: see `Tracker`.
    """

    def __init__(self, own: OnFrame, share: float, kept: SoftMasks, device: torch.device, zoom: Zoom) -> None:
        longest_side = LITE.recipe.longest_side
        assert longest_side is not None
        super().__init__(companion(device), device, LITE.half, zoom, longest_side)
        self._own, self._share, self._kept = own, share, kept

    def segment(self, view: View, memories: Sequence[Memories]) -> FloatArray:
        """See `Tracker.segment`."""
        followed = super().segment(view, memories)
        mean: FloatArray = (1 - self._share) * followed + self._share * self._alone(view.image_rgb)
        return mean

    def _alone(self, image_rgb: ImageRgb) -> FloatArray:
        digest = hashlib.blake2b(image_rgb.tobytes(), digest_size=_DIGEST_BYTES).digest()
        key = int.from_bytes(digest, "big")
        if key in self._kept:
            return self._kept.read(key)
        return self._kept.write(key, self._own(image_rgb))


def companion(device: torch.device) -> LiteTracker:
    """The shipped lite network, ready to follow."""
    network = build_network(LITE, 1, seed=0, parent=shipped_weights("lite-parent"))
    assert isinstance(network, LiteTracker)
    return network.eval().to(device).to(memory_format=torch.channels_last)
