"""The lite model's network for clicks: extreme points, corrections, a box and the mask so far.

A TinyViT encoder and the decoder of "Segment Anything" at a small size, pretrained as MobileSAM (Zhang et
al., 2023) and trained for DEXTR's extreme points (Maninis et al., CVPR 2018) and for corrections as in RITM
(Sofiiuk et al., ICIP 2022).
"""

import re
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from dextr_vos.errors import WeightsError
from dextr_vos.networks.prompt_decoder import POSITIVE, PromptDecoder, Prompts
from dextr_vos.networks.tiny_vit import MEAN_RGB, STD_RGB, TinyVit

# logits N×1×H/2×W/2, and N estimates of the IoU
Prediction = tuple[Tensor, Tensor]
Correct = Callable[[Tensor, Prompts], Prompts]
Maps = tuple[Tensor, Tensor, Tensor, Tensor]


class LiteClicks(nn.Module):
    """From an RGB crop and prompts to the logits of the object."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = TinyVit()
        self.decoder = PromptDecoder()
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD_RGB).view(1, -1, 1, 1), persistent=False)

    def encode(self, image: Tensor) -> Maps:
        """Maps of images, N×3×H×W in 0…255; they serve any number of prompts."""
        half, quarter, eighth, embedding = self.encoder((image - self.mean) / self.std)
        return half, quarter, eighth, embedding

    def decode(self, maps: Maps, prompts: Prompts) -> Prediction:
        """Logits N×1×H/2×W/2, and N estimates of the mask's IoU."""
        logits, quality = self.decoder(maps, prompts)
        return logits, quality

    def forward(self, image: Tensor, prompts: Prompts, correct: Correct, rounds: int) -> list[Prediction]:
        """Predictions from the prompts, and after each of some corrections.

        Args:
            image: N×3×H×W in 0…255, H and W multiples of 16.
            prompts: what is known at first.
            correct: from logits and the prompts that gave them to the prompts of the next round.
            rounds: how often to correct.

        Returns:
            1 + rounds predictions.
        """
        maps = self.encode(image)
        predictions = [self.decode(maps, prompts)]
        for _ in range(rounds):
            prompts = correct(predictions[-1][0].detach(), prompts)
            predictions.append(self.decode(maps, prompts))
        return predictions


# from the keys of mobile_sam.pt to those here, applied one after the other
_RENAMED: Sequence[tuple[str, str]] = (
    (r"^image_encoder\.patch_embed\.seq\.0\.", "encoder.stem.0."),
    (r"^image_encoder\.patch_embed\.seq\.2\.", "encoder.patches."),
    (r"^image_encoder\.layers\.(\d)\.blocks\.", r"encoder.stages.\1."),
    (r"^image_encoder\.layers\.(\d)\.downsample\.", r"encoder.merges.\1."),
    (r"^image_encoder\.neck\.", "encoder.neck."),
    (r"\.conv1\.", ".expand."),
    (r"\.conv2\.", ".depthwise."),
    (r"\.conv3\.", ".project."),
    (r"\.c\.", ".0."),
    (r"\.bn\.", ".1."),
    (r"\.attn\.attention_biases$", ".attention.biases"),
    (r"\.attn\.proj\.", ".attention.project."),
    (r"\.attn\.", ".attention."),
    (r"\.local_conv\.", ".local."),
    (r"\.mlp\.norm\.", ".mlp.0."),
    (r"\.mlp\.fc1\.", ".mlp.1."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", "decoder.prompts.frequencies"),
    (r"^prompt_encoder\.not_a_point_embed\.weight$", "decoder.prompts.padding"),
    (r"^prompt_encoder\.no_mask_embed\.weight$", "decoder.prompts.no_mask"),
    (r"^prompt_encoder\.mask_downscaling\.", "decoder.prompts.mask."),
    (r"^mask_decoder\.transformer\.layers\.(\d)\.", r"decoder.blocks.\1."),
    (r"\.self_attn\.", ".among_tokens."),
    (r"\.cross_attn_token_to_image\.", ".to_image."),
    (r"\.cross_attn_image_to_token\.", ".to_tokens."),
    (r"\.norm1\.", ".norms.0."),
    (r"\.norm2\.", ".norms.1."),
    (r"\.norm3\.", ".norms.2."),
    (r"\.norm4\.", ".norms.3."),
    (r"\.mlp\.lin1\.", ".mlp.0."),
    (r"\.mlp\.lin2\.", ".mlp.2."),
    (r"^mask_decoder\.transformer\.final_attn_token_to_image\.", "decoder.last_attention."),
    (r"^mask_decoder\.transformer\.norm_final_attn\.", "decoder.last_norm."),
    (r"\.q_proj\.", ".query."),
    (r"\.k_proj\.", ".key."),
    (r"\.v_proj\.", ".value."),
    (r"\.out_proj\.", ".project."),
    (r"^mask_decoder\.output_upscaling\.0\.", "decoder.to_eighth."),
    (r"^mask_decoder\.output_upscaling\.1\.", "decoder.eighth_norm."),
    (r"^mask_decoder\.output_upscaling\.3\.", "decoder.to_quarter."),
    (r"^mask_decoder\.output_hypernetworks_mlps\.0\.layers\.0\.", "decoder.weights.0."),
    (r"^mask_decoder\.output_hypernetworks_mlps\.0\.layers\.1\.", "decoder.weights.2."),
    (r"^mask_decoder\.output_hypernetworks_mlps\.0\.layers\.2\.", "decoder.weights.4."),
    (r"^mask_decoder\.iou_prediction_head\.layers\.0\.", "decoder.quality.0."),
    (r"^mask_decoder\.iou_prediction_head\.layers\.1\.", "decoder.quality.2."),
    (r"^mask_decoder\.iou_prediction_head\.layers\.2\.", "decoder.quality.4."),
)
_UNUSED = re.compile(
    r"^image_encoder\.(norm_head|head)\.|^mask_decoder\.output_hypernetworks_mlps\.[1-3]\.|attention_bias_idxs$"
)
_POINT_EMBEDDINGS = tuple(f"prompt_encoder.point_embeddings.{kind}.weight" for kind in range(4))
_OUTPUT_TOKENS = ("mask_decoder.iou_token.weight", "mask_decoder.mask_tokens.weight")


def mobile_sam_state(network: LiteClicks, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state for the network with everything that MobileSAM's published checkpoint knows.

    Args:
        network: what MobileSAM does not have is as here.
        published: the state in `mobile_sam.pt`.

    Raises:
        WeightsError: a weight is missing.
    """
    missing = [key for key in (*_POINT_EMBEDDINGS, *_OUTPUT_TOKENS) if key not in published]
    if missing:
        raise WeightsError(f"expected a checkpoint of MobileSAM, mobile_sam.pt; '{missing[0]}' is missing")
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    for key, tensor in published.items():
        if key in _POINT_EMBEDDINGS or key in _OUTPUT_TOKENS or _UNUSED.search(key):
            continue
        for pattern, ours in _RENAMED:
            key = re.sub(pattern, ours, key)
        if key.startswith("decoder.quality.4"):
            tensor = tensor[:1]
        state[key] = tensor.view(state[key].shape) if key in state else tensor
    kinds = [published[key] for key in _POINT_EMBEDDINGS]
    # an extreme point is a point on the object
    state["decoder.prompts.kinds"] = torch.cat([*kinds, kinds[POSITIVE]])
    state["decoder.tokens"] = torch.cat([published[key] for key in _OUTPUT_TOKENS])
    return state
