"""The weights the golden numbers were made with (tests/golden/README.md), and how far two arrays differ."""

import json
import logging
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).parent / "golden"


def read_golden(name: str) -> dict:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def shapes(network: nn.Module) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in network.state_dict().items()}


def set_golden_weights(network: nn.Module) -> None:
    """Fill a network with weights that depend on nothing but its keys; up-sampling kernels are kept."""
    state = network.state_dict()
    for key, tensor in state.items():
        if not key.endswith("num_batches_tracked") and not key.startswith("upscale"):
            state[key] = _golden_tensor(key, tuple(tensor.shape))
    network.load_state_dict(state)


def _golden_tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    r = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
        values = r.uniform(0.8, 1.2, shape)
    elif key.endswith("running_mean"):
        values = 0.1 * r.standard_normal(shape)
    elif len(shape) == 1:
        values = 0.05 * r.standard_normal(shape)
    else:
        values = r.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def assert_golden(what: str, found: npt.ArrayLike, expected: npt.ArrayLike, bound: float = 1e-3) -> None:
    """Largest difference, as a share of the largest expected value, is less than the bound.

    `pytest --log-cli-level=INFO` shows how large it was.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    logging.getLogger("golden").info("%s: %.1e", what, difference)
    assert difference < bound, what
