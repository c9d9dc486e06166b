"""Atomic writes, after which a file is either complete or absent; links; JSON; digests and order of files."""

import codecs
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from dextr_vos.errors import InputError

# the mark of UTF-32 begins with that of UTF-16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


# of file systems that cannot be asked to write to the disk at once
_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
_SYNCED_AT_ONCE = 16  # threads, which only wait
TEMPORARY = ".dextr-vos-"
# the machine and the process that write it, see `_writer`
_TEMPORARY_NAME = re.compile(re.escape(TEMPORARY) + r"(?:([0-9a-f]{8})-(\d+)-)?[a-z0-9_]{8}(\.[^.]*)?")
# by this process: folders, and temporary files
_swept: set[Path] = set()
_writing: set[Path] = set()


@contextmanager
def atomic_path(path: Path, durable: bool = False) -> Iterator[Path]:
    """A temporary path that replaces `path` if the block succeeds, and is removed otherwise.

    Parent folders are created. The temporary name keeps the suffix, which some writers depend on. The first
    time that a process writes into a folder, it removes what killed writers left there.

    Args:
        path: of the file.
        durable: the file is on the disk before it replaces the older one: work of people must survive a power
            cut. That takes milliseconds, which the many files that can be made again do not wait for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.absolute()
    if folder not in _swept:
        _swept.add(folder)
        sweep_temporaries(folder)
    opened, name = tempfile.mkstemp(prefix=TEMPORARY + _writer(), suffix=path.suffix, dir=folder)
    os.close(opened)
    temporary = Path(name)
    _writing.add(temporary)
    try:
        yield temporary
        # mkstemp makes files private; set the permissions that the umask gives
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        if durable:
            sync(temporary)
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError):  # that of a full disk does not name the file
            error.filename = error.filename or str(path)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    finally:
        _writing.discard(temporary)
    if durable:
        sync(path.parent)


@cache
def _machine() -> str:
    """What tells apart machines, and containers of one, whose numbers of processes have nothing in common."""
    processes = ""
    with suppress(OSError):
        processes = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{os.uname().nodename} {processes}".encode()).hexdigest()[:8]


def _writer() -> str:
    """How the names of this process's temporary files go on, so that nobody takes it for dead."""
    return f"{_machine()}-{os.getpid()}-"


class Unsynced:
    """Files and folders that were changed and may not be on the disk yet: they are waited for together.

    Most file systems write all of them in the time that one takes.
    """

    def __init__(self) -> None:
        self._paths: dict[Path, Callable[[], object] | None] = {}

    def add(self, path: Path, undo: Callable[[], object] | None = None) -> None:
        """Wait for a file's content, or the names in a folder, the next time.

        Args:
            path: of the file or folder.
            undo: called where one of those that are waited for cannot be written. A disk may report a lost
                page only once, so a file that failed must not stay to be waited for a second time.
        """
        self._paths[path] = undo

    def discard(self, path: Path) -> None:
        """Do not wait for a file any more."""
        self._paths.pop(path, None)

    def wait(self) -> None:
        """Wait until all of them are on the disk.

        Raises:
            OSError: one cannot be written there; everything that can be undone is.
        """
        waiting, self._paths = self._paths, {}
        try:
            _sync_all([path for path in waiting if path.exists()])
        except BaseException:
            for undo in waiting.values():
                if undo is not None:
                    undo()
            raise


def _sync_all(paths: Sequence[Path]) -> None:
    if len(paths) > 1:
        with suppress(RuntimeError):  # no thread can be started: one after the other
            with ThreadPoolExecutor(min(len(paths), _SYNCED_AT_ONCE)) as threads:
                list(threads.map(sync, paths))
            return
    for path in paths:
        sync(path)


@contextmanager
def staged(path: Path, content: bytes, unsynced: Unsynced) -> Iterator[None]:
    """Write a file that takes its place once the block has succeeded, and is removed otherwise.

    Several in one `ExitStack` change together: whatever a full disk refuses is refused before the first of
    them takes its place, if the block waits for `unsynced`. The one that was entered first is the last. The
    change is on the disk once `unsynced` is waited for again.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        unsynced.add(temporary)
        try:
            yield
        finally:
            unsynced.discard(temporary)
    unsynced.add(path.parent)


def remove(path: Path, unsynced: Unsynced | None = None) -> None:
    """Remove a file, if it is there, so that it does not come back after a power cut."""
    with suppress(FileNotFoundError):
        path.unlink()
        if unsynced is None:
            sync(path.parent)
        else:
            unsynced.add(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; for names, where the system can be asked.

    Raises:
        OSError: a file cannot be written there.
    """
    if path.is_dir():
        with suppress(OSError):
            _sync(os.open(path, os.O_RDONLY))
        return
    try:
        _sync(os.open(path, os.O_RDWR))
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            error.filename = str(path)
            raise


