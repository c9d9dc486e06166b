"""The weights inside the package: where they are, and a check that they are unchanged.

docs/models.md is their model card. Finding them needs no PyTorch.
"""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from dextr_vos.errors import WeightsError

# SHA-256 of the files in dextr_vos/weights
CHECKSUMS = {
    "lite-clicks": "71d1eb4faddbd71ce6776785194484cace9e9cf99afa640389b496a087ad6683",
    "lite-parent": "8dbebf32ed9ad4f37b3924b386a63821b5fb02672c7235ddf8d3ce9a383a1970",
}


@cache
def shipped_weights(name: str) -> Path:
    """The file of a shipped network.

    Args:
        name: a key of `CHECKSUMS`.

    Raises:
        WeightsError: the file is missing or was changed.
    """
    path = Path(str(files("dextr_vos") / "weights" / f"{name}.safetensors"))
    if not path.is_file():
        raise WeightsError(f"the shipped weights {path} are missing; install dextr-vos again")
    if hashlib.sha256(path.read_bytes()).hexdigest() != CHECKSUMS[name]:
        raise WeightsError(f"the shipped weights {path} were changed; install dextr-vos again")
    return path


def write_fp16(source: Path, target: Path, start: Path | None = None, alpha: float = 1.0) -> str:
    """Write weights in fp16, as they are shipped.

    Args:
        source: safetensors file of a training.
        target: file to write.
        start: checkpoint that the training began with, of the same network.
        alpha: 1 for the weights as trained, less for those on the line from `start` to them (Wortsman et al.,
            "Robust fine-tuning of zero-shot models", CVPR 2022); the file's metadata tell it.

    Returns:
        The SHA-256 of the file.

    Raises:
        WeightsError: the source is missing, broken, or not safetensors, or the start is missing or broken.
    """
    from dextr_vos.networks.checkpoint_file import read_metadata
    from dextr_vos.networks.checkpoints import read_state_dict, save

    metadata, state = read_metadata(source), read_state_dict(source)
    if start is not None and alpha < 1:
        before = read_state_dict(start)  # the memory of a fine-tuned network is left out
        for key, tensor in state.items():
            if tensor.is_floating_point():
                state[key] = before[key].float().lerp(tensor.float(), alpha)
        metadata = {**metadata, "alpha": str(alpha)}
    save(target, {key: t.half() if t.is_floating_point() else t for key, t in state.items()}, metadata)
    return hashlib.sha256(target.read_bytes()).hexdigest()
