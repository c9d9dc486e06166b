"""Clicks, drags and strokes in a real browser: what is painted is what the segmenter makes of them."""

import numpy as np
import pytest

THREE_SCREENS = [
    pytest.param(1.0, 1.0, id="zoom 1"),
    pytest.param(4.0, 1.0, id="zoom 4"),
    pytest.param(1.0, 2.0, id="two screen pixels to one"),
    pytest.param(2.7, 1.5, id="zoom 2.7 and one and a half"),
]


def test_four_clicks_in_any_order_make_the_segmenters_own_mask(annotating, open_screen, extremes, expected):
    with open_screen(annotating.address) as screen:
        screen.go_empty(0)
        left, right, top, bottom = extremes(0)
        screen.click(bottom, left, top)
        screen.says("hint", "1 more")
        assert not screen.labels().any(), "three points make no mask"
        screen.click(right)
        painted = screen.labels()
        assert np.array_equal(painted, expected(0, {1: [bottom, left, top, right]}))
        assert painted.any()
        assert np.array_equal(screen.server_mask(0), painted)


@pytest.mark.parametrize(("zoom", "density"), THREE_SCREENS)
def test_a_click_means_exactly_its_pixel(annotating, open_screen, zoom, density):
    with open_screen(annotating.address, device_scale_factor=density) as screen:
        screen.go_empty(11)
        wanted = [(0, 0), (853, 479), (501, 250), (333, 111), (334, 140)]
        for pixel in wanted:
            screen.page.keyboard.press("f")
            screen.page.evaluate("([zoom, x, y]) => dextrVos.zoomTo(zoom, x, y)", [zoom, *pixel])
            assert screen.shown()["scale"] == zoom
            screen.click(pixel)
        assert [tuple(point[:2]) for point in screen.points(11)] == wanted
        for _ in wanted:
            screen.press("Backspace")
        assert not screen.points(11)


def test_a_dragged_point_takes_the_mask_along_in_one_step_of_undo(
    annotating, open_screen, extremes, expected
):
    with open_screen(annotating.address) as screen:
        screen.go_empty(1)
        points = extremes(1)
        screen.click(*points)
        first = screen.labels()
        left = points[0]
        screen.drag(left, (left[0] - 9, left[1] + 2), (left[0] - 14, left[1] + 5))
        moved = [(left[0] - 14, left[1] + 5), *points[1:]]
        assert screen.points(1) == [list(point) for point in moved]
        assert np.array_equal(screen.labels(), expected(1, {1: moved}))
        screen.press("Control+z")
        assert screen.points(1) == [list(point) for point in points], "a drag is one step"
        assert np.array_equal(screen.labels(), first)