def _sync(opened: int) -> None:
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def is_temporary(path: Path) -> bool:
    """Whether a file or folder has the name of one that only this package makes, and removes."""
    return _TEMPORARY_NAME.fullmatch(path.name) is not None


def sweep_temporaries(folder: Path) -> None:
    """Remove what killed writers of `atomic_path` on this machine left in a folder.

    Files that cannot be removed stay.
    """
    with suppress(OSError), os.scandir(folder.absolute()) as entries:
        for entry in entries:
            name = _TEMPORARY_NAME.fullmatch(entry.name)
            if name and entry.is_file(follow_symlinks=False) and not _is_written(Path(entry), name):
                with suppress(OSError):
                    Path(entry).unlink()


def _is_written(temporary: Path, name: re.Match[str]) -> bool:
    """Whether somebody may be writing a temporary file; nobody is whose process its name does not tell."""
    machine, process = name[1], name[2]
    if machine is None:
        return False
    if machine != _machine():
        return True
    if int(process) == os.getpid():
        return temporary in _writing
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's, or none at all
        return True
    return True


def refuse_links(*paths: Path) -> None:
    """Refuse symbolic links among files that are going to be changed or removed: they may lead anywhere.

    Args:
        paths: files and folders, with all that is in these; they need not exist.

    Raises:
        InputError: one is a symbolic link.
    """
    for path in paths:
        with suppress(FileNotFoundError):  # others may remove files meanwhile
            if path.is_symlink():
                raise InputError(
                    f"{path} is a symbolic link to {path.readlink()}, whose files would be changed; "
                    "replace it by a copy, or remove it"
                )
            if path.is_dir():
                with os.scandir(path) as entries:
                    inner = [Path(entry) for entry in entries if entry.is_symlink() or entry.is_dir()]
                refuse_links(*inner)


def cache_folder(name: str) -> Path:
    """`dextr-vos/<name>` in the user's cache folder: XDG_CACHE_HOME, or ~/.cache."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "dextr-vos" / name


def read_text(path: Path) -> str:
    """The text of a file in UTF-8 or UTF-16, with or without a byte-order mark; line ends are newlines.

    Windows programs write such marks, and Windows PowerShell writes UTF-16.

    Raises:
        OSError: it cannot be read.
        InputError: it is not such a text.
    """
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and 0 in content[:2]:
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file; expected text in UTF-8 or UTF-16") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def write_text(path: Path, text: str, durable: bool = False) -> None:
    """Write a UTF-8 text file atomically, see `atomic_path`."""
    with atomic_path(path, durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal.

    Raises:
        InputError: there is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(f"there is no file {path}") from None


def files_state(files: Iterable[Path]) -> str:
    """A digest of names, sizes and times of modification; "" without files, or where one cannot be found.

    It says quickly that files are unchanged; of files that are copied it may differ.
    """
    try:
        states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError:
        return ""
    return hashlib.sha256(repr(states).encode(errors="surrogateescape")).hexdigest() if states else ""


def digest_or_empty(path: Path) -> str:
    """The file's digest; "" where it cannot be read at the moment."""
    try:
        return file_digest(path)
    except (InputError, OSError):
        return ""


def read_json(path: Path) -> Any:
    """Decode a JSON file.

    Raises:
        InputError: missing or not JSON; the sentence gives line and column.
    """
    try:
        return json.loads(read_text(path), object_pairs_hook=_without_repeats)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; expected a JSON file") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError) as error:  # a duplicate key, endless digits or brackets
        raise InputError(f"{path} cannot be read as JSON: {error}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one with a duplicate key, whose first value would be lost, is refused."""
    content = dict(pairs)
    if len(content) < len(pairs):
        repeated = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {repeated!r} is there twice")
    return content


def check_unicode(path: Path) -> None:
    """Refuse a name that no text file could hold.

    Raises:
        InputError: it is not in UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"the name of {str(path)!a} is not in UTF-8; rename it") from None


def natural_key(name: str) -> tuple[list[tuple[int, int | str]], str]:
    """Sorting key that compares numbers inside names by value: `f2` before `f10`."""
    parts = re.split(r"([0-9]+)", name)
    numbered: list[tuple[int, int | str]] = [
        (0, int(part)) if i % 2 else (1, part.casefold()) for i, part in enumerate(parts) if part
    ]
    return numbered, name  # the name decides between 1.png and 01.png
