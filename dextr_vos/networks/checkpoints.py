"""Checkpoints: read, checked against a network, and written.

Reads what the authors published (plain state dicts of PyTorch 0.3 and 0.4), what PyTorch writes today, and
safetensors, which is what this package writes. No checkpoint runs code, and none is loaded in part.
"""

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor, nn

from dextr_vos.errors import WeightsError
from dextr_vos.files import atomic_path
from dextr_vos.networks.checkpoint_file import FETCH_AGAIN, first_bytes, is_safetensors
from dextr_vos.networks.dextr import Head

# layers with one row for each object
_PER_OBJECT = ("score_dsn.", "fuse.")
_SHOWN = 3
_SUFFIXES = frozenset({".pth", ".pt", ".ckpt", ".bin", ".tar", ".pkl", ".safetensors"})  # of checkpoints


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, by what the file holds and not by its name.

    Args:
        path: `.pth` of any PyTorch since 0.3, plain or wrapped as {"state_dict": …} or {"model": …}, or
            `.safetensors`.

    Returns:
        Tensors on the CPU by their keys, without the prefix `module.` that DataParallel adds.

    Raises:
        WeightsError: the file is missing, cut short, something else, or holds more than tensors.
    """
    start = first_bytes(path)
    loaded = _read_safetensors(path) if is_safetensors(path, start) else _read_pickle(path, start)
    for wrapped in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapped), Mapping):
            loaded = loaded[wrapped]
    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, expected tensors by their names")
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"{path} holds a {type(value).__name__} at {key!r}, expected tensors only; "
                "save network.state_dict() and nothing else"
            )
    return {key.removeprefix("module."): value.detach() for key, value in loaded.items()}


def load_into(network: nn.Module, state: Mapping[str, Tensor], source: Path | str) -> None:
    """Put a state into a network, or leave the network as it was.

    Args:
        network: changed in place when every key and shape fits.
        state: tensors by key; absent `num_batches_tracked` (PyTorch 0.3) count as 0.
        source: where the state came from, for the message.

    Raises:
        WeightsError: keys are missing, unexpected or of another shape; all are listed at once.
    """
    check_fits(network, state, source)
    network.load_state_dict(_with_counts(state, network.state_dict()))


def check_fits(network: nn.Module, state: Mapping[str, Tensor], source: Path | str) -> None:
    """Refuse a state that `load_into` would refuse.

    Args:
        network: not changed; may be on the device "meta".
        state: see `load_into`.
        source: where the state came from, for the message.

    Raises:
        WeightsError: keys are missing, unexpected or of another shape; all are listed at once.
    """
    expected = network.state_dict()
    full = _with_counts(state, expected)
    errors = [
        _listed("missing", [key for key in expected if key not in full]),
        _listed("unexpected", [key for key in full if key not in expected]),
        _listed(
            "of another shape",
            [
                f"{key} {tuple(full[key].shape)} instead of {tuple(tensor.shape)}"
                for key, tensor in expected.items()
                if key in full and full[key].shape != tensor.shape
            ],
        ),
    ]
    text = "; ".join(error for error in errors if error)
    if text:
        advice = _advice(dextr_head(state), dextr_head(expected))
        raise WeightsError(f"{source} does not fit the network {type(network).__name__}: {text}; {advice}")


def repeat_objects(state: Mapping[str, Tensor], num_objects: int) -> dict[str, Tensor]:
    """The state of a network for one object as that of one for `num_objects`.

    Args:
        state: of a propagation network with one object; not changed.
        num_objects: K, at least 1.

    Returns:
        The same state with the rows of `score_dsn` and `fuse` repeated K times.

    Raises:
        WeightsError: the state is of several objects already.
    """
    repeated = dict(state)
    for key, tensor in state.items():
        if not key.startswith(_PER_OBJECT) or tensor.ndim == 0:
            continue
        if len(tensor) != 1:
            raise WeightsError(
                f"expected the weights of one object, {key} has {len(tensor)} rows; "
                "start from the parent network, not from one that was fine-tuned on several objects"
            )
        repeated[key] = tensor.repeat(num_objects, *[1] * (tensor.ndim - 1))
    return repeated


def dextr_head(state: Mapping[str, Tensor]) -> Head | None:
    """Which head a DEXTR state has, by its keys; None when it is no DEXTR state."""
    if any(key.startswith("layer5.stages.") for key in state):
        return "psp"
    if any(key.startswith("layer5.conv2d_list.") for key in state):
        return "atrous"
    return None


def save(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a state as safetensors, whole or not at all; the same state and metadata make the same bytes.

    Args:
        path: file to write, `.safetensors`; parent folders are made.
        state: tensors on any device.
        metadata: settings and scores of the network, text by name.
    """
    # copies, since safetensors refuses tensors that share memory
    tensors = {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in state.items()}
    # by way of bytes, so that a full disk is an OSError like any other
    content = _with_sorted_metadata(serialised(tensors, dict(metadata or {})))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _with_sorted_metadata(content: bytes) -> bytes:
    """The bytes of a safetensors file with its metadata in order; the library writes them in random order."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at multiples of eight bytes
    return b"".join([len(text).to_bytes(8, "little"), text, memoryview(content)[end:]])


def _with_counts(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with a count of 0 where it lacks the `num_batches_tracked` of a network's state."""
    counts = (key for key in expected if key.endswith("num_batches_tracked"))
    return dict.fromkeys(counts, torch.tensor(0)) | dict(state)


