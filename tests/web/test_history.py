"""The file of changes by itself; what the page makes of it is in test_journal."""

import os
from pathlib import Path

from dextr_vos.files import Unsynced
from dextr_vos.web.journal import MAX_CHANGES, Change, History, Line


def append(history: History, line: Line) -> None:
    history.append(line, Unsynced())
    history.confirm(line.documents[1])


def read(path: Path) -> History:
    """A journal whose last change is made."""
    history = History(path)
    history.confirm("b")
    return history


def change(number: int) -> Line:
    part = {"frames": {}}
    return Line("do", ("a", "b"), Change(f"change {number}", number, part, part))


def test_a_line_that_is_taken_back_is_off_the_disk_too(tmp_path, monkeypatch):
    path = tmp_path.resolve() / "journal.jsonl"
    history = History(path)
    append(history, change(1))
    whole, synced, sync = path.read_bytes(), {}, os.fsync

    def record(opened):
        synced[Path(f"/proc/self/fd/{opened}").readlink()] = os.fstat(opened).st_size
        sync(opened)

    history.append(change(2), Unsynced())
    assert path.stat().st_size > len(whole)
    monkeypatch.setattr(os, "fsync", record)
    history.drop_pending()
    assert path.read_bytes() == whole
    assert synced == {path: len(whole)}


def test_a_line_that_was_cut_off_was_never_accepted(tmp_path):
    path = tmp_path / "journal.jsonl"
    history = History(path)
    for number in range(3):
        append(history, change(number))
    whole = path.read_bytes()
    for cut in (1, 10, len(whole.splitlines()[-1])):
        path.write_bytes(whole[:-cut])
        again = read(path)
        assert again.undo_label == "change 1"
        append(again, change(7))
        assert read(path).undo_label == "change 7"


def test_stacks_are_the_same_after_opening_and_after_compacting(tmp_path):
    path = tmp_path / "journal.jsonl"
    history = History(path)
    for number in range(6):
        append(history, change(number))
    for kind in ("undo", "undo", "undo", "redo"):
        append(history, Line(kind, ("a", "b")))
    for again in (read(path), history):
        again.compact()
        found = read(path)
        assert found.undo_label == "change 3"
        assert found.redo_label == "change 4"
        assert found.last is not None
        assert found.last.documents == ("a", "b")


def test_a_new_change_forgets_what_was_undone(tmp_path):
    history = History(tmp_path / "j")
    append(history, change(1))
    append(history, Line("undo", ("a", "b")))
    append(history, change(2))
    assert history.redo_label is None


def test_the_history_is_bounded(tmp_path):
    path = tmp_path / "journal.jsonl"
    history = History(path)
    for number in range(5 * MAX_CHANGES):
        append(history, change(number))
        history.tidy()
    assert len(path.read_text().splitlines()) <= 4 * MAX_CHANGES + 1
    count = 0
    again = read(path)
    while again.to_undo() is not None:
        append(again, Line("undo", ("a", "b")))
        count += 1
    assert count == MAX_CHANGES


def test_a_damaged_line_forgets_what_came_before_it(tmp_path):
    path = tmp_path / "journal.jsonl"
    history = History(path)
    append(history, change(1))
    with path.open("a") as file:
        file.write('{"kind": "do"}\nno json\n[]\n' + "[" * 100_000 + "\n")
        file.write('{"kind": "do", "documents": ["", ""], "change": 7}\n')
        frames = '{"frames": [1]}'
        file.write(f'{{"kind": "do", "documents": ["", ""], "change": {{"before": {frames}}}}}\n')
    again = read(path)
    assert again.undo_label is None
    append(again, change(2))
    assert read(path).undo_label == "change 2"
