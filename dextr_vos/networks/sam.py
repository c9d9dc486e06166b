"""Segment Anything (Kirillov et al., ICCV 2023) and SAM 2 (Ravi et al., ICLR 2025), from their checkpoints.

The networks are those of the packages `segment-anything` and `sam2`, which are imported once one is loaded.
A checkpoint tells by its tensors which of the published sizes it is of.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks.checkpoints import load_into, read_state_dict

# names in the registry of segment-anything, by the width of the image encoder
SAM_SIZES = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
# letters of the configurations of sam2, by width and number of blocks of the image encoder
SAM2_SIZES = {(96, 12): "t", (96, 16): "s", (112, 24): "b+", (144, 48): "l"}
# changes to those configurations, as Hydra takes them
SAM2_OVERRIDES: tuple[str, ...] = ()

_WIDTH = "image_encoder.pos_embed"
_WIDTH_2 = "image_encoder.trunk.patch_embed.proj.weight"
_BLOCK_2 = re.compile(r"image_encoder\.trunk\.blocks\.(\d+)\.")


def load_sam(path: Path) -> nn.Module:
    """A network of Segment Anything, on the CPU and in evaluation mode.

    Args:
        path: a published checkpoint, such as `sam_vit_b_01ec64.pth`.

    Raises:
        InputError: segment-anything is not installed.
        WeightsError: the checkpoint is missing, broken or of another network.
    """
    package = _package("segment_anything", "sam")
    state = read_state_dict(path)
    size = SAM_SIZES.get(state[_WIDTH].shape[-1]) if _WIDTH in state else None
    if size is None:
        raise WeightsError(
            f"{path} is no checkpoint of Segment Anything; give sam_vit_b, sam_vit_l or sam_vit_h"
        )
    network: nn.Module = package.sam_model_registry[size]()
    return _loaded(network, state, path)


def load_sam2(path: Path) -> nn.Module:
    """A network of SAM 2 or 2.1, on the CPU and in evaluation mode.

    Args:
        path: a published checkpoint, such as `sam2.1_hiera_tiny.pt`.

    Raises:
        InputError: sam2 is not installed.
        WeightsError: the checkpoint is missing, broken or of another network.
    """
    package = _package("sam2.build_sam", "sam2")
    state = read_state_dict(path)
    configuration = _sam2_configuration(state)
    if configuration is None:
        raise WeightsError(f"{path} is no checkpoint of SAM 2; give a published sam2_hiera or sam2.1_hiera")
    return _loaded(_new_sam2(package, configuration), state, path)


def random_sam2() -> nn.Module:
    """SAM 2.1 of the smallest size with random weights, on the CPU and in evaluation mode.

    Raises:
        InputError: sam2 is not installed.
    """
    package = _package("sam2.build_sam", "sam2")
    return _new_sam2(package, "configs/sam2.1/sam2.1_hiera_t.yaml").requires_grad_(False).eval()


def sam_predictor(network: nn.Module) -> Any:
    """segment-anything's predictor for clicks on an image."""
    return import_module("segment_anything").SamPredictor(network)


def sam2_predictor(network: Any) -> Any:
    """sam2's predictor for clicks on an image."""
    with _third_party_warnings_hidden():
        predictor = import_module("sam2.sam2_image_predictor").SAM2ImagePredictor(network)
    # it takes the published image size for granted
    side = network.image_size
    predictor._bb_feat_sizes = [(side // stride, side // stride) for stride in (4, 8, 16)]
    return predictor


def _sam2_configuration(state: Mapping[str, Tensor]) -> str | None:
    if _WIDTH_2 not in state:
        return None
    blocks = {int(found[1]) for key in state if (found := _BLOCK_2.match(key))}
    size = SAM2_SIZES.get((state[_WIDTH_2].shape[0], len(blocks)))
    version = "2.1" if "no_obj_embed_spatial" in state else "2"
    return None if size is None else f"configs/sam{version}/sam{version}_hiera_{size}.yaml"


def _new_sam2(package: ModuleType, configuration: str) -> nn.Module:
    with _third_party_warnings_hidden():
        network: nn.Module = package.build_sam2(
            configuration,
            device="cpu",
            hydra_overrides_extra=list(SAM2_OVERRIDES),
            apply_postprocessing=False,  # which would need a CUDA extension
        )
    return network


def _package(module: str, extra: str) -> ModuleType:
    try:
        with _third_party_warnings_hidden():
            return import_module(module)
    except ImportError as error:
        raise InputError(
            f"the model {extra} needs another package ({error}); install it with: "
            f'pip install "dextr-vos[{extra}]"'
        ) from None


@contextmanager
def _third_party_warnings_hidden() -> Iterator[None]:
    """Say nothing of what these packages still use, such as torch.jit and older functions of OmegaConf."""
    with warnings.catch_warnings():
        for category in (FutureWarning, UserWarning, DeprecationWarning):
            warnings.simplefilter("ignore", category)
        yield


def _loaded(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> nn.Module:
    load_into(network, state, path)
    return network.requires_grad_(False).eval()
