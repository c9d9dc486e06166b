"""From an embedding and prompts to a mask: points, a box, the mask so far (Kirillov et al., ICCV 2023).

The decoder of "Segment Anything", for one mask in place of several. The encoder's finer maps are added on the
way up, and at half the image's size a few convolutions see the clicks and the mask so far as maps, as in RITM
(Sofiiuk et al., ICIP 2022), so that thin parts survive and a click is obeyed. The additions begin at zero.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dextr_vos.networks.tiny_vit import (
    EIGHTH_CHANNELS,
    EMBEDDING,
    HALF_CHANNELS,
    QUARTER_CHANNELS,
    LayerNorm2d,
)

# what a point says; padding makes prompts of one length
PADDING = -1
NEGATIVE, POSITIVE, BOX_START, BOX_END, EXTREME = range(5)

_HEADS = 8
_MLP_CHANNELS = 2048
_MASK_TOKENS = 4
EIGHTH_WIDTH, QUARTER_WIDTH = 64, 32
_HALF_WIDTH = 16
# a mask's probabilities are scaled to logits from -10 to 10, in the range the decoder was pretrained with
_MASK_SCALE = 20.0
# what becomes a map of its own at half the image's size, and how wide a point is, as a share of the side
_HINT_KINDS = (EXTREME, POSITIVE, NEGATIVE)
_HINT_SIGMA = 0.0125
HINTS = len(_HINT_KINDS) + 1
DETAIL_INPUTS = QUARTER_WIDTH + HALF_CHANNELS + 1 + HINTS
_DILATIONS = (1, 2, 4)


@dataclass(frozen=True)
class Prompts:
    """What is known of one object in each of N images.

    Attributes:
        points_xy: N×P×2, as shares of the image's width and height.
        kinds: N×P integers: `POSITIVE`, `NEGATIVE`, `EXTREME`, `BOX_START`, `BOX_END` or `PADDING`.
        mask: N×1×H/4×W/4 in [0, 1], the mask so far; H and W are the image's.
        has_mask: N booleans; where one is False, `mask` does not count.
    """

    points_xy: Tensor
    kinds: Tensor
    mask: Tensor
    has_mask: Tensor

    def corrected(self, points_xy: Tensor, kinds: Tensor, mask: Tensor) -> "Prompts":
        """With one more point each, N×2 and N, and a mask to correct, N×1×H/4×W/4."""
        return replace(
            self,
            points_xy=torch.cat([self.points_xy, points_xy[:, None]], dim=1),
            kinds=torch.cat([self.kinds, kinds[:, None]], dim=1),
            mask=mask,
            has_mask=torch.ones_like(self.has_mask),
        )


class MaskPrompt(nn.Module):
    """A mask to a map, and the places of pixels to vectors."""

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, EMBEDDING // 2))
        self.no_mask = nn.Parameter(torch.zeros(EMBEDDING))
        self.mask = nn.Sequential(
            nn.Conv2d(1, 4, 2, 2),
            LayerNorm2d(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, 2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, EMBEDDING, 1),
        )

    def dense(self, mask_logits: Tensor, has_mask: Tensor) -> Tensor:
        """A map N×C×H/16×W/16 to be added to the embedding.

        Args:
            mask_logits: N×1×H/4×W/4, from -10 to 10.
            has_mask: N booleans; where one is False, the mask does not count.
        """
        none = self.no_mask[:, None, None]
        return torch.where(has_mask[:, None, None, None], self.mask(mask_logits), none)

    def grid(self, height: int, width: int) -> Tensor:
        """Where each pixel of a map is, (height · width)×C."""
        device = self.frequencies.device
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        return self.places(torch.stack([columns, rows], dim=-1)).flatten(0, 1)

    def places(self, unit_xy: Tensor) -> Tensor:
        """Places as shares of width and height, …×2, to …×C."""
        # bf16 has too few digits for the phase
        with torch.autocast(unit_xy.device.type, enabled=False):
            phase = 2 * math.pi * ((2 * unit_xy.float() - 1) @ self.frequencies.float())
            return torch.cat([phase.sin(), phase.cos()], dim=-1)


class PromptEncoder(MaskPrompt):
    """Points to tokens, a mask to a map."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds = nn.Parameter(0.02 * torch.randn(EXTREME + 1, EMBEDDING))
        self.padding = nn.Parameter(torch.zeros(EMBEDDING))

    def forward(self, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Tokens N×P×C, and a map N×C×H/16×W/16 to be added to the embedding."""
        tokens = self.places(prompts.points_xy) + self.kinds[prompts.kinds.clamp(min=0)]
        tokens = torch.where((prompts.kinds == PADDING)[..., None], self.padding, tokens)
        return tokens, self.dense(_MASK_SCALE * (prompts.mask - 0.5), prompts.has_mask)


class TwoWayDecoder(nn.Module):
    """What the decoders of clicks and of the tracker share: attention both ways, and the way up to a mask."""

    prompts: MaskPrompt

    def __init__(self) -> None:
        super().__init__()
        # the first asks for the quality, the second for the mask; the others only take part in the attention
        self.tokens = nn.Parameter(0.02 * torch.randn(1 + _MASK_TOKENS, EMBEDDING))
        self.blocks = nn.ModuleList([_TwoWayBlock(first=True), _TwoWayBlock(first=False)])
        self.last_attention = _Attention(EMBEDDING // 2)
        self.last_norm = nn.LayerNorm(EMBEDDING)
        self.to_eighth = nn.ConvTranspose2d(EMBEDDING, EIGHTH_WIDTH, 2, 2)
        self.eighth_norm = LayerNorm2d(EIGHTH_WIDTH)
        self.to_quarter = nn.ConvTranspose2d(EIGHTH_WIDTH, QUARTER_WIDTH, 2, 2)
        self.add_eighth = zero(nn.Conv2d(EIGHTH_CHANNELS, EIGHTH_WIDTH, 1))
        self.add_quarter = zero(nn.Conv2d(QUARTER_CHANNELS, QUARTER_WIDTH, 1))
        self.weights = _mlp(QUARTER_WIDTH)
        self.quality = _mlp(1)
        layers: list[nn.Module] = [nn.Conv2d(DETAIL_INPUTS, _HALF_WIDTH, 1), nn.GELU()]
        for dilation in _DILATIONS:
            layers += [nn.Conv2d(_HALF_WIDTH, _HALF_WIDTH, 3, padding=dilation, dilation=dilation), nn.GELU()]
        self.detail = nn.Sequential(*layers, zero(nn.Conv2d(_HALF_WIDTH, 1, 3, padding=1)))

    def attended(self, known: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens that have looked at the image, and the image that has looked at them.

        Args:
            known: N×P×C, tokens of what is known of the object.
            embedding: N×C×h×w.
        """
        points = torch.cat([self.tokens.expand(len(known), -1, -1), known], dim=1)
        size = embedding.shape[-2:]
        grid = self.prompts.grid(*size).to(embedding.dtype)
        image = embedding.flatten(2).transpose(1, 2)
        tokens = points
        for block in self.blocks:
            tokens, image = block(tokens, image, points, grid)
        seen = self.last_attention(tokens + points, image + grid, image)
        return self.last_norm(tokens + seen), image.transpose(1, 2).view(embedding.shape)

    def eighth_pixels(self, image: Tensor, eighth: Tensor) -> Tensor:
        """Features at stride 8, from the image that was attended to and the encoder's map."""
        return F.gelu(self.eighth_norm(self.to_eighth(image)) + self.add_eighth(eighth))

    def quarter_pixels(self, pixels: Tensor, quarter: Tensor) -> Tensor:
        """Features at stride 4, from those at stride 8 and the encoder's map."""
        return F.gelu(self.to_quarter(pixels) + self.add_quarter(quarter))

    def logits(self, tokens: Tensor, pixels: Tensor, half: Tensor, hints: Tensor) -> tuple[Tensor, Tensor]:
        """Logits N×1×H/2×W/2, and N estimates of the mask's IoU.

        Args:
            tokens: see `attended`.
            pixels: see `quarter_pixels`.
            half: the encoder's map at stride 2.
            hints: N×4×H/2×W/2, what is known of the object as maps.
        """
        logits = torch.einsum("nc,nchw->nhw", self.weights(tokens[:, 1]), pixels)[:, None]
        doubled = _doubled(logits)
        # the first layer sees each pixel by itself, so the pixels can go through it before they are doubled
        first, known = self.detail[0], torch.cat([doubled, hints.to(half.dtype)], dim=1)
        assert isinstance(first, nn.Conv2d)
        kernels = torch.split(first.weight, [QUARTER_WIDTH, HALF_CHANNELS, 1 + HINTS], dim=1)
        seen = F.conv2d(half, kernels[1], first.bias) + F.conv2d(known, kernels[2])
        logits = doubled + self.detail[1:](_doubled(F.conv2d(pixels, kernels[0])) + seen)
        return logits, self.quality(tokens[:, 0])[:, 0]


class PromptDecoder(TwoWayDecoder):
    """Prompts and the maps of an image to the logits of one object, and how good the mask is."""

    prompts: PromptEncoder

    def __init__(self) -> None:
        super().__init__()
        self.prompts = PromptEncoder()

    def forward(self, maps: tuple[Tensor, Tensor, Tensor, Tensor], prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Logits N×1×H/2×W/2, and N estimates of the mask's IoU.

        Args:
            maps: of N images H×W, as `TinyVit` makes them.
            prompts: what is known.
        """
        half, quarter, eighth, embedding = maps
        points, dense = self.prompts(prompts)
        tokens, image = self.attended(points, embedding + dense)
        pixels = self.quarter_pixels(self.eighth_pixels(image, eighth), quarter)
        return self.logits(tokens, pixels, half, hint_maps(prompts, (half.shape[-2], half.shape[-1])))


def hint_maps(prompts: Prompts, size_hw: tuple[int, int]) -> Tensor:
    """Extreme points, positive and negative clicks and the mask so far as maps.

    Args:
        prompts: of N images.
        size_hw: of the maps.

    Returns:
        N×4×h×w in [0, 1]: a Gaussian at every point of each kind, and the mask, zero where there is none.
    """
    height, width = size_hw
    device = prompts.points_xy.device
    x = (torch.arange(width, device=device) + 0.5) / width - prompts.points_xy[..., :1]
    y = (torch.arange(height, device=device) + 0.5) / height - prompts.points_xy[..., 1:]
    across, down = (torch.exp(-0.5 * (away / _HINT_SIGMA) ** 2) for away in (x, y))
    maps = [
        torch.einsum("nph,npw->nphw", down * (prompts.kinds == kind)[..., None], across).amax(dim=1)
        if prompts.kinds.shape[1]
        else across.new_zeros(len(across), height, width)
        for kind in _HINT_KINDS
    ]
    mask = F.interpolate(prompts.mask, size=size_hw, mode="bilinear", align_corners=False)[:, 0]
    return torch.stack([*maps, mask * prompts.has_mask[:, None, None]], dim=1)


class _TwoWayBlock(nn.Module):
    """Attention among the tokens, from them to the image, and from the image to them."""

    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.among_tokens = _Attention(EMBEDDING)
        self.to_image = _Attention(EMBEDDING // 2)
        self.to_tokens = _Attention(EMBEDDING // 2)
        self.mlp = nn.Sequential(
            nn.Linear(EMBEDDING, _MLP_CHANNELS), nn.ReLU(), nn.Linear(_MLP_CHANNELS, EMBEDDING)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(EMBEDDING) for _ in range(4))

    def forward(self, tokens: Tensor, image: Tensor, points: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        if self.first:
            tokens = self.among_tokens(tokens, tokens, tokens)
        else:
            placed = tokens + points
            tokens = tokens + self.among_tokens(placed, placed, tokens)
        tokens = self.norms[0](tokens)
        tokens = self.norms[1](tokens + self.to_image(tokens + points, image + grid, image))
        tokens = self.norms[2](tokens + self.mlp(tokens))
        image = self.norms[3](image + self.to_tokens(image + grid, tokens + points, tokens))
        return tokens, image


class _Attention(nn.Module):
    def __init__(self, inner: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(EMBEDDING, inner) for _ in range(3))
        self.project = nn.Linear(inner, EMBEDDING)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        heads = [
            layer(x).unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for layer, x in ((self.query, query), (self.key, key), (self.value, value))
        ]
        attended: Tensor = self.project(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        return attended


def _mlp(outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(EMBEDDING, EMBEDDING),
        nn.ReLU(),
        nn.Linear(EMBEDDING, EMBEDDING),
        nn.ReLU(),
        nn.Linear(EMBEDDING, outputs),
    )


def zero(convolution: nn.Conv2d) -> nn.Conv2d:
    """A convolution that begins by giving nothing."""
    nn.init.zeros_(convolution.weight)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
