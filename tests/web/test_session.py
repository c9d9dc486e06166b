"""What a person does on the page, and what of it is on disk."""

import json

import numpy as np
import pytest
from conftest import tiny_mask
from tiny_page import OTHER, POINTS, box, decoded, open_page, write_run
from tiny_run import train

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.annotation.prompts import Prompt
from dextr_vos.annotation.segmenter import label_frame
from dextr_vos.cli.main import main
from dextr_vos.clip import open_clip
from dextr_vos.files import file_digest, write_text
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.run_files import RunClip, RunObject, RunRecord, RunTraining


@pytest.fixture
def work(tmp_path):
    return tmp_path / "w"


def keyframe(work, index=0):
    return read_labels(work / "keyframes" / f"{index:05d}.png")


def test_four_clicks_make_the_mask_the_segmenter_makes(tiny_clip, work):
    page = open_page(tiny_clip, work)
    for count in (1, 2, 3):
        answer = page.points(0, 1, POINTS[:count])
        assert answer["mask"] is None
        assert answer["state"]["keyframes"]["0"]["draft"]
    answer = page.points(0, 1, POINTS, active_ms=1500)
    service = page.service
    expected = label_frame(service.session.loader.get(), service.clip.read(0), {1: Prompt(np.array(POINTS))})
    assert (decoded(answer["mask"]) == expected).all()
    assert (keyframe(work) == expected).all()
    of_object = answer["state"]["keyframes"]["0"]["objects"]["1"]
    assert of_object == {"points": POINTS, "painted": False, "mask": True, "seconds": 1.5}
    document = load_annotations(work / "annotations.json")
    assert document.keyframes["00000"].objects[1].made_by == "squares"


