"""Workspaces on disk: those of older versions, and masks that were changed by hand."""

import json
import shutil

import numpy as np
import pytest
from conftest import tiny_mask
from PIL import Image
from tiny_page import OTHER, POINTS, open_page, write_run

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.errors import InputError
from dextr_vos.files import file_digest
from dextr_vos.folder_lock import FolderLock
from dextr_vos.masks import write_labels
from dextr_vos.propagation.run import UnfinishedMasks
from dextr_vos.web.journal import digest_of
from dextr_vos.web.layers import LayerStore
from dextr_vos.workspace import Workspace


def as_version_1(work) -> None:
    """Make a workspace what the page of version 1 would have left."""
    document, journal = work / "annotations.json", work / "history" / "journal.jsonl"
    document.write_text(
        document.read_text().replace('"version": 2', '"version": 1').replace('"made_by"', '"engine"')
    )
    lines = [json.loads(line.replace('"made_by"', '"engine"')) for line in journal.read_text().splitlines()]
    lines[-1]["documents"][1] = digest_of(document.read_text())
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def older(tiny_clip, tmp_path):
    """A workspace of version 1: points, then other ones, then a stroke."""
    page = open_page(tiny_clip, tmp_path / "w")
    page.points(0, 1, POINTS)
    page.points(0, 1, OTHER)
    page.do("/api/frames/0/objects/1/stroke", path=[[50, 40]], radius=3)
    page.service.close()
    as_version_1(tmp_path / "w")
    return tmp_path / "w"


def test_a_workspace_of_version_1_opens_with_its_masks(older, tiny_clip):
    page = open_page(tiny_clip, older, objects=0)
    clicks = page.state()["keyframes"]["0"]["objects"]["1"]
    assert (clicks["points"], clicks["painted"]) == (OTHER, True)
    assert page.mask(0)[40, 50] == 1
    page.points(1, 1, POINTS)
    assert json.loads((older / "annotations.json").read_text())["version"] == 2


def test_undo_and_redo_reach_changes_that_version_1_made(older, tiny_clip):
    page = open_page(tiny_clip, older, objects=0)
    painted = page.mask(0)
    for points in (OTHER, POINTS):
        page.do("/api/undo")
        assert page.state()["keyframes"]["0"]["objects"]["1"]["points"] == points
    page.do("/api/redo")
    page.do("/api/redo")
    assert (page.mask(0) == painted).all()


def test_masks_that_somebody_drew_are_never_taken_for_clicked_ones(tiny_clip, tmp_path):
    work = tmp_path / "w"
    open_page(tiny_clip, work).service.close()
    write_labels(work / "keyframes" / "00003.png", tiny_mask(3))
    open_page(tiny_clip, work, objects=0).service.close()
    document = load_annotations(work / "annotations.json")
    assert document.keyframes["00003"].objects[1].made_by == "brush"
    assert not document.is_clicked("00003", 1)


def test_a_grey_mask_among_the_keyframes_is_what_a_run_makes_of_it(tiny_clip, tmp_path):
    work = Workspace(tmp_path / "w")
    open_page(tiny_clip, work.path).points(0, 1, POINTS)
    Image.fromarray(tiny_mask(0) * np.uint8(255)).save(work.keyframe("00000"))
    page = open_page(tiny_clip, work.path)
    masks = UnfinishedMasks(work.run)
    masks.copy("00000", work.keyframe("00000"), {1: 1.0})
    assert page.service.session.digests["00000"] == file_digest(work.run.mask("00000"))


@pytest.mark.parametrize(
    "place", ["history/layers", "history/journal.jsonl", "keyframes", "propagation/masks", ".lock"]
)
def test_a_workspace_with_a_link_is_refused_and_nothing_behind_it_is_touched(tiny_clip, tmp_path, place):
    work, foreign, link = tmp_path / "w", tmp_path / "foreign", tmp_path / "w" / place
    open_page(tiny_clip, work).points(0, 1, POINTS)
    foreign.mkdir()
    names = ["0" * 32 + ".png", "00000.png", "mine.txt"]
    for name in names:
        (foreign / name).write_text("mine")
    if link.is_dir():
        shutil.rmtree(link)
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(foreign if link.suffix == "" and place != ".lock" else foreign / "mine.txt")
    with pytest.raises(InputError, match=rf"{place} is a symbolic link"), FolderLock(work):
        open_page(tiny_clip, work)
    assert {path.name: path.read_text() for path in foreign.iterdir()} == dict.fromkeys(names, "mine")


def test_files_that_are_not_ours_stay_where_ours_are_swept(tiny_clip, tmp_path):
    work = tmp_path / "w"
    open_page(tiny_clip, work).points(0, 1, POINTS)
    foreign = [
        work / "history/layers/notes.txt",
        work / "history/layers/sketch.png",
        work / "corrections/plan.png",
    ]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    open_page(tiny_clip, work)
    assert [path.read_text() for path in foreign] == ["mine"] * 3


def test_what_killed_writers_left_in_a_workspace_is_removed(tiny_clip, tmp_path):
    work = tmp_path / "w"
    open_page(tiny_clip, work).points(0, 1, POINTS)
    before = sorted(work.rglob("*"))
    for folder in (work, work / "keyframes", work / "history"):
        (folder / ".dextr-vos-0123abcd.png").write_text("half")
    open_page(tiny_clip, work)
    assert sorted(work.rglob("*")) == before


def test_a_digest_that_is_a_path_finds_no_layer(tmp_path):
    store = LayerStore(tmp_path / "layers")
    Image.fromarray(np.ones((4, 4), bool)).save(tmp_path / "secret.png")
    (tmp_path / "layers").mkdir()
    assert store.get("../secret", (4, 4)) is None
    assert store.get(store.put(np.ones((4, 4), bool)), (4, 4)).all()


def test_a_mask_of_another_format_among_the_keyframes_becomes_a_png(tiny_clip, tmp_path):
    work = tmp_path / "w"
    open_page(tiny_clip, work).points(0, 1, POINTS)
    for name in ("00000", "00003"):
        Image.fromarray(tiny_mask(3)).save(work / "keyframes" / f"{name}.tif")
    (work / "keyframes" / "00000.png").unlink()
    page = open_page(tiny_clip, work)
    assert sorted(path.name for path in (work / "keyframes").iterdir()) == ["00000.png", "00003.png"]
    for index in (0, 3):
        assert (page.mask(index) == tiny_mask(3)).all()
        assert page.state()["keyframes"][str(index)]["objects"]["1"]["mask"]


def test_a_draft_keeps_its_mask_when_its_layers_are_lost(tiny_clip, tmp_path):
    work = tmp_path / "w"
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=[0])
    page.do("/api/frames/2/objects/1/stroke", path=[[50, 40]], radius=3)
    page.do("/api/frames/2/keyframe", keyframe=True)
    before = page.mask(2)
    for file in (work / "history" / "layers").glob("*.png"):
        file.write_bytes(b"")
    page = open_page(tiny_clip, work, objects=0)
    for edit, kind in (("undo", "corrections"), ("redo", "keyframes")):
        page.do(f"/api/{edit}")
        assert (page.mask(2) == before).all()
        assert (work / kind / "00002.png").exists()
    page.do("/api/frames/2/objects/1/stroke", path=[[10, 40]], radius=3)
    assert (page.mask(2)[before == 1] == 1).all()
