"""Masks edited as a whole: reshaped, copied, swapped, merged, split; each edit is one step of the history."""

import json

import numpy as np
import pytest
from conftest import tiny_mask
from tiny_page import OTHER, POINTS, box, open_page, write_run

from dextr_vos.web.layers import area_mask
from dextr_vos.web.mask_edits import filled, grown, largest_part, shrunk


@pytest.fixture
def page(tiny_clip, tmp_path):
    return open_page(tiny_clip, tmp_path / "w", objects=2)


def mask_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """True within boxes of x0, y0, x1, y1, ends excluded."""
    mask = np.zeros((48, 64), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def test_holes_are_filled_and_open_bays_are_not():
    ring = mask_of((10, 10, 30, 30)) & ~mask_of((15, 15, 20, 20))
    assert (filled(ring) == mask_of((10, 10, 30, 30))).all()
    bay = mask_of((0, 0, 30, 30)) & ~mask_of((0, 10, 20, 20))
    assert (filled(bay) == bay).all()


def test_the_largest_part_stays():
    assert (largest_part(mask_of((0, 0, 9, 9), (20, 20, 22, 22))) == mask_of((0, 0, 9, 9))).all()
    assert not largest_part(mask_of()).any()


def test_a_mask_grows_and_shrinks_but_not_from_the_border_of_the_image():
    assert grown(mask_of((10, 10, 11, 11)), 1).sum() == 5
    assert (shrunk(mask_of((0, 0, 64, 20)), 1) == mask_of((0, 0, 64, 19))).all()


def test_an_outline_holds_the_pixels_whose_centres_it_holds():
    corners = [(10, 10), (20, 10), (20, 15), (10, 15)]
    assert (area_mask(corners, (48, 64)) == mask_of((10, 10, 20, 15))).all()
    assert (area_mask(corners[::-1], (48, 64)) == mask_of((10, 10, 20, 15))).all()
    shifted = [(x + 0.4, y + 0.4) for x, y in corners]
    assert (area_mask(shifted, (48, 64)) == mask_of((10, 10, 20, 15))).all()
    assert (area_mask([*corners, *corners[:3]], (48, 64)) == mask_of((10, 10, 20, 15))).all(), "drawn on"
    assert not area_mask(corners[:2], (48, 64)).any()
    assert area_mask([(-50, -50), (200, -50), (200, 200), (-50, 200)], (48, 64)).all()


def test_a_reshaped_mask_leaves_other_objects_alone_and_is_undone(page):
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/objects/2/stroke", path=[[14, 20], [20, 20]], radius=2)
    page.do("/api/frames/0/objects/1/stroke", path=[[14, 26], [20, 26]], radius=2, erase=True)
    before = page.mask(0)
    answer = page.do("/api/frames/0/objects/1/reshape", operation="fill")
    assert answer["state"]["history"]["undo"] == "fill holes, object 1, frame 00000"
    after = page.mask(0)
    assert (after[24:29, 14:21] == 1).all(), "the hole is filled"
    assert ((before == 2) == (after == 2)).all(), "object 2 keeps its pixels"
    page.do("/api/undo")
    assert (page.mask(0) == before).all()
    version = page.state()["version"]
    page.do("/api/frames/0/objects/2/reshape", operation="fill")
    assert page.state()["version"] == version, "what changes nothing makes no history"
    assert "no mask" in page.refused("/api/frames/3/objects/1/reshape", operation="fill")
    assert "grow" in page.refused("/api/frames/0/objects/1/reshape", operation="melt")


def test_later_clicks_keep_what_was_grown(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w", corrects=True)
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/objects/1/reshape", operation="grow", pixels=3)
    grew = page.mask(0) == 1
    assert grew[20, 5]
    page.points(0, 1, [*POINTS, [50, 40, "positive"]])
    assert (page.mask(0) == 1)[grew].all()


def test_an_area_is_added_and_taken_off(page):
    corners = [[10, 10], [20, 10], [20, 20], [10, 20]]
    page.do("/api/frames/0/objects/1/stroke", path=corners, radius=1, filled=True)
    assert (page.mask(0)[10:20, 10:20] == 1).all()
    page.do("/api/frames/0/objects/1/stroke", path=corners[:3], radius=1, filled=True, erase=True)
    assert page.mask(0)[12, 18] == 0
    assert page.mask(0)[18, 12] == 1


def test_a_mask_is_copied_to_a_frame_and_the_copy_of_a_propagated_frame_is_a_draft(page, tmp_path):
    page.points(0, 1, POINTS)
    answer = page.do("/api/frames/0/objects/1/copy", to=1)
    assert answer["index"] == 1
    assert (page.mask(1) == page.mask(0)).all()
    page.do("/api/undo")
    assert page.mask(1) is None
    write_run(page, tmp_path / "w", keyframes=[0])
    state = page.do("/api/frames/0/objects/1/copy", to=1)["state"]
    assert state["keyframes"]["1"]["corrected"]
    assert "to copy" in page.refused("/api/frames/0/objects/2/copy", to=1)


def test_two_objects_are_swapped_from_a_frame_on(page, tmp_path):
    for index in (0, 3):
        page.points(index, 1, POINTS)
        page.points(index, 2, OTHER)
    write_run(page, tmp_path / "w", keyframes=[0, 3])
    page.do("/api/frames/2/objects/1/swap", other=2)
    assert (page.mask(0) == np.where(box(POINTS), 1, np.where(box(OTHER), 2, 0))).all()
    assert (page.mask(3) == np.where(box(POINTS), 2, np.where(box(OTHER), 1, 0))).all()
    assert (page.mask(2) == np.where(tiny_mask(2) == 1, 2, 0)).all(), "a propagated frame is swapped, too"
    assert page.state()["keyframes"]["2"]["corrected"], "as a draft"
    assert page.state()["keyframes"]["3"]["objects"]["2"]["points"] == POINTS
    page.do("/api/undo")
    assert (page.mask(3) == np.where(box(POINTS), 1, np.where(box(OTHER), 2, 0))).all()
    assert "2" not in page.state()["keyframes"]


@pytest.mark.parametrize("index", [1, 3])
@pytest.mark.parametrize("edit", ["swap", "merge"])
def test_an_edit_of_masks_without_layers_is_undone(page, tiny_clip, tmp_path, index, edit):
    """Commands and imports leave masks without layers."""
    page.points(3, 1, POINTS)
    page.points(3, 2, OTHER)
    write_run(page, tmp_path / "w", keyframes=[3])
    content = json.loads((tmp_path / "w" / "annotations.json").read_text())
    for clicks in content["keyframes"]["00003"]["objects"].values():
        del clicks["layer"]
    (tmp_path / "w" / "annotations.json").write_text(json.dumps(content))
    page = open_page(tiny_clip, tmp_path / "w")
    before = page.mask(3)
    given = {"onwards": True} if edit == "merge" else {}
    page.do(f"/api/frames/{index}/objects/2/{edit}", other=1, **given)
    assert (page.mask(3) != before).any()
    page.do("/api/undo")
    assert (page.mask(3) == before).all()
    assert list(page.state()["keyframes"]) == ["3"], "the draft of a propagated frame is gone again"


def test_overlapping_masks_are_swapped_as_they_look(page):
    page.points(0, 1, POINTS)
    page.points(0, 2, [[12, 20], [40, 22], [16, 10], [17, 25]])
    before = page.mask(0)
    page.do("/api/frames/0/objects/1/swap", other=2)
    assert (page.mask(0) == np.array([0, 2, 1], np.uint8)[before]).all()


def test_the_time_spent_goes_with_the_masks_and_back(page):
    page.points(0, 1, POINTS, active_ms=5000)
    page.points(0, 2, OTHER, active_ms=3000)

    def seconds():
        return {each["object"]: each["seconds"] for each in page.get("/api/time").json()["objects"]}

    page.do("/api/frames/0/objects/1/swap", other=2)
    assert seconds() == {1: 3.0, 2: 5.0}
    page.do("/api/undo")
    assert seconds() == {1: 5.0, 2: 3.0}
    page.do("/api/redo")
    assert seconds() == {1: 3.0, 2: 5.0}


def test_a_stroke_that_was_covered_does_not_come_back_after_a_swap(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w", objects=2, corrects=True)
    page.do("/api/frames/0/objects/1/stroke", path=[[10, 20], [40, 20]], radius=3)
    page.points(0, 2, POINTS)  # on top of part of the stroke
    page.do("/api/frames/0/objects/1/swap", other=2)
    before = page.mask(0)
    page.points(0, 2, [[50, 40, "positive"]])
    assert ((page.mask(0) == 1) == (before == 1)).all()


def test_removing_a_click_after_a_swap_does_not_undo_the_swap(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w", objects=2, corrects=True)
    page.do("/api/frames/0/objects/1/stroke", path=[[14, 20], [20, 20]], radius=2)
    page.do("/api/frames/0/objects/2/stroke", path=[[44, 20], [50, 20]], radius=2)
    page.points(0, 2, [[47, 30, "positive"]])
    page.do("/api/frames/0/objects/1/swap", other=2)
    page.points(0, 1, [])
    assert page.mask(0)[20, 46] == 1
    assert page.mask(0)[20, 16] == 2


def test_a_mask_that_is_shrunk_away_is_gone(page):
    page.do("/api/frames/0/objects/1/stroke", path=[[50, 40]], radius=3)
    state = page.do("/api/frames/0/objects/1/reshape", operation="shrink", pixels=10)["state"]
    assert not state["keyframes"]


def test_a_copy_is_seen_whole_where_another_object_was_above(page):
    page.points(0, 1, POINTS)
    page.points(1, 2, [[12, 20], [40, 22], [16, 10], [17, 25]])
    page.do("/api/frames/0/objects/1/copy", to=1)
    assert ((page.mask(1) == 1) == box(POINTS)).all()
    assert (page.mask(1) == 2).any()


def test_smaller_parts_become_a_new_object_and_one_undo_joins_them_again(page):
    for path in ([[10, 20], [25, 20]], [[50, 10]], [[50, 40]]):
        page.do("/api/frames/0/objects/1/stroke", path=path, radius=3)
    before = page.mask(0)
    answer = page.do("/api/frames/0/objects/1/split")
    assert answer["id"] == 3
    after = page.mask(0)
    assert ((after > 0) == (before > 0)).all(), "no pixel is lost"
    assert [after[20, 12], after[10, 50], after[40, 50]] == [1, 3, 3]
    assert "one part" in page.refused("/api/frames/0/objects/1/split")
    state = page.do("/api/undo")["state"]
    assert (page.mask(0) == before).all()
    assert [entry["id"] for entry in state["objects"]] == [1, 2]


def test_what_an_outline_goes_around_becomes_a_new_object_in_a_propagated_frame(page, tmp_path):
    page.points(0, 1, POINTS)
    write_run(page, tmp_path / "w", keyframes=[0])
    before = page.mask(3)
    left, right = np.nonzero(before.any(axis=0))[0][[0, -1]].tolist()
    around = [[left, 0], [left + 5, 0], [left + 5, 48], [left, 48]]
    answer = page.do("/api/frames/3/objects/1/split", outline=around)
    after = page.mask(3)
    assert (after[:, left : left + 5] == 3 * before[:, left : left + 5]).all()
    assert (after[:, left + 5 :] == before[:, left + 5 :]).all()
    assert answer["state"]["keyframes"]["3"]["corrected"], "as a draft"
    page.do("/api/undo")
    assert not page.state()["keyframes"].get("3")
    everything = [[0, 0], [64, 0], [64, 48], [0, 48]]
    assert "all of object 1" in page.refused("/api/frames/3/objects/1/split", outline=everything)
    beside = [[right + 2, 0], [right + 4, 0], [right + 4, 4]]
    assert "nothing of object 1" in page.refused("/api/frames/3/objects/1/split", outline=beside)


def test_a_part_that_another_object_covers_goes_with_a_split(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w", objects=2, corrects=True)
    page.do("/api/frames/0/objects/1/stroke", path=[[10, 20], [50, 20]], radius=3)
    page.do("/api/frames/0/objects/2/stroke", path=[[30, 10], [30, 30]], radius=3)
    before = page.mask(0)
    page.do("/api/frames/0/objects/1/split")
    page.do("/api/frames/0/objects/2/clear")
    expected = np.where(before == 2, 0, page.mask(0))
    assert (page.mask(0) == expected).all(), "nothing appears below the object that is gone"


def test_an_object_gets_the_mask_of_another_in_one_frame(page):
    for index in (0, 3):
        page.points(index, 1, POINTS, active_ms=2000)
        page.points(index, 2, OTHER, active_ms=3000)
    page.do("/api/frames/0/objects/1/merge", other=2, active_ms=1000)
    both = box(POINTS) | box(OTHER)
    assert (page.mask(0) == np.where(both, 1, 0)).all()
    assert (page.mask(3) == np.where(box(POINTS), 1, np.where(box(OTHER), 2, 0))).all()
    seconds = {
        (each["frame"], each["object"]): each["seconds"] for each in page.get("/api/time").json()["objects"]
    }
    assert seconds == {(0, 1): 6.0, (3, 1): 2.0, (3, 2): 3.0}
    state = page.do("/api/undo")["state"]
    assert (page.mask(0) == np.where(box(POINTS), 1, np.where(box(OTHER), 2, 0))).all()
    assert state["keyframes"]["0"]["objects"]["2"]["points"] == OTHER


def test_objects_are_merged_from_a_frame_on_and_later_clicks_keep_that(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w", objects=2, corrects=True)
    page.points(0, 1, POINTS)
    page.points(3, 2, POINTS)
    page.points(4, 1, POINTS)
    page.points(4, 2, OTHER)
    write_run(page, tmp_path / "w", keyframes=[0])
    page.do("/api/frames/2/objects/2/merge", other=1, onwards=True)
    assert (page.mask(0) == box(POINTS)).all(), "frames before stay"
    assert (page.mask(2) == np.where(tiny_mask(2) == 1, 2, 0)).all(), "a propagated frame is merged, too"
    assert page.state()["keyframes"]["2"]["corrected"], "as a draft"
    assert (page.mask(3) == np.where(box(POINTS), 2, 0)).all(), "here there is nothing to merge"
    both = np.where(box(POINTS) | box(OTHER), 2, 0)
    assert (page.mask(4) == both).all()
    page.points(4, 2, [*OTHER, [50, 40, "positive"]])
    assert (page.mask(4) == 2)[both == 2].all()
    page.do("/api/undo")
    page.do("/api/undo")
    assert "2" not in page.state()["keyframes"]
    assert (page.mask(4) == np.where(box(POINTS), 1, np.where(box(OTHER), 2, 0))).all()


def test_a_merge_takes_what_is_seen_of_the_other_object(page):
    page.points(0, 1, [[12, 20], [40, 22], [16, 10], [17, 25]])
    page.points(0, 2, POINTS)  # on top of part of object 1
    before = page.mask(0)
    page.do("/api/objects", name="third")
    page.do("/api/frames/0/objects/3/stroke", path=[[14, 20], [20, 20]], radius=2)
    seen = page.mask(0)
    page.do("/api/frames/0/objects/2/merge", other=3)
    assert (page.mask(0) == np.where(seen == 3, 2, seen)).all()
    page.do("/api/frames/0/objects/1/merge", other=2)
    assert ((page.mask(0) == 1) == ((before > 0) | (seen == 3))).all()
    assert "no mask" in page.refused("/api/frames/0/objects/1/merge", other=2)
    assert "twice" in page.refused("/api/frames/0/objects/1/merge", other=1)


def test_a_merge_leaves_clicks_without_a_mask_to_their_object(page):
    page.points(0, 1, POINTS)
    page.points(0, 2, OTHER[:2])
    page.points(3, 2, OTHER)
    page.points(4, 2, OTHER[:2])
    page.do("/api/frames/4/lock", locked=True)
    assert "no mask" in page.refused("/api/frames/0/objects/1/merge", other=2)
    left = [page.state()["keyframes"][index] for index in "04"]
    page.do("/api/frames/0/objects/1/merge", other=2, onwards=True)
    assert [page.state()["keyframes"][index] for index in "04"] == left
    assert (page.mask(3) == np.where(box(OTHER), 1, 0)).all()


def test_a_merge_leaves_alone_what_a_third_object_covers(page):
    page.points(0, 1, OTHER)
    page.points(0, 2, POINTS)
    page.do("/api/objects", name="third")
    page.do("/api/frames/0/objects/3/stroke", path=[[14, 20], [20, 20]], radius=2)
    seen = page.mask(0)
    page.do("/api/frames/0/objects/1/merge", other=2)
    assert (page.mask(0) == np.where(seen == 2, 1, seen)).all()
    assert set(page.state()["keyframes"]["0"]["objects"]) == {"1", "3"}
    assert page.state()["history"]["undo"] == "object 2 merged into object 1 in frame 00000"


def test_a_merge_takes_clicks_that_were_begun_beside_a_mask(page):
    page.do("/api/frames/0/objects/2/stroke", path=[[14, 20], [20, 20]], radius=2)
    page.points(0, 2, OTHER[:2])
    assert page.state()["keyframes"]["0"]["objects"]["2"]["points"] == OTHER[:2]
    seen = page.mask(0)
    page.do("/api/frames/0/objects/1/merge", other=2)
    assert (page.mask(0) == np.where(seen == 2, 1, seen)).all()
    assert set(page.state()["keyframes"]["0"]["objects"]) == {"1"}
    page.do("/api/undo")
    assert page.state()["keyframes"]["0"]["objects"]["2"]["points"] == OTHER[:2]


def test_a_merge_from_a_frame_on_is_refused_where_a_later_frame_is_locked(page):
    for index in (0, 3):
        page.points(index, 2, POINTS)
    page.do("/api/frames/3/lock", locked=True)
    before = page.state()["keyframes"]
    shown = page.refused("/api/frames/0/objects/1/merge", other=2, onwards=True)
    assert "locked" in shown
    assert "00003" in shown
    assert page.state()["keyframes"] == before
    page.do("/api/frames/0/objects/1/merge", other=2)
    later = page.refused("/api/frames/1/objects/2/merge", other=1, onwards=True)
    assert later == "object 1 has no mask in frame '00001' or a later one to merge; click on it first"
    here = page.refused("/api/frames/1/objects/2/merge", other=1)
    assert here == "object 1 has no mask in frame '00001' to merge; click on it first"


def test_the_time_of_edits_of_a_whole_mask_counts(page):
    page.do("/api/frames/0/objects/1/stroke", path=[[14, 20], [20, 20]], radius=2)
    page.do("/api/frames/0/objects/1/stroke", path=[[50, 20]], radius=2)
    page.do("/api/frames/0/objects/1/reshape", operation="grow", active_ms=1000)
    page.do("/api/frames/0/objects/1/copy", to=2, active_ms=2000)
    page.do("/api/frames/0/objects/1/split", active_ms=3000)
    seconds = {
        (each["frame"], each["object"]): each["seconds"] for each in page.get("/api/time").json()["objects"]
    }
    assert seconds == {(0, 1): 4.0, (2, 1): 2.0}


def test_a_locked_frame_is_refused(page):
    page.points(0, 1, POINTS)
    page.points(0, 2, OTHER)
    page.do("/api/frames/0/lock", locked=True)
    assert "locked" in page.refused("/api/frames/0/objects/1/swap", other=2)
    assert "locked" in page.refused("/api/frames/0/objects/1/merge", other=2)
    assert "locked" in page.refused("/api/frames/0/objects/1/reshape", operation="grow")
