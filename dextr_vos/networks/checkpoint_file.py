"""The file of a checkpoint, as far as it is known without its tensors; needs no PyTorch."""

from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError, safe_open

from dextr_vos.errors import WeightsError

# first bytes of files that are not checkpoints, and what the message says of them
_IMPOSTORS = (
    (b"<", "is a web page, not a checkpoint; the address it came from has moved or asks for a login"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the checkpoint itself; run git lfs pull"),
    (b"\x89HDF", "is an HDF5 (Keras) file; dextr-vos convert makes a .safetensors of it, which is read"),
    (b"MATLAB", "is a MATLAB file; of those only vgg_caffe.mat is read, as the start of an OSVOS parent"),
    (b"\x1f\x8b", "is a gzip archive; unpack it and give the checkpoint inside"),
)
# safetensors begins with eight bytes of length, which may look like anything, then a JSON object
_HEADER = b"{"
FETCH_AGAIN = "the download was probably cut short, fetch it again"


def read_metadata(path: Path) -> dict[str, str]:
    """The text that `save` put beside the tensors; empty when there is none.

    Raises:
        WeightsError: the file is missing, broken, or not safetensors.
    """
    if not is_safetensors(path, first_bytes(path)):
        raise WeightsError(f"{path} is not a safetensors file, only those carry settings beside the weights")
    try:
        with safe_open(path, framework="numpy") as opened:
            return dict(opened.metadata() or {})
    except SafetensorError as error:
        raise WeightsError(f"{path} is broken ({error}); {FETCH_AGAIN}") from None


def tensor_names(path: Path) -> frozenset[str]:
    """Names of the tensors in a safetensors file; empty for any other file, and for none.

    Raises:
        WeightsError: the file is broken.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
        if not is_safetensors(path, start):
            return frozenset()
        with safe_open(path, framework="numpy") as opened:
            return frozenset(opened.keys())
    except OSError:
        return frozenset()  # whoever reads the tensors says what is wrong
    except SafetensorError as error:
        raise WeightsError(f"{path} is broken ({error}); {FETCH_AGAIN}") from None


def is_lite_clicks(names: Collection[str]) -> bool:
    """Whether tensors of these names are those of `LiteClicks`."""
    return "decoder.prompts.frequencies" in names and "key.weight" not in names


def first_bytes(path: Path) -> bytes:
    """The first bytes of a file that may be a checkpoint."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError:
        raise WeightsError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise WeightsError(f"cannot read the checkpoint {path}: {error.strerror}") from None
    if not start:
        raise WeightsError(f"the checkpoint {path} is empty; {FETCH_AGAIN}")
    if start[8:9] == _HEADER:
        return start
    for beginning, what in _IMPOSTORS:
        if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(beginning):
            raise WeightsError(f"{path} {what}")
    return start


def is_safetensors(path: Path, start: bytes) -> bool:
    """Whether a file that starts like that is safetensors, or should be by its name."""
    return start[8:9] == _HEADER or path.suffix == ".safetensors"
