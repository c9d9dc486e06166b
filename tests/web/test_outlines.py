"""Outlines drawn on a mask, whose corners can be moved until something else is changed."""

import pytest
from tiny_page import OTHER, POINTS, open_page, write_run

from dextr_vos.web.layers import area_mask


@pytest.fixture
def page(tiny_clip, tmp_path):
    return open_page(tiny_clip, tmp_path / "w", objects=2)


SQUARE = [[10, 10], [20, 10], [20, 20], [10, 20]]
STROKE = "/api/frames/0/objects/1/stroke"


def outlined(page, path, outline="a", moved=True, frame=0, **more):
    """Draw an outline whose corners can be moved, or move them."""
    more = {"path": path, "radius": 1, "filled": True, "outline": outline, "moved": moved, **more}
    return page.do(f"/api/frames/{frame}/objects/1/stroke", **more)


def test_moved_corners_replace_what_the_outline_had_painted_and_each_move_is_undone(page):
    page.points(0, 1, OTHER)
    clicked = page.mask(0)
    outlined(page, SQUARE, moved=False)
    first = page.mask(0)
    outlined(page, [[14, 14], *SQUARE[1:]])
    assert page.mask(0)[11, 11] == 0, "the corner is not there any more"
    assert page.mask(0)[18, 18] == 1
    outlined(page, SQUARE[1:])
    third = page.mask(0)
    assert ((third == 1) == ((clicked == 1) | area_mask(SQUARE[1:], clicked.shape))).all()
    page.do("/api/undo")
    page.do("/api/undo")
    assert (page.mask(0) == first).all()
    page.do("/api/redo")
    page.do("/api/redo")
    assert (page.mask(0) == third).all()
    outlined(page, SQUARE[1:])
    assert page.state()["history"]["undo"].startswith("lasso"), "sent twice, it is one change"
    for _ in range(3):
        page.do("/api/undo")
    assert (page.mask(0) == clicked).all()


def test_corners_move_after_a_restart_and_while_they_erase(page, tiny_clip, tmp_path):
    page.points(0, 1, POINTS)
    clicked = page.mask(0)
    outlined(page, SQUARE, moved=False, erase=True)
    page.service.close()
    again = open_page(tiny_clip, tmp_path / "w")
    outlined(again, [[x + 6, y + 6] for x, y in SQUARE], erase=True)
    assert (again.mask(0)[10:16, 10:16] == clicked[10:16, 10:16]).all()
    assert not again.mask(0)[16:26, 16:26].any()
    again.service.close()


def test_corners_are_not_moved_once_something_else_was_changed(page):
    reason = "cannot be moved any more: something else was changed"
    body = {"path": SQUARE, "radius": 1, "filled": True, "outline": "a", "moved": True}
    assert reason in page.refused(STROKE, **body)
    outlined(page, SQUARE, moved=False)
    outlined(page, [[40, 30], [50, 30], [50, 40]], outline="b", moved=False)
    before = page.mask(0)
    assert reason in page.refused(STROKE, **body)
    assert (page.mask(0) == before).all()
    page.do("/api/undo")
    outlined(page, [[30, 30], *SQUARE[1:]])
    assert page.mask(0)[11, 11] == 0, "the other one was taken back"
    assert "moved goes with outline" in page.refused(STROKE, **{**body, "outline": None})


def test_moved_corners_on_a_propagated_mask_keep_it(page, tmp_path):
    page.points(0, 1, POINTS)
    write_run(page, tmp_path / "w", keyframes=[0])
    propagated = page.mask(2)
    outlined(page, [[40, 30], [50, 30], [50, 40]], moved=False, frame=2)
    outlined(page, [[40, 30], [50, 30], [45, 35]], frame=2)
    changed = page.mask(2) != propagated
    assert changed[31, 45]
    assert not changed[38, 49]
    assert not changed[:30].any()
    page.do("/api/undo")
    page.do("/api/undo")
    assert list(page.state()["keyframes"]) == ["0"], "no draft is left"


def test_an_outline_around_no_pixel_makes_no_empty_mask(page):
    line = [[10, 10], [20, 20], [15, 15]]
    for path in (line, [[-20, -20], [-10, -20], [-10, -10]]):
        assert "the lasso has drawn on no pixel" in page.refused(STROKE, path=path, radius=1, filled=True)
    assert "the brush has drawn on no pixel" in page.refused(STROKE, path=[[-50, -50]], radius=2)
    assert page.state()["keyframes"] == {}