def test_shift_click_makes_a_mask_at_once_which_further_clicks_correct(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        screen.go_empty(5)
        left, right, top, bottom = extremes(5)
        middle = ((left[0] + right[0]) // 2, (top[1] + bottom[1]) // 2)
        screen.page.keyboard.down("Shift")
        screen.click(middle)
        screen.page.keyboard.up("Shift")
        first = screen.labels()
        assert screen.points(5) == [[*middle, "positive"]]
        assert first[middle[1], middle[0]]
        screen.click((60, 60), button="right")
        assert screen.points(5)[1] == [60, 60, "negative"]
        screen.press("Backspace")
        assert np.array_equal(screen.labels(), first)
        screen.press("Backspace")
        assert not screen.labels().any()


def test_ends_that_are_close_together_are_four_points(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        screen.go_empty(9)
        ends = [(300, 200), (303, 203), (420, 150), (430, 202)]
        screen.click(*ends[:2])
        screen.click(ends[1])
        assert screen.points(9) == [list(end) for end in ends[:2]], "a click on a point itself selects it"
        screen.click(*ends[2:])
        assert screen.points(9) == [list(end) for end in ends]
        assert screen.labels().any()


def test_clicks_add_and_remove_and_backspace_takes_them_back(
    annotating, open_screen, extremes, expected, refined
):
    with open_screen(annotating.address) as screen:
        screen.go_empty(2)
        points = extremes(2)
        screen.click(*points)
        four = screen.labels()
        assert np.array_equal(four, expected(2, {1: points}))
        screen.says("hint", "right-click")
        more, less = (points[0][0] - 12, points[0][1]), (points[2][0], points[2][1] + 25)
        screen.click(more)
        added = screen.labels()
        assert screen.points(2) == [*map(list, points), [*more, "positive"]]
        assert np.array_equal(added, refined(2, four, points, [(*more, True)]))
        screen.click(less, button="right")
        removed = screen.labels()
        assert screen.points(2)[-1] == [*less, "negative"]
        assert np.array_equal(removed, refined(2, added, points, [(*more, True), (*less, False)]))
        screen.press("Backspace")
        assert np.array_equal(screen.labels(), added)
        screen.press("Backspace")
        assert np.array_equal(screen.labels(), four)
        screen.press("Control+z", "Control+z")
        assert np.array_equal(screen.labels(), removed)


@pytest.mark.parametrize("way", ["alt and click", "tool", "alt and enter"])
def test_a_negative_click_is_made_in_every_way(annotating, open_screen, extremes, way):
    with open_screen(annotating.address) as screen:
        screen.go_empty(10)
        less = (60, 60)
        screen.click(*extremes(10))
        before = screen.points(10)
        x, y = screen.where(less)
        screen.page.mouse.move(x, y)
        if way == "alt and enter":
            screen.press("Alt+Enter")
        elif way == "tool":
            screen.press("a")
            screen.has("tool-negative", "aria-checked", "true")
            screen.click(less)
        else:
            screen.page.keyboard.down("Alt")
            screen.click(less)
            screen.page.keyboard.up("Alt")
        assert screen.points(10) == [*before, [*less, "negative"]]
        screen.press("Backspace")
        assert screen.points(10) == before


def test_a_negative_click_needs_a_mask(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        screen.go_empty(9)
        screen.click((400, 200), button="right")
        screen.says("toast", "no mask")
        assert not screen.points(9)


def test_strokes_stay_when_a_click_corrects(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        screen.go_empty(7)
        screen.click(*extremes(7))
        screen.press("b")
        screen.drag((100, 60), (160, 60))
        screen.press("e")
        left, right, top, _ = extremes(7)
        inside = ((left[0] + right[0]) // 2, (top[1] + left[1]) // 2)
        screen.drag(inside, (inside[0] + 20, inside[1]))
        screen.press("c")
        screen.click((left[0] - 10, left[1]))
        labels = screen.labels()
        assert (labels[60, 100:161] == 1).all(), "painted"
        assert (labels[inside[1], inside[0] : inside[0] + 20] == 0).all(), "erased"
        screen.page.reload()
        screen.settle()
        screen.press("Backspace")
        labels = screen.labels()
        assert (labels[60, 100:161] == 1).all(), "painted"
        assert (labels[inside[1], inside[0] : inside[0] + 20] == 0).all(), "erased"


def test_arrow_keys_nudge_the_chosen_point(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        screen.go_empty(3)
        points = extremes(3)
        screen.click(*points)
        screen.click(points[3])
        screen.press("ArrowDown", "ArrowDown", "Shift+ArrowLeft")
        x, y = points[3]
        assert screen.points(3)[3] == [x - 10, y + 2]
        assert screen.shown()["frame"] == 3, "arrows moved the point, not the film"
        screen.press("Escape", "ArrowRight")
        assert screen.shown()["frame"] == 4


def test_brush_and_eraser_change_what_they_pass_over(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        screen.go_empty(4)
        screen.click(*extremes(4))
        clicked = screen.labels()
        screen.press("b")
        screen.drag((100, 100), (160, 100))
        painted = screen.labels()
        assert (painted[100, 96:165] == 1).all()
        assert painted[100, 80] == painted[120, 130] == 0
        assert np.array_equal(painted[:, 220:], clicked[:, 220:]), "elsewhere all stays as it was"
        screen.press("e")
        screen.drag((130, 80), (130, 120))
        erased = screen.labels()
        assert (erased[100, 124:137] == 0).all()
        assert erased[100, 105] == erased[100, 155] == 1
        assert np.array_equal(screen.server_mask(4), erased)


def test_a_stroke_is_painted_before_the_server_answers(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        screen.go_empty(5)
        screen.press("b")
        screen.route("**/stroke", lambda route: None)
        screen.page.mouse.move(*screen.where((400, 300)))
        screen.page.mouse.down()
        screen.page.mouse.move(*screen.where((440, 320)), steps=5)
        screen.page.mouse.up()
        assert screen.page.evaluate("() => dextrVos.labels()?.[320 * 854 + 440]") == 1
        screen.page.unroute("**/stroke")


def test_undo_and_redo_reach_over_a_reload_and_jump_to_their_frame(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        screen.go_empty(6)
        screen.click(*extremes(6))
        made = screen.labels()
        screen.go(9)
        screen.page.reload()
        screen.settle()
        assert screen.shown()["frame"] == 9, "a reload comes back to the frame"
        screen.press("Control+z")
        assert screen.shown()["frame"] == 6
        assert len(screen.points(6)) == 3
        assert not screen.labels().any()
        screen.press("Control+Shift+z")
        assert np.array_equal(screen.labels(), made)


def test_two_objects_share_a_frame(annotating, open_screen, extremes, expected):
    with open_screen(annotating.address) as screen:
        screen.go_empty(7)
        scooter = extremes(7)
        screen.click(*scooter)
        screen.press("n")
        second = screen.shown()["object"]
        assert second != 1
        thing = [(88, 215), (170, 240), (120, 190), (140, 290)]
        screen.click(*thing)
        labels = screen.labels()
        assert np.array_equal(labels, expected(7, {1: scooter, second: thing}))
        assert set(np.unique(labels)) == {0, 1, second}
        screen.press("1")
        assert screen.shown()["object"] == 1
        screen.test_id(f"object-{second}").locator(".choose").click()
        screen.press("Control+Delete")
        screen.test_id("ask-yes").click()
        screen.until(f"() => !document.querySelector('[data-test=object-{second}]')")
        assert set(np.unique(screen.labels())) == {0, 1}
        screen.press("Control+z")
        assert np.array_equal(screen.labels(), labels), "a deleted object comes back"
        screen.press("Control+Shift+z")


@pytest.mark.parametrize("way", ["shift", "tool"])
def test_a_box_makes_a_mask_at_once_which_clicks_correct(annotating, open_screen, extremes, boxed, way):
    with open_screen(annotating.address) as screen:
        screen.go_empty(8)
        left, right, top, bottom = extremes(8)
        box = (left[0] - 2, top[1] - 3), (right[0] + 2, bottom[1] + 3)
        if way == "tool":
            screen.press("Shift+B")
            screen.says("hint", "Drag a box")
        else:
            screen.page.keyboard.down("Shift")
        screen.drag(*box)
        screen.page.keyboard.up("Shift")
        corners = [[*corner, "box"] for corner in box]
        assert screen.points(8) == corners
        first = screen.labels()
        assert np.array_equal(first, boxed(8, *box))
        assert screen.test_id("object-1").locator(".has").inner_text() == "box"
        screen.press("c")
        screen.click((60, 60), button="right")
        assert screen.points(8) == [*corners, [60, 60, "negative"]]
        screen.press("Backspace")
        assert np.array_equal(screen.labels(), first)
        screen.drag(box[1], (box[1][0] + 8, box[1][1] + 6))
        moved = (box[1][0] + 8, box[1][1] + 6)
        assert screen.points(8) == [corners[0], [*moved, "box"]], "a corner is dragged like a point"
        assert np.array_equal(screen.labels(), boxed(8, box[0], moved))
        screen.press("Control+z")
        assert np.array_equal(screen.labels(), first)
        screen.press("Backspace")
        assert screen.points(8) == [], "both corners go"
        assert not screen.labels().any()


def test_a_box_of_two_pixels_is_a_click(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        screen.go_empty(8)
        left, right, top, bottom = extremes(8)
        x, y = (left[0] + right[0]) // 2, (top[1] + bottom[1]) // 2
        screen.page.evaluate(f"() => dextrVos.zoomTo(40, {x}, {y})")
        screen.page.keyboard.down("Shift")
        screen.drag((x, y), (x + 4, y + 4), (x + 2, y + 1))
        screen.page.keyboard.up("Shift")
        assert screen.points(8) == [[x + 2, y + 1, "positive"]]


def test_the_box_tool_makes_a_mask_of_one_click(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        screen.go_empty(8)
        left, right, top, bottom = extremes(8)
        middle = ((left[0] + right[0]) // 2, (top[1] + bottom[1]) // 2)
        screen.press("Shift+B")
        screen.click(middle)
        assert screen.points(8) == [[*middle, "positive"]]
        assert screen.labels()[middle[1], middle[0]]
        screen.drag(top, bottom)
        assert screen.points(8) == [[*top, "box"], [*bottom, "box"]], "a box takes the place of all clicks"
        assert "box on" in screen.test_id("undo").get_attribute("aria-label")


# Whether the canvas of the loupe is opaque at a place of the window.
OPAQUE = """([x, y]) => { const canvas = document.getElementById("hud"), box = canvas.getBoundingClientRect();
  return canvas.getContext("2d").getImageData(x - box.left, y - box.top, 1, 1).data[3] === 255; }"""


def test_the_loupe_is_on_the_side_away_from_the_mask(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        screen.go_empty(1)
        left, _, top, bottom = extremes(1)
        screen.press("Shift+B", "Shift+C")  # without previews
        screen.click((left[0] + 12, (top[1] + bottom[1]) // 2))
        labels = screen.labels()
        middle = int(np.argwhere(labels)[:, 1].mean())
        side = (middle - 25, int(np.argwhere(labels)[:, 0].mean()) + 40)
        x, y = screen.where(side)
        screen.page.mouse.move(x, y)
        screen.drawn()
        screen.wait_for(lambda: screen.page.evaluate(OPAQUE, [x - 60, y + 60]))
        assert not screen.page.evaluate(OPAQUE, [x + 60, y + 60])