def test_points_keep_their_times_when_others_join(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    first = load_annotations(work / "annotations.json").keyframes["00000"].objects[1].points
    page.points(0, 1, [*POINTS, [20, 20]])
    now = load_annotations(work / "annotations.json").keyframes["00000"].objects[1].points
    assert now[:4] == first
    assert len(now) == 5


def test_a_draft_is_no_keyframe_and_comes_back(tiny_clip, work):
    open_page(tiny_clip, work).points(2, 1, POINTS[:2])
    assert not (work / "keyframes").exists()
    state = open_page(tiny_clip, work).state()
    assert state["keyframes"]["2"]["objects"]["1"]["points"] == POINTS[:2]


def test_taking_points_back_takes_the_mask_back(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    answer = page.points(0, 1, POINTS[:3])
    assert answer["mask"] is None
    assert not (work / "keyframes" / "00000.png").exists()
    assert page.points(0, 1, [])["state"]["keyframes"] == {}


def test_an_object_below_another_is_whole_again_when_that_moves_away(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2)
    page.points(0, 1, POINTS)
    page.points(0, 2, POINTS)
    assert set(np.unique(keyframe(work))) == {0, 2}
    page.points(0, 2, OTHER)
    labels = keyframe(work)
    assert ((labels == 1) == box(POINTS)).all()
    assert ((labels == 2) == box(OTHER)).all()


def test_the_order_of_objects_says_who_is_on_top(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2)
    page.points(0, 1, POINTS)
    page.points(0, 2, [[8, 20], [40, 22], [16, 14], [17, 33]])
    assert (keyframe(work)[box(POINTS)] == 2).all()
    state = page.do("/api/objects/order", ids=[2, 1])["state"]
    assert [entry["id"] for entry in state["objects"]] == [2, 1]
    assert (keyframe(work)[box(POINTS)] == 1).all()
    page.do("/api/undo")
    assert (keyframe(work)[box(POINTS)] == 2).all()
    assert "expected the ids of all objects" in page.refused("/api/objects/order", ids=[1])


def test_the_brush_paints_and_the_eraser_erases(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    path = "/api/frames/0/objects/1/stroke"
    answer = page.do(path, path=[[40.5, 20.5], [50.5, 20.5]], radius=3)
    assert (decoded(answer["mask"])[18:23, 41:50] == 1).all()
    assert answer["state"]["keyframes"]["0"]["objects"]["1"]["painted"]
    page.do(path, path=[[20.5, 20.5]], radius=2, erase=True)
    assert keyframe(work)[20, 20] == 0


def test_a_painted_mask_stays_when_its_points_go(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/objects/1/stroke", path=[[50, 40]], radius=2)
    page.points(0, 1, POINTS[:2])
    assert keyframe(work)[40, 50] == 1
    assert open_page(tiny_clip, work).state()["keyframes"]["0"]["objects"]["1"]["points"] == POINTS[:2]


def test_an_object_can_be_said_not_to_be_there(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.do("/api/frames/4/objects/1/clear")
    assert not keyframe(work, 4).any()
    page.do("/api/frames/4/keyframe", keyframe=False)
    assert not (work / "keyframes" / "00004.png").exists()


def test_undo_and_redo_reach_everything_across_objects_frames_and_a_restart(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2)
    page.points(0, 1, POINTS)
    page.points(3, 2, OTHER)
    page.do("/api/objects/2", name="the wheel", colour="#00FF00", visible=False)
    page.do("/api/frames/0/objects/1/stroke", path=[[50, 40]], radius=2)
    page.do("/api/frames/0/lock", locked=True)
    page.do("/api/objects/2/delete")
    end = tree(work)
    steps = 0
    page = open_page(tiny_clip, work, objects=0)
    while page.state()["history"]["undo"]:
        page.do("/api/undo")
        page = open_page(tiny_clip, work, objects=0)
        steps += 1
    assert steps == 8
    assert page.state()["objects"] == []
    assert not list((work / "keyframes").glob("*.png"))
    while page.state()["history"]["redo"]:
        page.do("/api/redo")
        page = open_page(tiny_clip, work, objects=0)
    assert tree(work) == end
    assert page.refused("/api/redo") == "there is nothing to redo"


def tree(work):
    """The document and the masks, by content."""
    masks = {path.name: file_digest(path) for path in (work / "keyframes").glob("*.png")}
    return load_annotations(work / "annotations.json"), masks


def test_a_drag_is_one_change(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    for x in (26, 27, 28):
        page.points(0, 1, [POINTS[0], [x, 22], *POINTS[2:]])
    page.do("/api/undo")
    assert page.state()["keyframes"]["0"]["objects"]["1"]["points"] == POINTS


def test_the_run_tells_trust_staleness_and_what_to_correct(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    assert page.state()["masks"] == {"done": False, "stale": False}
    write_run(page, work, keyframes=(0,))
    state = page.state()
    assert state["masks"] == {"done": True, "stale": False}
    assert state["confidence"][3] == state["object_confidence"]["1"][3] == 0.7
    assert state["suggested"] in range(1, 6)
    page.points(0, 1, [*POINTS, [20, 20]])
    page.do("/api/frames/0/objects/1/stroke", path=[[60, 44]], radius=2)
    assert page.state()["masks"]["stale"]


def test_the_confidence_of_a_deleted_object_counts_no_more(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    scores = {f"{index:05d}": {"1": 0.9, "2": 0.1} for index in range(6)}
    (work / "propagation" / "confidence.json").write_text(json.dumps(scores))
    page.service.poll()
    assert page.state()["confidence"][3] == 0.9


@pytest.mark.usefixtures("one_thread", "narrow_lite")
def test_masks_of_some_frames_are_not_taken_for_a_whole_run(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    keyframes, run = work / "keyframes", work / "propagation"
    train(tiny_clip, keyframes, run, frames=[1, 2])
    page.service.poll()
    assert page.state()["masks"] == {"done": False, "stale": False}
    assert [score is None for score in page.state()["confidence"]] == [False] * 3 + [True] * 3
    page.points(4, 1, OTHER)
    train(tiny_clip, keyframes, run, frames=[3, 5])
    page.service.poll()
    assert page.state()["masks"] == {"done": True, "stale": True}, "1 and 2 were made without frame 4"
    train(tiny_clip, keyframes, run)
    page.service.poll()
    assert page.state()["masks"] == {"done": True, "stale": False}


def test_a_locked_frame_stays_as_it_is(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2)
    page.points(0, 1, POINTS)
    page.points(0, 2, [[8, 20], [40, 22], [16, 14], [17, 33]])
    page.do("/api/frames/0/lock", locked=True)
    before = keyframe(work)
    for path, body in {
        "/api/frames/0/objects/1/points": {"points": OTHER},
        "/api/frames/0/objects/1/stroke": {"path": [[1, 1]], "radius": 2},
        "/api/frames/0/objects/1/clear": {},
        "/api/frames/0/keyframe": {"keyframe": False},
        "/api/objects/1/delete": {},
    }.items():
        assert "locked" in page.refused(path, **body)
    page.do("/api/objects/order", ids=[2, 1])
    assert (keyframe(work) == before).all()
    page.do("/api/frames/0/lock", locked=False)
    page.points(0, 1, OTHER)


def test_locking_a_propagated_frame_makes_it_a_keyframe(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    state = page.do("/api/frames/5/lock", locked=True)["state"]
    assert state["keyframes"]["5"]["locked"]
    assert (keyframe(work, 5) == tiny_mask(5)).all()


def test_a_deleted_object_is_gone_from_every_mask(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    write_run(page, work, keyframes=(0,))
    state = page.do("/api/objects/1/delete")["state"]
    assert state["objects"] == []
    assert state["keyframes"] == {}
    assert not page.mask(3).any()
    assert page.do("/api/objects", name="again")["id"] == 1


def test_seconds_are_logged_and_summed(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2)
    page.points(0, 1, POINTS, active_ms=4000)
    page.points(0, 2, OTHER, active_ms=2000)
    page.points(3, 1, POINTS[:1], active_ms=500)
    page.do("/api/undo")
    summary = page.get("/api/time").json()
    assert summary["seconds_per_object"] == 3.0
    assert summary["seconds_per_keyframe"] == 6.0
    assert summary["total_seconds"] == 6.5
    assert summary["seconds_per_drawn_object"] == 79.0
    assert {"frame": 3, "object": 1, "seconds": 0.5} in summary["objects"]


def test_masks_locked_or_deleted_by_hand_are_taken_up(tiny_clip, work):
    page = open_page(tiny_clip, work)
    page.points(0, 1, POINTS)
    write_labels(work / "keyframes" / "00002.png", tiny_mask(2) * 3)
    (work / "keyframes" / "00000.png").unlink()
    state = open_page(tiny_clip, work).state()
    assert [entry["id"] for entry in state["objects"]] == [1, 3]
    assert state["keyframes"]["2"]["objects"]["3"]["mask"]
    assert state["keyframes"]["0"]["draft"]
    assert state["keyframes"]["0"]["objects"]["1"]["points"] == POINTS


def test_a_workspace_of_the_command_line_opens_and_goes_back(tiny_clip, work, tmp_path):
    from click.testing import CliRunner

    clicks = tmp_path / "c.json"
    clicks.write_text(json.dumps({"00000": [POINTS, OTHER]}))
    arguments = [
        "annotate",
        str(tiny_clip),
        "--clicks",
        str(clicks),
        "--out",
        str(work),
        "--model",
        "grabcut",
    ]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    before = keyframe(work)
    page = open_page(tiny_clip, work)
    assert page.state()["keyframes"]["0"]["objects"]["2"]["points"] == OTHER
    page.points(0, 2, [*OTHER, [45, 5]])
    assert ((keyframe(work) == 1) == (before == 1)).all()
    page.do("/api/undo")
    assert (keyframe(work) == before).all()
    page.points(4, 1, POINTS[:2])
    page.do("/api/frames/3/objects/1/stroke", path=[[20, 20]], radius=4)
    clicks.write_text(json.dumps({"00001": [POINTS]}))
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    document = load_annotations(work / "annotations.json")
    assert set(document.keyframes) == {"00000", "00001", "00003"}
    assert "00004" in document.drafts
    again = open_page(tiny_clip, work)
    assert again.state()["history"]["undo"] is None
    # its own file is clicks, too: what was painted and what is a draft is left out
    whole = [*arguments[:3], str(work / "annotations.json"), "--out", str(tmp_path / "copy"), *arguments[6:]]
    result = CliRunner().invoke(main, whole)
    assert result.exit_code == 0, result.output
    assert set(load_annotations(tmp_path / "copy" / "annotations.json").keyframes) == {"00000", "00001"}


def test_a_workspace_of_another_clip_is_refused(tiny_clip, work, tmp_path):
    from tiny_run import other_clip

    from dextr_vos.errors import InputError

    open_page(tiny_clip, work)
    with pytest.raises(InputError, match=r"belongs to .*tiny"):
        open_page(other_clip(tmp_path / "other", count=3), work)


def test_paint_shows_over_whatever_lay_above_and_goes_away_with_an_undo(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2)
    page.points(0, 1, POINTS)
    page.points(0, 2, POINTS)
    before = keyframe(work)
    assert (before == 2).any()
    page.do("/api/frames/0/objects/1/stroke", path=[[17.5, 24.5]], radius=2)
    assert keyframe(work)[24, 17] == 1
    assert (keyframe(work)[before == 2] > 0).all()
    page.do("/api/undo")
    assert (keyframe(work) == before).all()


def test_labels_are_kept_in_a_file_that_a_person_may_edit(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w")
    assert page.state()["labels"] == []
    page.do("/api/labels", labels=[{"name": "horse", "colour": "#E69F00", "key": "h"}, {"name": "rider"}])
    assert page.state()["labels"] == [
        {"name": "horse", "colour": "#e69f00", "key": "h"},
        {"name": "rider", "colour": None, "key": "2"},
    ]
    assert "twice" in page.refused("/api/labels", labels=[{"name": "a"}, {"name": "a"}])
    version = page.state()["version"]
    (tmp_path / "w" / "labels.yaml").write_text("labels: [{name: dog}]")
    page.service.poll()
    state = page.state()
    assert [label["name"] for label in state["labels"]] == ["dog"]
    assert state["version"] > version, "every page hears of it"


def test_a_new_object_does_not_take_the_masks_of_a_deleted_one(tiny_clip, work):
    page = open_page(tiny_clip, work, objects=2)
    page.points(0, 1, POINTS)
    record = RunRecord(
        model="lite",
        clip=RunClip.of(open_clip(tiny_clip)),
        objects=(RunObject(id=1, name="a"), RunObject(id=2, name="b")),
        keyframes=("00000",),
        longest_side=None,
        settings={},
        parent=None,
        seed=0,
        training=RunTraining(steps=1, stop="converged", loss=0.1, seconds=1),
        fingerprint="f" * 64,
    )
    write_text(work / "propagation" / "run.json", record.model_dump_json())
    page.do("/api/objects/2/delete")
    page.do("/api/objects", name="another")
    assert [entry["id"] for entry in page.state()["objects"]] == [1, 3]
