import errno
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.folder_lock import FolderLock, locked, put_aside, scratch_beside

HOLD = """
import sys
from pathlib import Path
from dextr_vos.folder_lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def an_hour_old(*folders: Path) -> None:
    for folder in folders:
        os.utime(folder, (time.time() - 3600,) * 2)


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        lock = FolderLock(folder)
        assert not lock.try_acquire()
        who = rf"{folder} is in use by process {other.pid} on {socket.gethostname()} since 20\S+Z; wait"
        with pytest.raises(InputError, match=who):
            lock.acquire()
        other.kill()
        other.wait()
        with FolderLock(folder):
            assert f"process {os.getpid()} " in lock.message


def test_a_lock_is_exclusive_within_a_process_and_free_after_the_block(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(InputError, match="is in use by"), FolderLock(tmp_path):
        pass
    with FolderLock(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("content", ["", "[]", '{"pid": 1}', "\x00"])
def test_a_damaged_note_on_the_holder_does_not_matter(tmp_path: Path, content: str) -> None:
    with FolderLock(tmp_path) as lock:
        (tmp_path / ".lock.json").write_text(content)
        assert lock.message == f"{tmp_path} is in use by another process"


def test_waiting_ends_with_the_holder_or_with_a_stop(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(Interrupted, match="the same command resumes"):
        second.wait(lambda: True, poll_s=0.01)

    def other_ends() -> bool:
        first.release()
        return False

    second.wait(other_ends, poll_s=0.01)
    with second:
        assert not first.try_acquire()
    assert first.try_acquire()
    first.release()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_lock_ends_where_its_folder_is_removed_or_replaced(tmp_path: Path, replaced: bool) -> None:
    folder = tmp_path / "work"
    first, second = FolderLock(folder), FolderLock(folder)
    first.acquire()
    assert first.is_held
    shutil.rmtree(folder)
    if replaced:
        second.acquire()
    assert not first.is_held
    first.release()
    assert second.is_held == replaced
    assert (folder / ".lock.json").exists() == replaced, "that of the second stays"
    second.release()


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file is a file; expected a folder"):
        FolderLock(tmp_path / "file").acquire()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_new_folder_is_locked_from_the_start_and_goes_away_where_nothing_came_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "new"

    def fail(after: Callable[[], object]) -> None:
        with locked(folder):
            after()
            raise InputError("nothing came of it")

    with pytest.raises(InputError, match="nothing came"):
        fail(lambda: None)
    assert not folder.exists()
    with pytest.raises(InputError, match="nothing came"):
        fail((folder / "mine").touch)
    assert (folder / "mine").exists()
    with locked(folder):
        assert not FolderLock(folder).try_acquire()


def test_scratch_folders_of_killed_processes_go_away_and_those_in_use_stay(tmp_path: Path) -> None:
    target = tmp_path / "out"
    abandoned, foreign = tmp_path / ".dextr-vos-abcd1234", tmp_path / ".dextr-vos-notes"
    abandoned.mkdir()
    foreign.mkdir()
    an_hour_old(abandoned, foreign)
    with scratch_beside(target) as first:
        (first / "mine").write_text("x")
        with scratch_beside(target) as second:
            assert first != second
            an_hour_old(first)
            with scratch_beside(target):
                assert (first / "mine").exists()
            assert not abandoned.exists()
    assert list(tmp_path.iterdir()) == [foreign]


def test_a_process_killed_between_two_renames_loses_no_earlier_export(tmp_path: Path) -> None:
    target = tmp_path / "out"
    killed = tmp_path / ".dextr-vos-abcd1234"
    for folder in (target, killed / "out"):
        folder.mkdir(parents=True)
        (folder / "file").write_text(folder.parent.name)
    put_aside(target, killed)
    assert not target.exists()
    an_hour_old(killed)
    with scratch_beside(tmp_path / "another"):
        assert (target / "file").read_text() == tmp_path.name
    assert list(tmp_path.iterdir()) == [target]


def test_what_was_put_aside_does_not_replace_what_came_after_it(tmp_path: Path) -> None:
    target, killed = tmp_path / "out.json", tmp_path / ".dextr-vos-abcd1234"
    killed.mkdir()
    target.write_text("old")
    put_aside(target, killed)
    target.write_text("new")
    an_hour_old(killed)
    with scratch_beside(target):
        assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_scratch_folder_that_is_not_locked_yet_is_left_alone(tmp_path: Path) -> None:
    started = tmp_path / ".dextr-vos-abcd1234"
    started.mkdir()
    with scratch_beside(tmp_path / "out"):
        assert started.exists()


def test_scratch_folders_need_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", without_locks)
    abandoned = tmp_path / ".dextr-vos-abcd1234"
    abandoned.mkdir()
    an_hour_old(abandoned)
    with scratch_beside(tmp_path / "out") as scratch:
        assert scratch.is_dir()
    assert list(tmp_path.iterdir()) == [abandoned]


@pytest.mark.parametrize(("error", "held"), [(errno.EIO, True), (errno.ESTALE, True), (errno.ENOENT, False)])
def test_a_disk_that_does_not_answer_has_not_lost_the_folder(
    error: int, held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FolderLock(tmp_path) as lock:
        assert lock.is_held

        def failing(path: Path, **_: object) -> os.stat_result:
            raise OSError(error, os.strerror(error), str(path))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", failing)
            assert lock.is_held == held


def test_what_a_killed_holder_was_writing_goes_with_the_next_lock(tmp_path: Path) -> None:
    (tmp_path / ".dextr-vos-abcd1234.json").touch()
    (tmp_path / ".dextr-vos-mine.json").touch()
    with FolderLock(tmp_path):
        names = {path.name for path in tmp_path.iterdir()}
    assert names == {".lock", ".lock.json", ".dextr-vos-mine.json"}
