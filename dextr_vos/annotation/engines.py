"""The engines by name: which segmenter `--engine` and `--weights` stand for."""

from collections.abc import Sequence
from pathlib import Path

from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.errors import InputError, WeightsError
from dextr_vos.geometry import FloatArray, IntArray
from dextr_vos.pictures import ImageRgb

ENGINES = ("grabcut", "dextr")


class GrabCutSegmenter:
    """GrabCut behind the interface of `Segmenter`; needs no weights."""

    name = "grabcut"
    threshold = 0.5

    def segment(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """See `Segmenter.segment`."""
        from dextr_vos.annotation.grabcut import grabcut

        return [grabcut(image_rgb, points) for points in objects_xy]


def make_segmenter(engine: str | None = None, weights: Path | None = None, device: str = "auto") -> Segmenter:
    """The segmenter for an engine's name.

    Args:
        engine: "grabcut" or "dextr"; None takes DEXTR when there are weights, else GrabCut.
        weights: checkpoint for DEXTR, `.pth` as published or `.safetensors`.
        device: where DEXTR runs, see `pick_device`.

    Raises:
        InputError: an unknown engine, DEXTR without weights, or weights for GrabCut.
        WeightsError: the checkpoint is broken or is not one of DEXTR.
    """
    engine = engine or ("dextr" if weights else "grabcut")
    if engine == "grabcut":
        if weights is not None:
            raise InputError("the engine grabcut takes no --weights; leave them out or take --engine dextr")
        return GrabCutSegmenter()
    if engine != "dextr":
        raise InputError(f"unknown engine '{engine}'; expected one of {', '.join(ENGINES)}")
    if weights is None:
        raise InputError("the engine dextr needs --weights PATH, a published .pth or a .safetensors file")
    return _load_dextr(weights, device)


def _load_dextr(weights: Path, device: str) -> Segmenter:
    # PyTorch takes seconds to import, and GrabCut does without
    from dextr_vos.annotation.dextr import DextrSegmenter
    from dextr_vos.networks.dextr import Dextr
    from dextr_vos.networks.weights import dextr_head, load_into, read_state_dict
    from dextr_vos.runtime import pick_device

    state = read_state_dict(weights)
    head = dextr_head(state)
    if head is None:
        raise WeightsError(
            f"{weights} is no DEXTR checkpoint: it has neither the PSP nor the ASPP head (layer5.*); "
            "give dextr_pascal-sbd.pth, dextr_pascal.pth, dextr_coco.pth or one trained by this package"
        )
    network = Dextr(head=head)
    load_into(network, state, weights)
    return DextrSegmenter(network, pick_device(device))
