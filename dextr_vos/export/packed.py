"""Exports of other programs as they are sent: in ZIP files, and in a folder around a format's own."""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dextr_vos.errors import InputError
from dextr_vos.export.formats.imported import ImportedFrame
from dextr_vos.export.formats.registry import FORMATS

MAX_BYTES = 4_000_000_000  # of what a ZIP file holds


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A file or folder as it is; of a ZIP file a folder with what it holds, which goes after the block.

    What fails in the block names the ZIP file in place of the folder.

    Raises:
        InputError: see `unpack_zip`.
    """
    if path.suffix.lower() != ".zip" or not path.is_file():
        yield path
        return
    with TemporaryDirectory(prefix="dextr-vos-import-") as folder:
        unpack_zip(path, Path(folder))
        try:
            yield Path(folder)
        except InputError as error:
            message = str(error).replace(folder, str(path))
            raise InputError(message if str(path) in message else f"{path}: {message}") from None


def unpack_zip(path: Path, target: Path) -> None:
    """Unpack a ZIP file into a folder.

    Raises:
        InputError: it is damaged, or holds too much; the folder is removed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
            if total > MAX_BYTES:
                raise InputError(
                    f"{path.name} holds more than {MAX_BYTES // 10**9} GB; unpack it, and give the folder to "
                    "dextr-vos import"
                )
            archive.extractall(target)
    except (zipfile.BadZipFile, RuntimeError) as error:
        # zipfile raises a RuntimeError where a password is needed, or a compression that it does not know
        shutil.rmtree(target, ignore_errors=True)
        raise InputError(f"{path.name} is no ZIP file that can be read ({error}); choose another") from None


def frames_inside(folder: Path, name: str) -> tuple[Path, list[ImportedFrame]]:
    """The file or folder of a format that lies in a folder, or in one alone in it, and its frames.

    Args:
        folder: what was sent.
        name: of the format, one of `FORMATS`.

    Raises:
        InputError: nothing of the format is there.
    """
    chosen = FORMATS[name]
    if chosen.suffix:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        fitting = [path for path in files if path.suffix.lower() == chosen.suffix]
        if len(fitting) != 1:
            raise InputError(
                f"expected one {chosen.suffix} file of {chosen.title}, got {len(fitting)}; choose it"
            )
        return fitting[0], chosen.read(fitting[0])
    failed: InputError | None = None
    while True:
        try:
            frames = chosen.read(folder)
            if frames:
                return folder, frames
        except InputError as error:
            failed = failed or error
        inside = list(folder.iterdir())
        if len(inside) != 1 or not inside[0].is_dir():
            raise failed or InputError(f"there is no mask of {chosen.title} in what was sent")
        folder = inside[0]
