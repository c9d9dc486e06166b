"""What is waited for until it is on the disk: after that it survives a power cut."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dextr_vos.files import TEMPORARY, Unsynced, remove, staged, sync, write_text


class Disk:
    """What `os.fsync` was asked to write, in this order; it refuses the paths in `broken`."""

    def __init__(self, fsync: Callable[[int], None]) -> None:
        self.synced: list[Path] = []
        self.broken: dict[Path, int] = {}
        self._fsync = fsync

    def sync(self, opened: int) -> None:
        path = Path(f"/proc/self/fd/{opened}").readlink()
        self.synced.append(path)
        if code := self.broken.get(path):
            raise OSError(code, os.strerror(code))
        self._fsync(opened)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(os.fsync)
    monkeypatch.setattr(os, "fsync", disk.sync)
    return disk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def made(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.txt" for number in range(count)]
    for path in paths:
        path.write_text("x")
    return paths


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("has_threads", [True, False])
def test_all_is_waited_for_once(
    folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, count: int, has_threads: bool
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    if not has_threads:
        monkeypatch.setattr(threading.Thread, "start", refuse)
    paths, unsynced = made(folder, count), Unsynced()
    for path in (*paths, *paths):
        unsynced.add(path)
    unsynced.wait()
    assert set(disk.synced) == set(paths)
    disk.synced.clear()
    unsynced.wait()
    assert disk.synced == []


def test_what_is_gone_or_discarded_is_not_waited_for(folder: Path, disk: Disk) -> None:
    (gone, discarded, kept), unsynced = made(folder, 3), Unsynced()
    for path in (gone, discarded, kept):
        unsynced.add(path)
    gone.unlink()
    unsynced.discard(discarded)
    unsynced.wait()
    assert disk.synced == [kept]


@pytest.mark.parametrize("count", [1, 3])
def test_what_the_disk_refuses_is_undone_with_what_it_was_waited_for_together_and_nothing_earlier(
    folder: Path, disk: Disk, count: int
) -> None:
    (earlier, broken, *others), unsynced, undone = made(folder, 1 + count), Unsynced(), []

    def add(path: Path) -> None:
        unsynced.add(path, lambda: undone.append(path))

    add(earlier)
    unsynced.wait()
    for path in (broken, *others):
        add(path)
    unsynced.add(folder)  # which there is nothing to undo of
    disk.broken[broken] = errno.EIO
    with pytest.raises(OSError, match="Input/output error") as caught:
        unsynced.wait()
    assert caught.value.filename == str(broken)
    assert undone == [broken, *others]
    disk.synced.clear()
    unsynced.wait()  # the disk may say that it is written now, and it is not
    assert disk.synced == []


def test_a_staged_file_is_on_the_disk_before_it_takes_its_place_and_its_name_after(
    folder: Path, disk: Disk
) -> None:
    path, unsynced = folder / "a.txt", Unsynced()
    with staged(path, b"whole", unsynced):
        unsynced.wait()
        (temporary,) = disk.synced
        assert temporary.name.startswith(TEMPORARY)
        assert temporary.read_bytes() == b"whole"
        assert not path.exists()
    unsynced.wait()
    assert disk.synced == [temporary, folder]
    assert path.read_bytes() == b"whole"


def test_a_staged_file_that_is_taken_back_is_not_waited_for(folder: Path, disk: Disk) -> None:
    path, unsynced = folder / "a.txt", Unsynced()
    path.write_text("old")

    def refuse() -> None:
        with staged(path, b"whole", unsynced):
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        refuse()
    # its name may be that of another file by now
    other = folder / "b.txt"
    other.write_text("x")
    unsynced.add(other)
    unsynced.wait()
    assert disk.synced == [other]
    assert path.read_text() == "old"


def test_a_file_that_is_removed_does_not_come_back(folder: Path, disk: Disk) -> None:
    first, second = made(folder, 2)
    unsynced = Unsynced()
    for _ in range(2):  # the second time it is not there, which is no error
        remove(first)
        assert disk.synced == [folder]
    disk.synced.clear()
    remove(second, unsynced)
    assert disk.synced == []
    unsynced.wait()
    assert disk.synced == [folder]


def test_a_durable_file_is_on_the_disk_before_it_takes_its_place_and_its_name_after(
    folder: Path, disk: Disk
) -> None:
    write_text(folder / "a.txt", "x")
    assert disk.synced == []
    write_text(folder / "a.txt", "y", durable=True)
    assert disk.synced[0].name.startswith(TEMPORARY)
    assert disk.synced[1:] == [folder]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_be_asked_to_write_is_not_a_broken_one(
    folder: Path, disk: Disk, code: int
) -> None:
    (path,) = made(folder, 1)
    disk.broken = {path: code, folder: errno.EIO}
    sync(path)
    sync(folder)
    assert disk.synced == [path, folder]
    disk.broken[path] = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        sync(path)
