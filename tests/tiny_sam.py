"""Segment Anything and SAM 2 with random weights, thin and for small images, and a stand-in for SAM 2."""

import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dextr_vos.networks import sam

THIN_SAM2 = (
    "model.image_size=256",
    "model.image_encoder.trunk.embed_dim=8",
    "model.image_encoder.neck.backbone_channel_list=[64,32,16,8]",
    "model.memory_attention.num_layers=1",
    "model.memory_attention.layer.dim_feedforward=32",
)
THIN_SAM2_SIZE = (8, 12)  # see `SAM2_SIZES`
CONFIGURATION = "configs/sam2.1/sam2.1_hiera_t.yaml"


def thin_sam2(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a thin SAM 2.1 that always sees its object; skips where sam2 is not installed."""
    build = pytest.importorskip("sam2.build_sam", reason='pip install "dextr-vos[sam2]"')
    monkeypatch.setattr(sam, "SAM2_OVERRIDES", THIN_SAM2)
    monkeypatch.setitem(sam.SAM2_SIZES, THIN_SAM2_SIZE, "t")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of OmegaConf
        torch.manual_seed(0)
        overrides = list(THIN_SAM2)
        network = build.build_sam2(CONFIGURATION, None, "cpu", "eval", overrides, apply_postprocessing=False)
    with torch.no_grad():
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5)
    path = folder / "sam2.1_hiera_thin.pt"
    torch.save({"model": network.state_dict()}, path)
    return path


def thin_sam(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a thin Segment Anything; skips where segment-anything is not installed."""
    package = pytest.importorskip("segment_anything", reason='pip install "dextr-vos[sam]"')
    from segment_anything.build_sam import _build_sam

    def thin() -> nn.Module:
        return _build_sam(
            encoder_embed_dim=16, encoder_depth=1, encoder_num_heads=2, encoder_global_attn_indexes=[]
        )

    monkeypatch.setitem(package.sam_model_registry, "thin", thin)
    monkeypatch.setitem(sam.SAM_SIZES, 16, "thin")
    path = folder / "sam_thin.pth"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(thin().state_dict(), path)
    return path


class StandIn(nn.Module):
    """In place of the network of `sam2`, which is not installed everywhere: finds objects by brightness.

    As the real one, it is given maps of a frame and what was memorized of other frames, and answers with
    logits at a quarter of the size, and with what is to be memorized.
    """

    image_size, num_maskmem, memory_temporal_stride_for_eval, max_obj_ptrs_in_encoder = 256, 2, 1, 3

    def __init__(self) -> None:
        super().__init__()
        self.remembered: list[set[int]] = []  # of other frames, in each step

    def forward_image(self, image):
        maps = F.avg_pool2d(image.mean(1, keepdim=True), 4)
        return {"backbone_fpn": [maps], "vision_pos_enc": [torch.zeros_like(maps)]}

    def _prepare_backbone_features(self, encoded):
        (maps,), (positions,) = encoded["backbone_fpn"], encoded["vision_pos_enc"]
        flat = [each.flatten(2).permute(2, 0, 1) for each in (maps, positions)]
        return encoded, [flat[0]], [flat[1]], [maps.shape[-2:]]

    def track_step(self, frame_idx, is_init_cond_frame, mask_inputs, output_dict, **given):
        height, width = given["feat_sizes"][0]
        maps = given["current_vision_feats"][0].permute(1, 2, 0).view(-1, 1, height, width)
        if is_init_cond_frame:
            masks = F.avg_pool2d(mask_inputs, 4)
            seen = (maps * masks).sum((2, 3)) / masks.sum((2, 3)).clamp(min=1e-3)
            logits = 20 * masks - 10
        else:
            known, recent = output_dict["cond_frame_outputs"], output_dict["non_cond_frame_outputs"]
            self.remembered.append({*known, *recent})
            seen = torch.stack([each["obj_ptr"] for each in known.values()]).mean(0)
            logits = 20 * (0.7 - (maps - seen[..., None, None]).abs())
        return {
            "pred_masks": logits, "obj_ptr": seen, "maskmem_features": logits, "maskmem_pos_enc": [logits],
            "pred_masks_high_res": logits,
        }  # fmt: skip
