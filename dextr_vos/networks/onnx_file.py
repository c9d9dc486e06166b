"""The lite networks as ONNX files, for programs without PyTorch.

Each network is split where its results serve more than once: an image is encoded once for any number of
prompts, a frame once for any number of objects. Batches are of one, and objects are decoded one by one.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.files import atomic_path
from dextr_vos.networks.checkpoints import load_into, read_state_dict
from dextr_vos.networks.lite_clicks import LiteClicks
from dextr_vos.networks.lite_tracker import MEMORY_PREFIX, EncodedFrames, LiteTracker, Memory
from dextr_vos.networks.prompt_decoder import BOX_END, BOX_START, EXTREME, POSITIVE, Prompts
from dextr_vos.networks.tiny_vit import fold_constants

OPSET = 18
# largest difference between PyTorch and ONNX Runtime, as a share of the largest value or of 1
TOLERANCE = 1e-4
STEP = 16  # sides of an input are multiples of that
_MAPS = ("half", "quarter", "eighth", "embedding")


@dataclass(frozen=True)
class OnnxPart:
    """A part of a network that becomes a file.

    Attributes:
        name: of the file, without `.onnx`.
        module: tensors in, tensors out.
        inputs: examples by their names, in order.
        outputs: names, in order.
        dynamic: for an input, the axes whose length is free, and what each counts.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    dynamic: Mapping[str, Mapping[int, str]]


class _ClicksEncoder(nn.Module):
    def __init__(self, network: LiteClicks) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.network.encode(image)


class _ClicksDecoder(nn.Module):
    def __init__(self, network: LiteClicks) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        half: Tensor,
        quarter: Tensor,
        eighth: Tensor,
        embedding: Tensor,
        points_xy: Tensor,
        kinds: Tensor,
        mask: Tensor,
        has_mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        return self.network.decode(
            (half, quarter, eighth, embedding), Prompts(points_xy, kinds, mask, has_mask)
        )


class _TrackerEncoder(nn.Module):
    def __init__(self, network: LiteTracker) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode(frame)
        return *features.maps, features.keys


class _TrackerMemory(nn.Module):
    def forward(self, embedding: Tensor, keys: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        memory = EncodedFrames((embedding,), keys).memorize(mask)
        return memory.keys, memory.masks, memory.summaries


class _TrackerDecoder(nn.Module):
    def __init__(self, network: LiteTracker) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        half: Tensor,
        quarter: Tensor,
        eighth: Tensor,
        embedding: Tensor,
        keys: Tensor,
        memory_keys: Tensor,
        memory_masks: Tensor,
        memory_counts: Tensor,
        memory_summaries: Tensor,
        guide: Tensor,
    ) -> tuple[Tensor, Tensor]:
        features = EncodedFrames((half, quarter, eighth, embedding), keys)
        memory = Memory(memory_keys, memory_masks, memory_counts, memory_summaries)
        return self.network.decode(features, memory, guide)


