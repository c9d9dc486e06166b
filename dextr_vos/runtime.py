"""Where and how to compute: device, precision and seeds."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import cv2
import torch
from torch import Tensor, nn

from dextr_vos.errors import InputError

# PyTorch's generator and its number of threads belong to the whole process
_one_at_a_time = threading.Lock()


def pick_device(name: str = "auto") -> torch.device:
    """Choose the device to compute on.

    Args:
        name: "auto" (CUDA, else Apple's MPS, else the CPU), "cpu", "mps", "cuda", or "cuda:1".

    Raises:
        InputError: the device is not available, or the name is unknown.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"unknown device {name!r}; take auto, cpu, cuda, cuda:1 or mps")
    if device.type == "cuda":
        _require_cuda(device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(
            "the device mps was asked for, but this machine or this PyTorch has none; take auto or cpu"
        )
    return device


def _require_cuda(device: torch.device) -> None:
    if not torch.cuda.is_available():
        raise InputError(
            f"the device {device} was asked for, but PyTorch sees no CUDA device here; take auto or cpu, "
            "or install a driver and a CUDA build of PyTorch"
        )
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        raise InputError(f"the device {device} was asked for, but the last one is cuda:{count - 1}")


def bf16_is_faster(device: torch.device) -> bool:
    """Whether a device multiplies faster in bf16: CUDA from Ampere on, CPUs with instructions for it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and (
        bool(torch.cpu._is_amx_tile_supported()) or bool(torch.cpu._is_avx512_bf16_supported())
    )


def autocast(device: torch.device, wanted: bool = True) -> torch.autocast:
    """A context in which networks compute in bf16, if `wanted` and faster.

    Args:
        device: device they run on.
        wanted: False keeps everything in fp32.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted and bf16_is_faster(device))


def cast_weights(network: nn.Module, device: torch.device, wanted: bool = True) -> None:
    """Cast in place, once, the weights that `autocast` would cast at every call.

    Args:
        network: which is not trained any more.
        device: on which it will run.
        wanted: as for `autocast`.
    """
    if not (wanted and bf16_is_faster(device)):
        return
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.to(torch.bfloat16)


def true_float32() -> AbstractContextManager[None]:
    """A context in which a GPU convolves in full fp32 precision, without TF32; a CPU always does."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(True, cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False)


@contextmanager
def one_job(threads: int) -> Iterator[None]:
    """Keep PyTorch and OpenCV to one job while the block runs; other jobs of this process wait.

    Args:
        threads: of both; the order of sums, and so their rounding, depends on it.
    """
    with _one_at_a_time:
        before = torch.get_num_threads(), cv2.getNumThreads()
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            cv2.setNumThreads(before[1])


class HostCopy:
    """Tensors on their way to the CPU; on CUDA nothing waits for them until they are read.

    Args:
        tensors: all on one device.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        device = tensors[0].device
        # other devices hand out memory that is not filled yet
        is_cuda = device.type == "cuda"
        self._tensors = [each.to("cpu", non_blocking=is_cuda) for each in tensors]
        self._copied = torch.cuda.current_stream(device).record_event() if is_cuda else None

    def read(self) -> list[Tensor]:
        """The tensors on the CPU."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._tensors
