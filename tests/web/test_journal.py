"""Undo that survives: wherever the process was killed within a change, the workspace comes back whole."""

import json
import shutil

import pytest
from conftest import write_tiny_clip
from tiny_page import OTHER, POINTS, KilledError, ServerDiedError, open_page

from dextr_vos.annotation.annotations import as_text, load_annotations
from dextr_vos.files import file_digest
from dextr_vos.web import journal, store
from dextr_vos.web.journal import MAX_CHANGES, Change, History, Line


def change(number: int) -> Line:
    part = {"frames": {}}
    return Line("do", ("a", "b"), Change(f"change {number}", number, part, part))


def tree(work):
    """Document and masks of a workspace."""
    masks = {path.name: file_digest(path) for path in (work / "keyframes").glob("[!.]*.png")}
    text = as_text(load_annotations(work / "annotations.json"))
    document = json.loads(text)
    for keyframe in document["keyframes"].values():
        for clicked in keyframe["objects"].values():
            for point in clicked["points"]:
                del point["time"]  # of a change that is made again, it is another
    return document, masks


def undone(page):
    page.do("/api/undo")


def redone(page):
    page.do("/api/redo")


ACTS = {
    "points": lambda page: page.points(0, 1, [*POINTS, [20, 20]], active_ms=2000),
    "stroke": lambda page: page.do("/api/frames/0/objects/2/stroke", path=[[50, 40]], radius=3),
    "delete": lambda page: page.do("/api/objects/1/delete"),
    "undo": undone,
    "redo": redone,
    "lock": lambda page: page.do("/api/frames/3/lock", locked=True),
}


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """A clip, and a workspace in which every act has something to do."""
    folder = tmp_path_factory.mktemp("annotated")
    page = open_page(write_tiny_clip(folder / "tiny"), folder / "w", objects=2)
    page.points(3, 1, POINTS)
    page.points(0, 1, POINTS)
    page.points(0, 2, OTHER)
    page.do("/api/frames/4/keyframe", keyframe=True)
    page.do("/api/undo")
    return folder


@pytest.fixture(scope="module")
def results(annotated):
    """What each act makes of the workspace when nothing cuts it off."""

    def result(act):
        whole = annotated / act
        shutil.copytree(annotated / "w", whole)
        ACTS[act](open_page(annotated / "tiny", whole))
        return tree(whole)

    return {act: result(act) for act in ACTS}


# after which of its writes a change is cut off: the layer, the journal, the mask
@pytest.mark.parametrize("place", ["append", "labels_png", "write_text"])
@pytest.mark.parametrize("act", list(ACTS))
def test_killed_within_a_change(annotated, results, tmp_path, monkeypatch, place, act):
    clip, work = annotated / "tiny", tmp_path / "w"
    shutil.copytree(annotated / "w", work)
    before = tree(work)

    def killed(*arguments, **more):
        raise KilledError

    page = open_page(clip, work)
    owner = journal.History if place == "append" else store
    with monkeypatch.context() as patch:
        patch.setattr(owner, place, killed)
        with pytest.raises(ServerDiedError):
            ACTS[act](page)
    opened = open_page(clip, work)
    # a change that is in the journal is made again, one that is not never was
    assert tree(work) == (before if place == "append" else results[act])
    if place != "append" and act in ("points", "stroke", "delete", "lock"):
        opened.do("/api/undo")
        document, masks = tree(work)
        assert masks == before[1]
        document.pop("seconds", None)
        assert {**document, "keyframes": None} == {**before[0], "keyframes": None}


def test_a_line_that_was_cut_off_was_never_accepted(tmp_path):
    path = tmp_path / "journal.jsonl"
    history = History(path)
    for number in range(3):
        history.append(change(number))
    whole = path.read_bytes()
    for cut in (1, 10, len(whole.splitlines()[-1])):
        path.write_bytes(whole[:-cut])
        again = History(path)
        assert again.undo_label == "change 1"
        again.append(change(7))
        assert History(path).undo_label == "change 7"


