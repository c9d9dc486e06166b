import os
from pathlib import Path

import pytest

from dextr_vos.datasets.instances import ObjectRef
from dextr_vos.datasets.layout import default_index_folder, indexed_refs
from dextr_vos.errors import InputError

REFS = [ObjectRef("a", 0, "cat", 12), ObjectRef("ü", 1, "dog", 7)]


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(b"1234")
    return paths


@pytest.fixture
def ask(tmp_path, files):
    """Asks for the objects and tells how often they have been counted so far."""
    counted = []

    def count():
        counted.append(1)
        return iter(REFS)

    def asked(paths=files, name="set-val", folder=tmp_path / "index"):
        assert indexed_refs(name, paths, count, folder) == REFS
        return len(counted)

    return asked


def test_objects_are_counted_once(ask):
    assert [ask(), ask()] == [1, 1]


def test_a_changed_data_set_is_counted_again(ask, files):
    ask()
    assert ask(files[:1]) == 2
    assert ask(name="set-train") == 3
    os.utime(files[0], (1e9, 2e9))
    assert ask() == 4
    files[1].write_bytes(b"12345")
    os.utime(files[1], (1e9, 1e9))
    assert ask() == 5
    assert ask() == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": "other", "objects": []}',
        '{"format": "dextr-vos index 1", "objects": [[1]]}',
        '{"format": "dextr-vos index 1", "objects": [["a", 1e999, "cat", 12]]}',
    ],
)
def test_a_broken_index_is_made_again(ask, tmp_path, text):
    ask()
    (path,) = (tmp_path / "index").iterdir()
    whole = path.read_bytes()
    path.write_text(text)
    assert ask() == 2
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_only_time(ask, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    assert ask(folder=tmp_path / "file" / "index") == 1
    assert ask(folder=tmp_path / "file" / "index") == 2
    assert "cannot write the index" in caplog.text


def test_a_missing_file_is_named(ask, files):
    files[1].unlink()
    with pytest.raises(InputError, match=r"there is no .*b.png, which the data set's lists name"):
        ask()


@pytest.mark.parametrize("given", [None, "", "relative", "/somewhere"])
def test_the_users_cache_folder(monkeypatch, given):
    monkeypatch.setenv("HOME", "/home/someone")
    if given is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    cache = "/somewhere" if given == "/somewhere" else "/home/someone/.cache"
    assert default_index_folder() == Path(cache) / "dextr-vos" / "indices"