def _read_safetensors(path: Path) -> object:
    try:
        loaded: object = load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is a broken safetensors file ({error}); {FETCH_AGAIN}") from None
    return loaded


def _read_pickle(path: Path, start: bytes) -> object:
    if start.startswith(b"PK"):
        _check_archive(path)
    elif not start.startswith(b"\x80") and path.suffix.lower() not in _SUFFIXES:
        got = path.suffix or "a file without a suffix"
        raise WeightsError(f"{path} is not a checkpoint; expected a .pth or .safetensors file, got {got}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch would warn about is raised below
            loaded: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers raise many kinds on broken files
        raise WeightsError(f"{path} {_unpickling_error(error, start)}") from error
    return loaded


def _unpickling_error(error: Exception, start: bytes) -> str:
    save_again = "where it was made, save network.state_dict() alone with torch.save"
    # PyTorch names what it refuses to call as "GLOBAL module.name"
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if refused:
        called = refused.group(1)
        return f"holds more than tensors ({called}) and is not loaded, to run no foreign code; {save_again}"
    if "Unsupported operand" in str(error) and start.startswith((b"PK", b"\x80")):
        return f"is a Python pickle that can run code, and is not loaded; {save_again}"
    reason = type(error).__name__
    if not isinstance(error, pickle.UnpicklingError) and str(error):
        reason = str(error).splitlines()[0]
    return f"is not a checkpoint or is broken ({reason}); {FETCH_AGAIN}"


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            unfolded = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # of many kinds where the directory is damaged
        raise WeightsError(f"the checkpoint {path} is cut short or broken; {FETCH_AGAIN}") from None
    if not any(name.endswith("data.pkl") for name in names):
        raise WeightsError(
            f"{path} is an archive of {_some(names)}; unpack it and give the checkpoint inside"
        )
    if unfolded > path.stat().st_size:
        raise WeightsError(f"{path} is compressed, which torch.save never does; {FETCH_AGAIN}")


def _listed(what: str, keys: list[str]) -> str:
    return f"{len(keys)} {what} ({_some(keys)})" if keys else ""


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (", …" if len(listed) > _SHOWN else "")


def _advice(found: Head | None, wanted: Head | None) -> str:
    if found is not None and wanted is not None and found != wanted:
        return f"it has the {found} head, make the network with head={found!r}"
    return "take the checkpoint that was made for this network"
