"""Masks of finished pictures, in the folder they were asked for: 8-bit grey PNG, or arrays of uint8."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path
from dextr_vos.masks import VOID, Labels, read_labels
from dextr_vos.web.image_folder.settings import FolderSettings


class WrittenMasks:
    """Where masks go, by picture; this tool's and those of whoever worked here before.

    Args:
        settings: of the session.
    """

    def __init__(self, settings: FolderSettings) -> None:
        self._folder = settings.required.destination
        self._end = f"{settings.optional.mask_suffix}.{settings.optional.save_format}"

    def path(self, name: str) -> Path:
        """Where the mask of a picture goes."""
        return self._folder / f"{Path(name).stem}{self._end}"  # of a name with several dots, all but the last

    def exists(self, name: str) -> bool:
        """Whether a picture has a mask there."""
        return self.path(name).exists()

    def write(self, name: str, labels: Labels) -> None:
        """Write object numbers, H×W uint8, atomically."""
        path, buffer = self.path(name), io.BytesIO()
        if path.suffix == ".npy":
            np.save(buffer, labels)
        else:
            Image.fromarray(np.ascontiguousarray(labels)).save(buffer, format="PNG")
        with atomic_path(path) as temporary:
            temporary.write_bytes(buffer.getvalue())

    def read(self, name: str, size_hw: tuple[int, int]) -> Labels | None:
        """The mask of a picture, H×W uint8; None where there is none.

        Raises:
            InputError: it cannot be read, or is not of the picture's size.
        """
        path = self.path(name)
        if not path.exists():
            return None
        try:
            return _read_array(path, size_hw) if path.suffix == ".npy" else read_labels(path, size_hw)
        except InputError as fault:
            raise InputError(f"{fault}; or move it elsewhere to begin {name} anew") from None


def _read_array(path: Path, size_hw: tuple[int, int]) -> Labels:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as fault:
        raise InputError(f"cannot read the mask {path}: {fault}; save it again with numpy.save") from None
    if values.shape != size_hw or values.dtype.kind not in "bui":
        raise InputError(
            f"the mask {path} is an array of {values.dtype} and shape {values.shape}, expected object "
            f"numbers of shape {size_hw}; save it again"
        )
    if values.size and (values.min() < 0 or values.max() > VOID):
        raise InputError(f"the mask {path} holds {values.min()} to {values.max()}, expected 0 to {VOID}")
    labels: Labels = values.astype(np.uint8)
    binary = np.count_nonzero(labels) == np.count_nonzero(labels == VOID)
    return (labels == VOID).astype(np.uint8) if binary else labels
