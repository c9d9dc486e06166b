"""Clicks and strokes on the mask that is there: what each of them keeps of what was made before."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tiny_mask
from tiny_page import OTHER, POINTS, around, box, decoded, open_page, write_run

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.cli.main import main
from dextr_vos.masks import read_labels, write_labels

MORE, LESS = [30, 24, "positive"], [12, 24, "negative"]


@pytest.fixture
def work(tmp_path):
    return tmp_path / "w"


@pytest.fixture
def page(tiny_clip, work):
    return open_page(tiny_clip, work, corrects=True)


def stroke(page, index, x, y, object_id=1, radius=2, erase=False):
    path = f"/api/frames/{index}/objects/{object_id}/stroke"
    return page.do(path, path=[[x + 0.5, y + 0.5]], radius=radius, erase=erase)


def changed(mask, *clicks):
    """What `Corrector` makes of a mask by clicks, one after the other."""
    mask = mask.copy()
    for x, y, kind in clicks:
        mask[around(x, y)] = kind == "positive"
    return mask


def test_a_click_adds_to_the_mask_or_removes_from_it_and_is_taken_back(page):
    page.points(0, 1, POINTS)
    assert (page.points(0, 1, [*POINTS, MORE])["state"]["keyframes"]["0"]["objects"]["1"]["points"]) == [
        *POINTS,
        MORE,
    ]
    page.points(0, 1, [*POINTS, MORE, LESS])
    assert ((page.mask(0) == 1) == changed(box(POINTS), MORE, LESS)).all()
    page.points(0, 1, [*POINTS, MORE])
    assert ((page.mask(0) == 1) == changed(box(POINTS), MORE)).all()
    page.do("/api/undo")
    assert ((page.mask(0) == 1) == changed(box(POINTS), MORE, LESS)).all()


def test_strokes_stay_through_clicks_undo_and_a_restart(page, tiny_clip, work):
    page.points(0, 1, POINTS)
    stroke(page, 0, 50, 40)
    stroke(page, 0, 15, 20, erase=True)
    painted = page.mask(0) == 1
    assert painted[40, 50]
    assert not painted[20, 15]
    page.points(0, 1, [*POINTS, MORE])
    assert ((page.mask(0) == 1) == changed(painted, MORE)).all()
    against = [50, 40, "negative"]
    page.points(0, 1, [*POINTS, MORE, against, [15, 20, "positive"]])
    assert (page.mask(0) == 1)[40, 50], "what was painted stays"
    assert not (page.mask(0) == 1)[20, 15], "what was erased stays so"
    page.do("/api/undo")
    page = open_page(tiny_clip, work, corrects=True)
    page.points(0, 1, [*POINTS, [30, 30, "positive"]])
    assert ((page.mask(0) == 1) == changed(painted, [30, 30, "positive"])).all()
    moved = [[7, 20], *POINTS[1:]]
    page.points(0, 1, moved)
    assert ((page.mask(0) == 1)[:, :8] == box(moved)[:, :8]).all()
    assert (page.mask(0) == 1)[40, 50]
    assert not (page.mask(0) == 1)[20, 15]


def test_the_last_stroke_over_a_pixel_counts(page):
    page.points(0, 1, POINTS)
    stroke(page, 0, 50, 40)
    stroke(page, 0, 50, 40, erase=True)
    page.points(0, 1, [*POINTS, [50, 40, "positive"]])
    assert page.mask(0)[40, 50] == 0


def test_a_click_corrects_a_painted_mask(page):
    stroke(page, 0, 30, 30, radius=6)
    painted = page.mask(0) == 1
    page.points(0, 1, [[30, 20, "positive"]])
    assert ((page.mask(0) == 1) == changed(painted, [30, 20, "positive"])).all()
    page.points(0, 1, [])
    assert ((page.mask(0) == 1) == painted).all()


def test_paint_on_an_object_below_stays_visible_when_the_one_above_is_clicked(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2, corrects=True)
    page.points(0, 1, POINTS)
    page.points(0, 2, POINTS)
    stroke(page, 0, 16, 24)
    page.points(0, 2, [*POINTS, [16, 24, "positive"]])
    assert page.mask(0)[24, 16] == 1


def test_what_a_click_uncovers_stays_visible_when_the_painted_object_above_is_clicked(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2, corrects=True)
    page.points(0, 1, POINTS)
    page.points(0, 2, OTHER)
    stroke(page, 0, 16, 24, object_id=2)
    assert page.mask(0)[24, 16] == 2
    page.points(0, 1, [*POINTS, [16, 24, "positive"]])
    assert page.mask(0)[24, 16] == 1
    page.points(0, 2, [*OTHER, [56, 40, "positive"]])
    assert page.mask(0)[40, 56] == 2
    assert page.mask(0)[24, 16] == 1


def test_clicks_that_correct_are_refused_where_the_model_takes_none(tiny_clip, work):
    page = open_page(tiny_clip, work)
    assert page.state()["corrects"] is False
    page.points(0, 1, POINTS)
    path = "/api/frames/0/objects/1/points"
    assert "takes extreme points" in page.refused(path, points=[*POINTS, LESS])


def test_one_click_corrects_a_propagated_mask_and_makes_no_keyframe(page, tiny_clip, work):
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    click = [60, 44, "positive"]
    answer = page.points(3, 1, [click])
    expected = changed(tiny_mask(3) == 1, click)
    assert ((decoded(answer["mask"]) == 1) == expected).all()
    entry = answer["state"]["keyframes"]["3"]
    assert (entry["draft"], entry["corrected"]) == (True, True)
    assert answer["state"]["masks"]["stale"]
    assert not (work / "keyframes" / "00003.png").exists()
    again = open_page(tiny_clip, work, corrects=True)
    assert ((again.mask(3) == 1) == expected).all()
    assert again.state()["keyframes"]["3"]["corrected"]
    page = again
    page.do("/api/undo")
    assert "3" not in page.state()["keyframes"]
    assert (page.mask(3) == tiny_mask(3)).all()
    page.do("/api/redo")
    page.points(3, 1, [])
    assert "3" not in page.state()["keyframes"], "the click was taken back"


def test_a_correction_is_confirmed_or_removed(page, work):
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    page.points(3, 1, [[60, 44, "negative"]])
    page.points(4, 1, [[60, 44, "negative"]])
    stroke(page, 4, 60, 44)
    corrected = page.mask(4)
    state = page.do("/api/frames/4/keyframe", keyframe=True)["state"]
    assert not state["keyframes"]["4"]["draft"]
    assert (read_labels(work / "keyframes" / "00004.png") == corrected).all()
    page.do("/api/frames/3/keyframe", keyframe=False)
    assert set(page.state()["keyframes"]) == {"0", "4"}
    page.do("/api/undo")
    page.do("/api/undo")
    assert page.state()["keyframes"]["4"]["corrected"]
    assert not (work / "keyframes" / "00004.png").exists()
    assert (page.mask(4) == corrected).all()
    assert [path.name for path in sorted((work / "corrections").iterdir())] == ["00003.png", "00004.png"]


def test_locking_a_correction_makes_it_a_keyframe(page, work):
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    page.points(3, 1, [[60, 44, "positive"]])
    state = page.do("/api/frames/3/lock", locked=True)["state"]
    assert state["keyframes"]["3"]["locked"]
    assert not state["keyframes"]["3"]["draft"]


def test_propagating_makes_keyframes_of_corrections_and_says_how_many(page, work):
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    page.points(3, 1, [[60, 44, "positive"]])
    page.points(5, 1, [[60, 44, "positive"]])
    page.points(2, 1, POINTS[:2])
    answer = page.post("/api/propagate").json()
    assert answer["confirmed"] == 2
    page.post("/api/cancel")
    page.service.jobs.close()
    assert set(load_annotations(work / "annotations.json").keyframes) == {"00000", "00003", "00005"}
    assert page.state()["history"]["undo"] == "2 corrections made keyframes"
    page.do("/api/undo")
    document = load_annotations(work / "annotations.json")
    assert (set(document.keyframes), set(document.corrections)) == ({"00000"}, {"00003", "00005"})


def test_clicks_without_a_mask_on_a_propagated_frame_take_nothing_of_the_prediction(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2, corrects=True)
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    assert page.get("/api/masks/3").headers["x-mask-source"] == "run"
    answer = page.points(3, 2, OTHER[:3])
    assert not answer["state"]["keyframes"]["3"]["corrected"]
    assert (decoded(answer["mask"]) == tiny_mask(3)).all()
    page.points(3, 2, OTHER)
    assert page.get("/api/masks/3").headers["x-mask-source"] == "correction"
    assert set(np.unique(page.mask(3))) == {0, 1, 2}
    page.do("/api/undo")
    assert (page.mask(3) == tiny_mask(3)).all()


def test_a_stroke_on_a_propagated_mask_is_a_correction_too(page, work):
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    stroke(page, 2, 60, 44)
    assert page.mask(2)[44, 60] == 1
    assert (page.mask(2)[tiny_mask(2) == 1] == 1).all()
    assert page.state()["keyframes"]["2"]["corrected"]


def test_commands_see_no_correction(page, work, tiny_clip):
    from dextr_vos.annotation.clicks import read_clicks
    from dextr_vos.clip import open_clip
    from dextr_vos.web.exports import WorkspaceMasks
    from dextr_vos.workspace import Workspace

    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    page.points(3, 1, [[60, 44, "positive"]])
    page.points(4, 1, [[60, 44, "positive"]])
    page.do("/api/frames/4/keyframe", keyframe=True)
    file = work / "annotations.json"
    assert set(read_clicks(file, open_clip(tiny_clip)).keyframes) == {"00000"}, (
        "a corrected mask has no clicks of its own"
    )
    document = load_annotations(file)
    assert not document.is_clicked("00004", 1)
    masks = WorkspaceMasks.of(Workspace(work), document)
    assert masks.find_mask("00003") == work / "propagation" / "masks" / "00003.png"


def test_a_correction_goes_with_its_object_and_with_its_file(page, tiny_clip, work):
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    page.points(3, 1, [[60, 44, "positive"]])
    page.do("/api/objects/1/delete")
    assert not page.mask(3).any()
    page.do("/api/undo")
    assert page.mask(3)[44, 60] == 1
    (work / "corrections" / "00003.png").unlink()
    assert "3" not in open_page(tiny_clip, work, corrects=True).state()["keyframes"]


def test_an_import_on_a_corrected_frame_opens_with_both(page, tiny_clip, work, tmp_path):
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    page.points(3, 1, [[60, 44, "positive"]])
    corrected = page.mask(3)
    imported = np.zeros_like(corrected)
    imported[:4] = 2
    write_labels(tmp_path / "masks" / "00003.png", imported)
    given = ["import", str(work), str(tmp_path / "masks"), "--format", "masks"]
    assert CliRunner().invoke(main, given).exit_code == 0
    page = open_page(tiny_clip, work, corrects=True)
    assert (page.mask(3) == np.where(imported, imported, corrected)).all()
    assert not page.state()["keyframes"]["3"].get("corrected")
    assert not (work / "corrections" / "00003.png").exists()
    page.points(3, 1, [[60, 44, "positive"], [50, 30, "positive"]])
    assert (page.mask(3)[:4] == 2).all()
    assert page.mask(3)[30, 50] == 1


def test_without_its_history_a_correction_keeps_its_mask(page, tiny_clip, work):
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    page.points(3, 1, [[60, 44, "positive"]])
    page.points(3, 1, [[60, 44, "positive"], [50, 10, "positive"]])
    before = page.mask(3)
    shutil.rmtree(work / "history")
    page = open_page(tiny_clip, work, corrects=True)
    assert (page.mask(3) == before).all()
    page.points(3, 1, [[60, 44, "positive"]])
    assert page.mask(3).any()
    page.do("/api/frames/3/keyframe", keyframe=True)
    assert read_labels(work / "keyframes" / "00003.png").any()


def test_a_journal_without_corrections_is_read(page, tiny_clip, work):
    page.points(0, 1, POINTS)
    page.points(0, 1, [*POINTS, MORE])
    journal = work / "history" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        for part in ("before", "after"):
            for frame in line["change"][part]["frames"].values():
                del frame["correction"]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = open_page(tiny_clip, work, corrects=True)
    page.do("/api/undo")
    assert ((page.mask(0) == 1) == box(POINTS)).all()


def test_a_click_shows_what_it_adds_above_the_other_objects_until_it_is_taken_back(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2, corrects=True)
    page.points(0, 1, POINTS)
    page.points(0, 2, OTHER)
    before = page.mask(0)
    assert before[7, 46] == 2
    click = [46, 7, "positive"]
    page.points(0, 1, [*POINTS, click])
    labels = page.mask(0)
    assert (labels[around(46, 7)] == 1).all()
    assert (labels[before == 2] > 0).all()
    assert labels[3, 46] == 2
    page = open_page(tiny_clip, work, objects=2, corrects=True)
    page.points(0, 1, POINTS)
    assert (page.mask(0) == before).all()


def test_a_box_that_shares_a_corner_with_the_one_before_is_a_box_in_the_history(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w", corrects=True)
    for points, expected in (
        ([[10, 10, "box"], [30, 30, "box"]], "box"),
        ([[30, 30, "box"], [50, 40, "box"]], "box"),
        ([[30, 30, "box"], [52, 40, "box"]], "point moved"),
        ([[30, 30, "box"], [52, 40, "box"], [40, 36, "positive"]], "click to add"),
        ([[32, 30, "box"], [52, 40, "box"]], "box"),
    ):
        page.points(0, 1, points)
        assert page.state()["history"]["undo"].startswith(f"{expected} on"), points
