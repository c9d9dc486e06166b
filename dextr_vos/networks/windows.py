"""Parts of a frame in which the decoder of the lite tracker looks for one of several objects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

STRIDE = 16  # of the embedding
_NOWHERE = -20.0  # the logit of an object outside its window


@dataclass(frozen=True)
class Window:
    """A part of a frame, in pixels of the embedding, `STRIDE` of the frame's each."""

    rows: slice
    columns: slice

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def cut(self, values: Tensor, stride: int) -> Tensor:
        """A view of the part of a map …×h×w at a stride of the frame."""
        each = STRIDE // stride
        rows, columns = (slice(part.start * each, part.stop * each) for part in (self.rows, self.columns))
        return values[..., rows, columns]


def decode_windows(
    decoder: Callable[[Sequence[Tensor], Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    maps: Sequence[Tensor],
    guides: Tensor,
    cues: Tensor,
    summaries: Tensor,
    windows: Sequence[Window],
) -> tuple[Tensor, Tensor]:
    """Logits and quality as `LiteTracker.decode` gives them, each object looked for in its window alone.

    Args:
        decoder: a `MaskDecoder`.
        maps: of N frames, see there.
        guides: N×K×H×W.
        cues: N×K×3×h×w, see `lite_tracker.read_memory`.
        summaries: N×K×2×C.
        windows: K parts of all these frames.

    Raises:
        ValueError: there is not one window an object.
    """
    if len(windows) != guides.shape[1]:
        raise ValueError(f"expected a window for each of {guides.shape[1]} objects, got {len(windows)}")
    logits, quality = torch.full_like(guides, _NOWHERE), guides.new_zeros(guides.shape[:2])
    for size_hw in dict.fromkeys(window.size_hw for window in windows):
        # those of one size go through the decoder together
        group = [(index, window) for index, window in enumerate(windows) if window.size_hw == size_hw]
        found, estimates = decoder(
            [
                torch.cat([window.cut(each, 2 ** (level + 1)) for _, window in group]).contiguous(
                    memory_format=torch.channels_last
                )
                for level, each in enumerate(maps)
            ],
            torch.cat([window.cut(guides[:, index, None], 1) for index, window in group]),
            torch.cat([window.cut(cues[:, index], STRIDE // 2) for index, window in group]),
            torch.cat([summaries[:, index] for index, _ in group]),
        )
        full_hw = STRIDE * size_hw[0], STRIDE * size_hw[1]
        found = F.interpolate(found, size=full_hw, mode="bilinear", align_corners=False)
        for (index, window), part, estimate in zip(
            group, found.chunk(len(group)), estimates.chunk(len(group)), strict=True
        ):
            window.cut(logits[:, index], 1).copy_(part[:, 0])
            quality[:, index] = estimate
    return logits, quality
