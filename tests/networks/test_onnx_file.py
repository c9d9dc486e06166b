"""The ONNX files compute what PyTorch does, for other memories than when exported; clicks: tests/cli."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks.checkpoints import load_into, read_state_dict
from dextr_vos.networks.lite_tracker import LiteTracker, join_memories
from dextr_vos.networks.onnx_file import OnnxPart, load_parts, tracker_parts, write_onnx
from dextr_vos.networks.shipped import shipped_weights

SIZE = (64, 80)


def written(parts: list[OnnxPart], folder: Path) -> dict[str, object]:
    """The function in each file: arrays by name in, arrays out."""
    onnxruntime = pytest.importorskip("onnxruntime", reason='needs pip install "dextr-vos[onnx]"')
    pytest.importorskip("onnxscript", reason='needs pip install "dextr-vos[onnx]"')
    functions = {}
    for part in parts:
        path = folder / f"{part.name}.onnx"
        assert write_onnx(part, path) <= 1e-4
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        functions[part.name] = lambda session=session, **tensors: session.run(
            None, {name: np.asarray(tensor) for name, tensor in tensors.items()}
        )
    return functions


def assert_equal(found: list[np.ndarray], expected: tuple[Tensor, ...]) -> None:
    for array, tensor in zip(found, expected, strict=True):
        assert np.abs(array - tensor.numpy()).max() <= 1e-4


MAPS = ("half", "quarter", "eighth", "embedding")


@pytest.mark.slow
def test_a_step_of_the_tracker_is_the_same_for_any_memory(tmp_path: Path) -> None:
    network = LiteTracker().eval()
    load_into(network, read_state_dict(shipped_weights("lite-parent")), "lite-parent")
    # its encoder is that of the network for clicks
    run = written(tracker_parts(network, SIZE)[1:], tmp_path)
    frames = torch.randn(4, 1, 3, *SIZE)
    masks = [torch.zeros(1, 1, *SIZE) for _ in range(3)]  # of the last nothing is seen
    masks[0][..., 10:40, 20:60], masks[1][..., 5:30, 30:70] = 1, 0.7
    guide = 2 * masks[1] - 1
    onnx_memories: list[list[np.ndarray]] = []
    memories = []
    for mask, frame in zip(masks, frames[:3], strict=True):
        with torch.inference_mode():
            encoded, features = network.encode(frame), network.encode(frames[3])
            memories.append(encoded.memorize(mask))
            expected = network.decode(features, join_memories(memories), guide)
        onnx_memories.append(run["tracker-memory"](embedding=encoded.maps[3], keys=encoded.keys, mask=mask))
        keys, shares, summaries = (np.concatenate(each, axis=2) for each in zip(*onnx_memories, strict=True))
        found = run["tracker-decoder"](
            **dict(zip(MAPS, features.maps, strict=True)),
            keys=features.keys,
            memory_keys=keys,
            memory_masks=shares,
            memory_counts=np.ones((1, keys.shape[2]), np.float32),
            memory_summaries=summaries,
            guide=guide,
        )
        assert_equal(found, expected)


def test_what_a_compiled_graph_reads_of_a_memory_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exported step has other code for that than a CPU otherwise."""
    network = LiteTracker().eval()
    with torch.inference_mode():
        features = network.encode(torch.randn(1, 3, *SIZE))
        memory = features.memorize(torch.rand(1, 2, *SIZE).round())
        guides = torch.rand(1, 2, *SIZE)
        expected = network.decode(features, memory, guides)[0]
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        found = network.decode(features, memory, guides)[0]
    assert (found - expected).abs().max() <= 1e-5


class Rounded(torch.nn.Module):
    """What exporters could get wrong: not the same function after it was exported."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x + 0.001 if torch.compiler.is_compiling() else x,)


def test_a_file_that_differs_is_not_left(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason='needs pip install "dextr-vos[onnx]"')
    pytest.importorskip("onnxscript", reason='needs pip install "dextr-vos[onnx]"')
    part = OnnxPart("rounded", Rounded(), {"x": torch.zeros(3)}, ("y",), {})
    with pytest.raises(WeightsError, match=r"rounded\.onnx differs from PyTorch by 1\.0e-03"):
        write_onnx(part, tmp_path / "rounded.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    part = OnnxPart("any", torch.nn.Identity(), {"x": torch.zeros(3)}, ("y",), {})
    with pytest.raises(InputError, match=r'ONNX files need onnx; .*pip install "dextr-vos\[onnx\]"'):
        write_onnx(part, tmp_path / "any.onnx")


def test_sizes_and_weights_are_checked() -> None:
    with pytest.raises(InputError, match=r"multiples of 16, got \(440, 448\)"):
        load_parts("clicks", shipped_weights("lite-clicks"), (440, 448))
    with pytest.raises(WeightsError, match="does not fit the network LiteTracker"):
        load_parts("tracker", shipped_weights("lite-clicks"), SIZE)
