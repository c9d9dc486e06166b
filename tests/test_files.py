import stat
from pathlib import Path

import pytest

from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path, read_json, read_text, write_text


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


@pytest.mark.parametrize("content", [b"\xff\xfea", b"a\xffb"])
def test_what_is_no_text_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match="is not a text file; expected JSON in UTF-8 or UTF-16"):
        read_json(tmp_path / "a.json")