def test_stacks_are_the_same_after_opening_and_after_compacting(tmp_path):
    path = tmp_path / "journal.jsonl"
    history = History(path)
    for number in range(6):
        history.append(change(number))
    for kind in ("undo", "undo", "undo", "redo"):
        history.append(Line(kind, ("a", "b")))
    for again in (History(path), history):
        again.compact()
        read = History(path)
        assert read.undo_label == "change 3"
        assert read.redo_label == "change 4"
        assert read.last is not None
        assert read.last.documents == ("a", "b")


def test_a_new_change_forgets_what_was_undone(tmp_path):
    history = History(tmp_path / "j")
    history.append(change(1))
    history.append(Line("undo", ("a", "b")))
    history.append(change(2))
    assert history.redo_label is None


def test_the_history_is_bounded(tmp_path):
    path = tmp_path / "journal.jsonl"
    history = History(path)
    for number in range(5 * MAX_CHANGES):
        history.append(change(number))
        history.tidy()
    assert len(path.read_text().splitlines()) <= 4 * MAX_CHANGES + 1
    count = 0
    again = History(path)
    while again.to_undo() is not None:
        again.append(Line("undo", ("a", "b")))
        count += 1
    assert count == MAX_CHANGES


def test_a_damaged_line_forgets_what_came_before_it(tmp_path):
    path = tmp_path / "journal.jsonl"
    history = History(path)
    history.append(change(1))
    with path.open("a") as file:
        file.write('{"kind": "do"}\nno json\n[]\n')
    again = History(path)
    assert again.undo_label is None
    again.append(change(2))
    assert History(path).undo_label == "change 2"


def test_layers_that_nothing_needs_any_more_are_removed(tiny_clip, tmp_path):
    work = tmp_path / "w"
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    page.points(0, 1, OTHER)
    layers = work / "history" / "layers"
    assert len(list(layers.iterdir())) == 2
    (layers / ".dextr-vos-0a1b2c3d.png").write_bytes(b"")
    open_page(tiny_clip, work)
    assert len(list(layers.iterdir())) == 2
    (work / "history" / "journal.jsonl").unlink()
    open_page(tiny_clip, work)
    assert len(list(layers.iterdir())) == 1


def test_a_workspace_without_its_history_is_whole(tiny_clip, tmp_path):
    work = tmp_path / "w"
    page = open_page(tiny_clip, work, objects=2)
    page.points(0, 1, POINTS)
    page.points(0, 2, OTHER)
    mask = page.mask(0)
    shutil.rmtree(work / "history")
    page = open_page(tiny_clip, work)
    assert (page.mask(0) == mask).all()
    page.do("/api/frames/0/objects/2/stroke", path=[[2, 2]], radius=1)
    assert ((page.mask(0) == 1) == (mask == 1)).all()


def test_names_with_any_sign_leave_the_history_whole(tiny_clip, tmp_path):
    work = tmp_path / "w"
    page = open_page(tiny_clip, work)
    page.do("/api/objects/1", name="left\u2028right\x85end")
    page.points(0, 1, POINTS)
    page = open_page(tiny_clip, work)
    assert page.state()["history"]["undo"].startswith("point")
    page.do("/api/undo")
    page.do("/api/undo")
    assert page.state()["objects"][0]["name"] == "object 1"


def test_a_full_disk_takes_nothing_of_what_was_there(tiny_clip, tmp_path, monkeypatch):
    work = tmp_path / "w"
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    before = tree(work)

    def full(line):
        with (work / "history" / "journal.jsonl").open("a") as file:
            file.write("{half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Line, "as_json", full)
        message = page.refused("/api/frames/3/objects/1/points", expected=500, points=OTHER)
        assert "No space left on device" in message
    assert tree(work) == before
    page.points(4, 1, OTHER)
    page = open_page(tiny_clip, work)
    page.do("/api/undo")
    assert tree(work) == before
