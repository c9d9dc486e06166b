import json
import os
import re
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dextr_vos.config import top_level_value
from dextr_vos.datasets.layout import read_list
from dextr_vos.errors import InputError
from dextr_vos.export.formats.labelled import read_label_set
from dextr_vos.export.page import read_scores
from dextr_vos.files import (
    Unsynced,
    atomic_path,
    read_json,
    read_text,
    staged,
    sweep_temporaries,
    write_text,
)
from dextr_vos.run_files import keyframe_names
from dextr_vos.web.image_folder.files import FORMAT, ProgressFile


def test_a_file_takes_its_place_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "one")
    write_text(path, "zwei ä")
    assert path.read_text(encoding="utf-8") == "zwei ä"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


WRITE = """
import sys
from pathlib import Path
from dextr_vos.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("half", flush=True)
    temporary.write_text(sys.stdin.readline())
"""


@contextmanager
def half_written(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has written half of a file, and writes a line that it is sent instead."""
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        yield writer


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_next_writer_in_a_folder_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    with half_written(tmp_path / "a.txt") as writer:
        writer.kill()
    assert len(names(tmp_path)) == 1
    write_text(tmp_path / "b.txt", "b")
    assert names(tmp_path) == ["b.txt"]


def test_the_file_of_a_writer_that_lives_stays(tmp_path: Path) -> None:
    with half_written(tmp_path / "a.txt") as writer:
        write_text(tmp_path / "b.txt", "b")
        sweep_temporaries(tmp_path)
        assert len(names(tmp_path)) == 2
        assert writer.communicate("whole", timeout=600)[0] == ""
    assert writer.returncode == 0
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert names(tmp_path) == ["a.txt", "b.txt"]


def test_only_files_with_the_names_of_temporary_ones_are_removed_and_no_links(tmp_path: Path) -> None:
    foreign, folder = tmp_path / "foreign.txt", tmp_path / "folder"
    foreign.write_text("mine")
    for name in (
        ".dextr-vos-abcdefgh",
        ".dextr-vos-abcd_123.png",
        ".dextr-vos-notes",
        "x.dextr-vos-abcdefgh",
    ):
        write_text(folder / name, "x")
    (folder / ".dextr-vos-linked00.txt").symlink_to(foreign)
    (folder / ".dextr-vos-folder00").mkdir()
    os.mkfifo(folder / ".dextr-vos-fifo0000")  # opening one would wait
    sweep_temporaries(folder)
    left = {".dextr-vos-folder00", ".dextr-vos-linked00.txt", ".dextr-vos-notes", "x.dextr-vos-abcdefgh"}
    assert set(names(folder)) == {*left, ".dextr-vos-fifo0000"}
    assert foreign.read_text() == "mine"


def test_what_a_writer_on_another_machine_writes_stays(tmp_path: Path) -> None:
    """Nobody here can tell whether it lives."""
    with atomic_path(tmp_path / "a.txt") as temporary:
        name = re.fullmatch(r"\.dextr-vos-([0-9a-f]{8})-(\d+)-\w{8}\.txt", temporary.name)
    assert name is not None
    machine, process = name.groups()
    another = f"{int(machine, 16) ^ 1:08x}"
    assert process == str(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    for name in (f"{machine}-{dead.pid}", f"{another}-{dead.pid}", f"{machine}-{'9' * 30}"):
        (tmp_path / f".dextr-vos-{name}-abcdefgh.txt").touch()
    sweep_temporaries(tmp_path)
    assert names(tmp_path) == sorted(
        [
            f".dextr-vos-{another}-{dead.pid}-abcdefgh.txt",
            f".dextr-vos-{machine}-{'9' * 30}-abcdefgh.txt",
            "a.txt",
        ]
    )


def test_more_files_than_a_process_may_open_change_together(tmp_path: Path) -> None:
    unsynced, most = Unsynced(), resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 30, most[1]))
    try:
        with ExitStack() as stack:
            for index in range(60):
                stack.enter_context(staged(tmp_path / f"{index}.txt", b"x", unsynced))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    assert len(names(tmp_path)) == 60


def test_files_are_as_readable_as_others(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_texts_of_windows_programs_are_read(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_bytes('{"ä": [1,\r\n2]}\r\n'.encode(encoding))
    assert read_text(path) == '{"ä": [1,\n2]}\n'
    assert read_json(path) == {"ä": [1, 2]}


FIGURES = dict.fromkeys(("mean", "recall", "decay"), 1.0)
SCORES = {"all_frames": {"objects": {"ä": {"J": FIGURES, "F": FIGURES}}}}
PROGRESS = {"format": FORMAT, "images": {"a.png": "done"}}
READERS = {
    "JSON": (read_json, "{}"),
    "label set": (read_label_set, "Hündchen\n"),
    "progress": (
        lambda path: ProgressFile(path).known(),
        f'{{"format": "{FORMAT}", "images": {{"ä.png": "done"}}}}',
    ),
    "split list": (read_list, "ä\n"),
    "settings": (lambda path: top_level_value(path, "root"), "root: ä\n"),
    "scores": (read_scores, json.dumps(SCORES, ensure_ascii=False)),
    "record": (keyframe_names, '{"keyframes": ["ä"]}'),
}


@pytest.mark.parametrize("kind", READERS)
def test_every_kind_of_text_file_is_read_in_utf_16(tmp_path, kind):
    read, text = READERS[kind]
    paths = [tmp_path / f"{encoding}.txt" for encoding in ("utf-8", "utf-8-sig", "utf-16")]
    for path in paths:
        path.write_bytes(text.encode(path.stem))
    first, *others = map(read, paths)
    assert first or kind == "JSON"
    assert others == [first, first]


@pytest.mark.parametrize("content", [b"\xff\xfea", b"a\xffb"])
@pytest.mark.parametrize("read", [read_text, read_json, read_label_set])
def test_what_is_no_text_is_refused(tmp_path, content, read):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json is not a text file; expected text in UTF-8 or UTF-16"):
        read(tmp_path / "a.json")
