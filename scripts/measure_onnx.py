"""Milliseconds of the lite networks in PyTorch and in ONNX Runtime, medians of alternate runs on one image.

python scripts/measure_onnx.py    needs pip install "dextr-vos[onnx]"; fp32, one thread of the CPU

The time is that of the processor, which on one thread is that of the clock, but for other programs' share.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch

from dextr_vos.networks.onnx_file import load_parts, write_onnx
from dextr_vos.networks.shipped import shipped_weights

NETWORKS = (("clicks", "lite-clicks", (448, 448)), ("tracker", "lite-parent", (336, 448)))
ROUNDS = 15


def milliseconds(run: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.process_time()
    run()
    return 1000 * (time.process_time() - start)


def main() -> None:
    """Export every part of both networks and time it."""
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")
    for network, weights, size_hw in NETWORKS:
        for part in load_parts(network, shipped_weights(weights), size_hw):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{part.name}.onnx"
                difference = write_onnx(part, path)
                session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            arrays = {name: tensor.numpy() for name, tensor in part.inputs.items()}
            module = part.module.to(memory_format=torch.channels_last)
            tensors = [each.contiguous() for each in part.inputs.values()]
            ours, theirs = [], []
            with torch.inference_mode():
                for _ in range(ROUNDS):
                    ours.append(milliseconds(lambda m=module, t=tensors: m(*t)))
                    theirs.append(milliseconds(lambda s=session, a=arrays: s.run(None, a)))
            torch_ms, onnx_ms = statistics.median(ours), statistics.median(theirs)
            print(
                f"{part.name} {size_hw[1]}x{size_hw[0]}: PyTorch {torch_ms:.1f} ms, ONNX Runtime "
                f"{onnx_ms:.1f} ms, ratio {torch_ms / onnx_ms:.2f}; differs by {difference:.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
