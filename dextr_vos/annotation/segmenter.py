"""What every engine offers that turns clicks into masks, and how its soft masks become one label picture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.geometry import FloatArray, IntArray, sort_extremes
from dextr_vos.images import ImageRgb
from dextr_vos.masks import Labels, labels_from_probs


class Segmenter(Protocol):
    """An engine: extreme points in, soft masks out.

    Attributes:
        name: as `annotations.json` records it.
        threshold: a pixel belongs to an object where its probability is above this.
    """

    name: str
    threshold: float

    def segment(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """Soft masks of several objects of one picture.

        Args:
            image_rgb: H×W×3 uint8.
            objects_xy: per object N×2 points, N ≥ 4, ordered left, right, top, bottom, others.

        Returns:
            Per object H×W float32 in [0, 1], zero outside the box of its points.
        """
        ...


def label_frame(segmenter: Segmenter, image_rgb: ImageRgb, objects_xy: Mapping[int, IntArray]) -> Labels:
    """Labels of one picture from the clicks on its objects.

    Args:
        segmenter: the engine.
        image_rgb: H×W×3 uint8.
        objects_xy: per object number N×2 points in any order.

    Returns:
        H×W uint8 labels; where objects compete, the more probable one has the pixel.
    """
    if not objects_xy:
        return np.zeros(image_rgb.shape[:2], dtype=np.uint8)
    probs = segmenter.segment(image_rgb, [sort_extremes(points) for points in objects_xy.values()])
    numbers = np.array([0, *objects_xy], dtype=np.uint8)
    labels: Labels = numbers[labels_from_probs(probs, segmenter.threshold)]
    return labels


if TYPE_CHECKING:
    from torch import Tensor, nn

    from dextr_vos.annotation.dextr_input import ClickCrop

ENGINES = ("lite", "dextr", "grabcut")


class GrabCutSegmenter:
    """GrabCut behind the interface of `Segmenter`; needs no weights."""

    name = "grabcut"
    threshold = 0.5

    def segment(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """See `Segmenter.segment`."""
        from dextr_vos.annotation.grabcut import grabcut

        return [grabcut(image_rgb, points) for points in objects_xy]


def make_segmenter(
    engine: str | None = None, weights: Path | None = None, device: str = "auto", bf16: bool = True
) -> Segmenter:
    """The segmenter for an engine's name.

    Args:
        engine: "lite", the small DEXTR; "dextr", the published one; "grabcut". None takes what the weights
            are for, and lite where there are none.
        weights: checkpoint, `.pth` as published or `.safetensors`; lite has its own inside the package.
        device: where the network runs, see `pick_device`.
        bf16: let the published DEXTR compute in bf16 where that is faster. The lite one never does: it is
            quick as it is, and some of its masks would differ by more than 0.5 % in IoU.

    Raises:
        InputError: an unknown engine, DEXTR without weights, or weights for GrabCut.
        WeightsError: the checkpoint is broken or is not one of the engine.
    """
    if engine is not None and engine not in ENGINES:
        raise InputError(f"unknown engine '{engine}'; expected one of {', '.join(ENGINES)}")
    if engine == "grabcut":
        if weights is not None:
            raise InputError(
                "the engine grabcut takes no --weights; leave them out or take --engine lite or dextr"
            )
        return GrabCutSegmenter()
    if engine == "dextr" and weights is None:
        raise InputError("the engine dextr needs --weights PATH, a published .pth or a .safetensors file")
    return _load(engine, weights, device, bf16)


def _load(engine: str | None, weights: Path | None, device: str, bf16: bool) -> Segmenter:
    # PyTorch takes seconds to import, and GrabCut does without
    from dextr_vos.annotation.dextr import DextrSegmenter
    from dextr_vos.networks.checkpoints import load_into, read_state_dict
    from dextr_vos.networks.lite_dextr import LiteDextr, is_lite_dextr
    from dextr_vos.networks.shipped import shipped_weights
    from dextr_vos.runtime import pick_device

    path = weights or shipped_weights("lite-dextr")
    state = read_state_dict(path)
    told = _metadata(path)
    is_lite = is_lite_dextr(state)
    if engine is not None and is_lite != (engine == "lite"):
        kind = "of the lite DEXTR" if is_lite else "not of the lite DEXTR"
        raise WeightsError(
            f"{path} is {kind}, the engine asked for is {engine}; take the other engine or other weights"
        )
    network: nn.Module = LiteDextr() if is_lite else _paper_network(path, state, told)
    load_into(network, state, path)
    crop, threshold = _look(path, told, is_lite)
    name = "lite" if is_lite else "dextr"
    bf16 = bf16 and not is_lite
    return DextrSegmenter(network, pick_device(device), crop, threshold, name, refine=is_lite, bf16=bf16)


def _paper_network(path: Path, state: "Mapping[str, Tensor]", told: Mapping[str, str]) -> "nn.Module":
    from dextr_vos.networks.checkpoints import dextr_head
    from dextr_vos.networks.dextr import RESNET101_BLOCKS, Dextr

    head = dextr_head(state)
    if head is None:
        raise WeightsError(
            f"{path} is no DEXTR checkpoint: it has neither the PSP nor the ASPP head (layer5.*); "
            "give dextr_pascal-sbd.pth, dextr_pascal.pth, dextr_coco.pth or one trained by this package"
        )
    return Dextr(head=head, blocks=tuple(json.loads(told.get("blocks", json.dumps(RESNET101_BLOCKS)))))


def _metadata(path: Path) -> dict[str, str]:
    """What a training wrote beside its weights; nothing for a published checkpoint."""
    from dextr_vos.networks.checkpoints import read_metadata

    return read_metadata(path) if path.suffix == ".safetensors" else {}


def _look(path: Path, told: Mapping[str, str], is_lite: bool) -> tuple["ClickCrop", float]:
    """What the network was trained to see, and what counts as object."""
    from dextr_vos.annotation.dextr import PAPER_THRESHOLD
    from dextr_vos.annotation.dextr_input import ClickCrop

    if "crop" not in told and is_lite:
        raise WeightsError(
            f"{path} does not say what its network looks at; take a .safetensors of train-dextr"
        )
    try:
        crop = ClickCrop(**json.loads(told["crop"])) if "crop" in told else ClickCrop()
        return crop, float(told.get("threshold", PAPER_THRESHOLD))
    except (TypeError, ValueError) as fault:
        raise WeightsError(f"{path} has settings beside its weights that cannot be read: {fault}") from None