def clicks_parts(network: LiteClicks, size_hw: tuple[int, int]) -> list[OnnxPart]:
    """The network for clicks: `clicks-encoder` for an image, `clicks-decoder` for prompts.

    Args:
        network: with its weights; changed in place to the same function without constants to compute.
        size_hw: height and width of the image, multiples of 16; 448×448 is what it was trained for.

    Raises:
        InputError: another size.
    """
    height, width = _checked(size_hw)
    fold_constants(network.eval().encoder)
    image = 255 * _random(1, 3, height, width)
    with torch.no_grad():  # the exporter fails at first on tensors of inference mode, and begins again
        maps = dict(zip(_MAPS, network.encode(image), strict=True))
    prompts = {
        "points_xy": _random(1, 7, 2),
        "kinds": torch.tensor([[EXTREME] * 4 + [BOX_START, BOX_END, POSITIVE]]),
        "mask": _random(1, 1, height // 4, width // 4),
        "has_mask": torch.tensor([True]),
    }
    points = {"points_xy": {1: "points"}, "kinds": {1: "points"}}
    return [
        OnnxPart("clicks-encoder", _ClicksEncoder(network), {"image": image}, _MAPS, {}),
        OnnxPart("clicks-decoder", _ClicksDecoder(network), maps | prompts, ("logits", "quality"), points),
    ]


def tracker_parts(network: LiteTracker, size_hw: tuple[int, int]) -> list[OnnxPart]:
    """The tracker: `tracker-encoder` for a frame, `tracker-memory` for a mask, `tracker-decoder` for a step.

    Args:
        network: with its weights; changed in place to the same function without constants to compute.
        size_hw: height and width of the crops, multiples of 16; of 112 they suit the encoder best.

    Raises:
        InputError: another size.
    """
    height, width = _checked(size_hw)
    fold_constants(network.eval().encoder)
    frame, mask = 2 * _random(1, 3, height, width) - 1, _random(1, 1, height, width)
    with torch.no_grad():  # see `clicks_parts`
        encoded = network.encode(frame)
        memory = encoded.memorize(mask)
    maps = dict(zip(_MAPS, encoded.maps, strict=True)) | {"keys": encoded.keys}
    known = {
        "memory_keys": torch.cat([memory.keys, memory.keys], dim=2),
        "memory_masks": torch.cat([memory.masks, 1 - memory.masks], dim=2),
        "memory_counts": torch.cat([memory.counts, memory.counts], dim=1),
        "memory_summaries": torch.cat([memory.summaries, memory.summaries], dim=2),
    }
    entries = {"memory_keys": {2: "entries"}, "memory_masks": {2: "entries"}, "memory_counts": {1: "entries"}}
    return [
        OnnxPart("tracker-encoder", _TrackerEncoder(network), {"frame": frame}, (*_MAPS, "keys"), {}),
        OnnxPart(
            "tracker-memory",
            _TrackerMemory(),
            {"embedding": maps["embedding"], "keys": maps["keys"], "mask": mask},
            ("memory_keys", "memory_masks", "memory_summaries"),
            {},
        ),
        OnnxPart(
            "tracker-decoder",
            _TrackerDecoder(network),
            maps | known | {"guide": 2 * mask - 1},
            ("logits", "quality"),
            entries | {"memory_summaries": {2: "frames"}},
        ),
    ]


def load_parts(network: str, weights: Path, size_hw: tuple[int, int]) -> list[OnnxPart]:
    """The parts of a network with its weights.

    Args:
        network: "clicks" or "tracker".
        weights: checkpoint of the lite network; of the tracker also one that was fine-tuned on a clip.
        size_hw: see `clicks_parts` and `tracker_parts`.

    Raises:
        InputError: the size is no multiple of 16.
        WeightsError: the checkpoint is broken or of another network.
    """
    # a fine-tuned tracker is saved with its memory
    state = {k: v for k, v in read_state_dict(weights).items() if not k.startswith(MEMORY_PREFIX)}
    built: LiteClicks | LiteTracker = LiteClicks() if network == "clicks" else LiteTracker()
    load_into(built, state, weights)
    if isinstance(built, LiteClicks):
        return clicks_parts(built, size_hw)
    return tracker_parts(built, size_hw)


def write_onnx(part: OnnxPart, path: Path) -> float:
    """Write a part as ONNX and compare it with PyTorch in ONNX Runtime; a file that differs is not left.

    Args:
        part: see `OnnxPart`.
        path: file to write.

    Returns:
        The largest difference of an output, as a share of its largest value or of 1.

    Raises:
        InputError: onnx, onnxscript or onnxruntime is not installed.
        WeightsError: the outputs differ by more than `TOLERANCE`.
    """
    onnxruntime = _import_onnxruntime()
    lengths = {name: torch.export.Dim(name) for axes in part.dynamic.values() for name in axes.values()}
    shapes = tuple(
        {axis: lengths[name] for axis, name in part.dynamic.get(key, {}).items()} for key in part.inputs
    )
    with atomic_path(path) as temporary:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, on its own workings
            torch.onnx.export(
                part.module.eval(),
                tuple(part.inputs.values()),
                temporary,
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                dynamic_shapes=shapes,
                verbose=False,
            )
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        found = session.run(None, {key: tensor.numpy() for key, tensor in part.inputs.items()})
        with torch.inference_mode():
            expected = part.module(*part.inputs.values())
        difference = max(_difference(a, b.numpy()) for a, b in zip(found, expected, strict=True))
        if not difference <= TOLERANCE:
            raise WeightsError(
                f"{path.name} differs from PyTorch by {difference:.1e}, expected at most {TOLERANCE:.0e}; "
                "take other releases of torch and onnxruntime"
            )
    return difference


def _difference(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


def _import_onnxruntime() -> Any:
    try:
        import onnx  # noqa: F401 - the exporter needs both
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f'ONNX files need {error.name or error}; install it with: pip install "dextr-vos[onnx]"'
        ) from None
    return onnxruntime


def _checked(size_hw: tuple[int, int]) -> tuple[int, int]:
    if any(side < STEP or side % STEP for side in size_hw):
        raise InputError(f"expected a height and a width that are multiples of {STEP}, got {size_hw}")
    return size_hw


def _random(*shape: int) -> Tensor:
    """The same numbers in 0…1 each time."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))
