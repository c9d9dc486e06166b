"""Archives of others, unpacked into one folder and nothing beside it, or not at all."""

import errno
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.interrupt import StopAsked, never

_MAX_RATIO = 20  # JSON is packed eight times smaller
_LEAST_LIMIT_BYTES = 10**7
_CHUNK_BYTES = 2**20
_SHOWN = 3
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,  # names that are not UTF-8, too
)
# of an OSError that the archive causes, not the disk: the decoders raise it without a number, and a name may
# be too long, or be that of a file and of a folder
_OF_NAMES = (None, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


@dataclass(frozen=True)
class _Member:
    """A file in an archive.

    Attributes:
        name: its path there.
        open: opens its contents.
    """

    name: str
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path,
    inside: str,
    target: Path,
    on_bytes: Callable[[int, int], None] = lambda done, total: None,
    stop_asked: StopAsked = never,
    check: Callable[[Path], object] = lambda path: None,
) -> None:
    """Unpack a part of an archive, whole or not at all.

    Args:
        archive: zip or tar, with any compression.
        inside: the folder or the file of the archive to unpack; "" for all of it.
        target: what it becomes; must not exist.
        on_bytes: called with bytes of the archive that were read, and its size.
        stop_asked: asked before every file.
        check: called with what was unpacked before it takes its place; what it raises refuses the archive.

    Raises:
        InputError: the archive is broken, or has links, paths that lead out of it, a name twice, far more
            than it should, or not what is looked for.
        OSError: the disk is full, or cannot be written.
        Interrupted: a stop was asked for.
    """
    temporary = archive.with_name(f"{archive.name}.unpacked")
    _remove(temporary)
    try:
        with _broken_is_one_sentence(archive):
            names = _unpack_to(temporary, archive, inside, on_bytes, stop_asked)
        if not temporary.exists():
            found = ", ".join(names[:_SHOWN]) or "nothing"
            raise InputError(f"{archive} holds {found}; expected {inside or 'files'}")
        check(temporary)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(target)
    finally:
        _remove(temporary)


def _unpack_to(
    folder: Path, archive: Path, inside: str, on_bytes: Callable[[int, int], None], stop_asked: StopAsked
) -> list[str]:
    """Unpack what is inside; returns the names of all files in the archive."""
    size = archive.stat().st_size
    limit = max(_MAX_RATIO * size, _LEAST_LIMIT_BYTES)
    names: list[str] = []
    with archive.open("rb") as raw:
        for member in _members(raw, archive):
            if stop_asked():
                raise Interrupted(f"stopped while unpacking {archive.name}; the same command resumes")
            names.append(member.name)
            place = _below(member.name, inside)
            if place is not None:
                limit -= _write(member, folder / place, limit, archive)
            on_bytes(raw.tell(), size)
    return names


@contextmanager
def _broken_is_one_sentence(archive: Path) -> Iterator[None]:
    try:
        yield
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _OF_NAMES:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{archive} is cut short or broken ({reason}); download it again") from None


def _members(raw: IO[bytes], archive: Path) -> Iterator[_Member]:
    """The files of an archive; folders follow from their names."""
    if zipfile.is_zipfile(raw):
        with zipfile.ZipFile(raw) as packed:
            for entry in packed.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if entry.is_dir() or kind == stat.S_IFDIR:
                    continue
                _check_member(entry.filename, kind in (0, stat.S_IFREG), archive)
                yield _Member(entry.filename, partial(packed.open, entry))
        return
    raw.seek(0)
    with tarfile.open(fileobj=raw, mode="r:*") as packed_tar:
        for item in packed_tar:
            if item.isdir():
                continue
            _check_member(item.name, item.isreg(), archive)
            yield _Member(item.name, partial(_extracted, packed_tar, item))


def _extracted(packed: tarfile.TarFile, item: tarfile.TarInfo) -> IO[bytes]:
    content = packed.extractfile(item)
    assert content is not None  # of a regular file
    return content


def _check_member(name: str, is_regular: bool, archive: Path) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise InputError(f"{archive} holds {name!r}, which may lead out of its folder; it is not unpacked")
    if not is_regular:
        raise InputError(f"{archive} holds {name!r}, which is a link or a device; it is not unpacked")


def _below(name: str, inside: str) -> PurePosixPath | None:
    """Where a member belongs below the target; None where it does not."""
    path, folder = PurePosixPath(name), PurePosixPath(inside)
    if inside and path.parts[-len(folder.parts) :] == folder.parts:
        return PurePosixPath()  # the file itself, in whatever folder it is
    return path.relative_to(folder) if path.is_relative_to(folder) else None


def _write(member: _Member, path: Path, limit: int, archive: Path) -> int:
    """Write a file of at most `limit` bytes; returns how many it has."""
    if path.is_file():
        raise InputError(f"{archive} holds {member.name!r} twice; it is not unpacked")
    _make_folder(path.parent)
    written = 0
    with member.open() as content, path.open("xb") as file:
        while piece := content.read(_CHUNK_BYTES):
            written += len(piece)
            if written > limit:
                raise InputError(
                    f"{archive} unpacks to more than {_MAX_RATIO} times its size and is not unpacked"
                )
            file.write(piece)
    return written


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # a file, which the archive holds as a folder, too
        raise NotADirectoryError(errno.ENOTDIR, "a file is a folder, too", error.filename) from None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
