"""Undo that survives: wherever the process was killed within a change, the workspace comes back whole."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from conftest import write_tiny_clip
from tiny_page import OTHER, POINTS, KilledError, ServerDiedError, open_page

from dextr_vos.annotation.annotations import as_text, load_annotations
from dextr_vos.files import file_digest
from dextr_vos.web import journal
from dextr_vos.web.journal import Line


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


def broken_at(patch, count, error):
    """Let the file operation after so many end in an error, and those after it, too.

    Returns:
        How many there were.
    """
    done = []

    def breaking(operation):
        def broken(*arguments, **more):
            done.append(operation)
            if len(done) > count:
                raise error
            return operation(*arguments, **more)

        return broken

    for owner, name in OPERATIONS:
        patch.setattr(owner, name, breaking(getattr(owner, name)))
    return done


OPERATIONS = [
    (os, "fsync"),
    (tempfile, "mkstemp"),
    *((Path, name) for name in ("write_bytes", "replace", "unlink")),
]


def at_every_file_operation(annotated, tmp_path, monkeypatch, act, error, check):
    """Break an act at each of its file operations, one after the other, and check what is left."""
    for count in range(200):
        work = tmp_path / f"w{count}"
        shutil.copytree(annotated / "w", work)
        page = open_page(annotated / "tiny", work)
        history = page.state()["history"]
        accepted = True
        with monkeypatch.context() as patch:
            done = broken_at(patch, count, error)
            try:
                ACTS[act](page)
            except ServerDiedError:
                accepted = False
            except AssertionError:
                accepted = False
                assert page.state()["history"] == history  # the disk still refuses to take it back
        check(page, work, history, accepted)
        shutil.rmtree(work)
        if len(done) <= count:
            return
    pytest.fail("the act never ends")


@pytest.mark.parametrize("act", ["delete", "undo"])
def test_killed_at_any_file_operation(annotated, results, tmp_path, monkeypatch, act):
    before = tree(annotated / "w")

    def check(page, work, history, accepted):
        opened = open_page(annotated / "tiny", work)
        made = tree(work) == results[act]
        assert made or tree(work) == before
        assert made or not accepted
        assert (opened.state()["history"] == history) == (not made)
        assert not list(work.rglob(".dextr-vos-*"))

    at_every_file_operation(annotated, tmp_path, monkeypatch, act, KilledError(), check)


@pytest.mark.parametrize("act", ["points", "undo", "redo"])
def test_refused_by_the_disk_at_any_file_operation(annotated, results, tmp_path, monkeypatch, act):
    before = tree(annotated / "w")

    def check(page, work, history, accepted):
        wanted = results[act] if accepted else before
        assert accepted or page.state()["history"] == history
        assert tree(work) == wanted  # whoever looks has it taken back
        opened = open_page(annotated / "tiny", work)
        assert tree(work) == wanted
        assert accepted or opened.state()["history"] == history
        assert not list(work.rglob(".dextr-vos-*"))

    error = OSError(28, "No space left on device")
    at_every_file_operation(annotated, tmp_path, monkeypatch, act, error, check)


def test_after_a_refusal_the_page_goes_on(annotated, tmp_path, monkeypatch):
    for count in (0, 3, 6, 9):
        work = tmp_path / f"w{count}"
        shutil.copytree(annotated / "w", work)
        page, before = open_page(annotated / "tiny", work), tree(work)
        with monkeypatch.context() as patch:
            broken_at(patch, count, OSError(28, "No space left on device"))
            assert "No space left" in page.refused("/api/objects/1/delete", expected=500)
        page.do("/api/redo")
        page.do("/api/undo")
        assert tree(work) == tree(annotated / "w") == before


def test_all_of_a_change_is_on_the_disk_before_it_takes_its_place_and_before_it_is_acknowledged(
    annotated, tmp_path, monkeypatch
):
    work = tmp_path / "w"
    shutil.copytree(annotated / "w", work)
    page, layers = open_page(annotated / "tiny", work), work / "history" / "layers"
    synced, replaced = [], []  # inodes; paths, inodes, and what had been synced before
    sync, replace = os.fsync, Path.replace

    def record_sync(file):
        synced.append(os.fstat(file).st_ino)
        sync(file)

    def record_replace(path, target):
        replaced.append((Path(target), path.stat().st_ino, list(synced)))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "replace", record_replace)
    before = set(layers.iterdir())
    page.points(3, 1, [[x + 1, y + 1] for x, y in POINTS])
    new = set(layers.iterdir()) - before
    assert new
    mask, document = [each for each in replaced if each[0].parent != layers]
    needed = {path.stat().st_ino for path in (*new, layers, work / "history" / "journal.jsonl")}
    assert mask[0].parent.name == "keyframes"
    assert {*needed, mask[1], document[1]} <= set(mask[2])
    assert document[0].name == "annotations.json"
    assert mask[0].parent.stat().st_ino in document[2][len(mask[2]) :]
    assert work.stat().st_ino in synced[len(document[2]) :]


def test_a_change_that_is_made_is_acknowledged_where_the_history_cannot_be_shortened(
    tiny_clip, tmp_path, monkeypatch
):
    work = tmp_path.resolve() / "w"
    page = open_page(tiny_clip, work, objects=2)
    refused, sync = [], os.fsync

    def failing(opened):
        path = Path(f"/proc/self/fd/{opened}").readlink()
        if path.parent == work / "history" and path.suffix == ".jsonl" and path.name != "journal.jsonl":
            refused.append(path)
            raise OSError(28, "No space left on device")
        sync(opened)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_MAX_LINES", 0)
        patch.setattr(os, "fsync", failing)
        page.points(0, 1, POINTS)
        assert refused
        assert page.state()["history"]["undo"] == "point on object 1, frame 00000"
        page.do("/api/undo")
    assert open_page(tiny_clip, work).mask(0) is None


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


def test_a_change_whose_values_are_damaged_is_refused_and_changes_nothing(tiny_clip, tmp_path):
    work = tmp_path / "w"
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    page.points(0, 1, OTHER)
    path = work / "history" / "journal.jsonl"
    path.write_text(path.read_text().replace('"x": 8,', '"x": "left",'))
    before, page = tree(work), open_page(tiny_clip, work)
    assert page.refused("/api/undo") == "the history is damaged there; nothing was changed"
    assert tree(work) == before


@pytest.mark.parametrize("times", [1, 100])
def test_a_layer_that_the_disk_refuses_is_written_again_and_stops_no_other_edit(
    tiny_clip, tmp_path, monkeypatch, times
):
    """A disk may report a lost page only once: the file must not be taken for written afterwards."""
    work = tmp_path / "w"
    page = open_page(tiny_clip, work, objects=2)
    page.points(0, 1, POINTS)
    before, layers = tree(work), work / "history" / "layers"
    known, left, sync = {path.name for path in layers.iterdir()}, [times], os.fsync

    def failing(opened):
        path = Path(f"/proc/self/fd/{opened}").readlink()
        if path.parent == layers and path.name not in known and left[0]:
            left[0] -= 1
            raise OSError(5, "Input/output error")
        sync(opened)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        page.refused("/api/frames/3/objects/2/points", expected=500, points=OTHER)
        assert tree(work) == before
        page.do("/api/undo")  # makes no layer
        page.do("/api/redo")
        left[0] = 0
    page.points(3, 2, OTHER)
    assert (open_page(tiny_clip, work).mask(3) == page.mask(3)).all()
