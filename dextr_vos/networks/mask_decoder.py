"""From an embedding, a guide and the cues of a memory to a mask: the decoder of the lite tracker.

It is `prompt_decoder` with a guide as its mask prompt, two tokens that sum up the object and its surroundings
in place of points, and the cues of matching as further maps at every stride. The additions begin at zero.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dextr_vos.networks.prompt_decoder import (
    DETAIL_INPUTS,
    EIGHTH_WIDTH,
    HINTS,
    QUARTER_WIDTH,
    MaskPrompt,
    TwoWayDecoder,
    zero,
)
from dextr_vos.networks.tiny_vit import EMBEDDING

CUES = 3
_MAPS = CUES + 1  # the guide beside the cues
_GUIDE_SCALE = 10.0  # from a guide in [-1, 1] to the logits that the decoder was pretrained with
_HIDDEN = 32
_LEAST_GUIDE = 0.01  # resizing leaves a little of no guide at all


class MaskDecoder(TwoWayDecoder):
    """A guide and cues to the logits of one object, and how good the mask is."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts = MaskPrompt()
        self.summary = nn.Linear(EMBEDDING, EMBEDDING)
        self.summary_kinds = nn.Parameter(torch.zeros(2, EMBEDDING))
        self.cues_sixteenth = nn.Sequential(
            nn.Conv2d(_MAPS, _HIDDEN, 3, padding=1), nn.GELU(), zero(nn.Conv2d(_HIDDEN, EMBEDDING, 1))
        )
        self.refine_eighth = _refinement(EIGHTH_WIDTH)
        self.refine_quarter = _refinement(QUARTER_WIDTH)

    def forward(
        self, maps: Sequence[Tensor], guide: Tensor, cues: Tensor, summaries: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits N×1×H/2×W/2, and N estimates of the mask's IoU.

        Args:
            maps: of N images H×W, as `TinyVit` makes them.
            guide: N×1×H×W, 1 on the object, -1 off it, 0 everywhere without a guide.
            cues: N×3×h×w, see `lite_tracker.read_memory`.
            summaries: N×2×C, the mean embedding on the object and off it in frames that are known.
        """
        half, quarter, eighth, embedding = maps
        has_guide = guide.abs().amax((1, 2, 3)) > _LEAST_GUIDE
        dense = self.prompts.dense(_GUIDE_SCALE * _resized(guide, quarter), has_guide)
        dense = dense + self.cues_sixteenth(_hints(guide, cues, embedding))
        known = self.summary(summaries.to(embedding.dtype)) + self.summary_kinds
        tokens, image = self.attended(known, embedding + dense)
        pixels = self.eighth_pixels(image, eighth)
        pixels = pixels + self.refine_eighth(torch.cat([pixels, _hints(guide, cues, pixels)], dim=1))
        pixels = self.quarter_pixels(pixels, quarter)
        pixels = pixels + self.refine_quarter(torch.cat([pixels, _hints(guide, cues, pixels)], dim=1))
        return self.logits(tokens, pixels, half, _hints(guide, cues, half))

    def detail_from_clicks(self, weight: Tensor) -> Tensor:
        """The first kernel of `detail` from that of a network for clicks, whose hints are dropped."""
        changed = weight.clone()
        changed[:, DETAIL_INPUTS - HINTS :] = 0
        return changed


def _refinement(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width + _MAPS, width, 3, padding=1),
        nn.GELU(),
        zero(nn.Conv2d(width, width, 3, padding=1)),
    )


def _hints(guide: Tensor, cues: Tensor, like: Tensor) -> Tensor:
    """Cues and guide at the size of a map, N×4×h×w."""
    return torch.cat([_resized(cues, like), _resized(guide, like).to(cues.dtype)], dim=1).to(like.dtype)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """A map at another map's size."""
    size = like.shape[-2], like.shape[-1]
    if size[0] < x.shape[-2]:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
