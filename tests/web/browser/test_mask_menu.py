"""The lasso, and what the menu does to a mask as a whole, in a real browser."""

import numpy as np
import pytest
from conftest import write_tiny_clip
from web.browser.conftest import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("menu")
    server = Server(write_tiny_clip(folder / "tiny"), "--model", "grabcut", out=folder / "work")
    yield server
    server.stop()


def painted_object(screen, *strokes):
    """Add an object, paint it with the brush; its id."""
    screen.press("n", "b")
    for stroke in strokes:
        screen.drag(*stroke)
    return screen.shown()["object"]


def test_a_lasso_draws_a_mask_which_is_filled_copied_and_undone(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(1)
        screen.go_empty(0)
        screen.press("n", "y")
        label = screen.shown()["object"]
        screen.drag((10, 10), (40, 10), (40, 40), (10, 40))
        drawn = screen.labels()
        assert (drawn[12:38, 12:38] == label).all()
        for corner in ((20, 20), (30, 20), (30, 30)):
            screen.page.mouse.click(*screen.where(corner), button="right")
        screen.press("Enter")
        holed = screen.labels()
        assert holed[21, 28] == 0, "the corners that the right button clicked are taken off"
        screen.press("i", "f")
        assert np.array_equal(screen.labels(), drawn)
        screen.press("Control+z")
        assert np.array_equal(screen.labels(), holed)
        screen.press("i", "c")
        screen.until("() => dextrVos.shown().frame === 1")
        assert np.array_equal(screen.labels(), holed)


def test_an_area_is_seen_before_the_server_has_answered(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(2)
        screen.press("n")
        label = screen.shown()["object"]
        held = []
        screen.route("**/stroke", lambda route: held.append(route))
        screen.press("y")
        screen.drag((10, 10), (41, 13), (37, 40), (12, 33), (44, 20), settle=False)
        screen.until(f"() => dextrVos.labels() && dextrVos.labels().includes({label})")
        ours = screen.page.evaluate("() => [...dextrVos.labels()].join()")
        screen.wait_for(lambda: held)
        held[0].continue_()
        screen.settle()
        assert screen.page.evaluate("() => [...dextrVos.labels()].join()") == ours, "pixel for pixel"


def test_a_part_is_split_off_by_the_menu_and_by_the_lasso(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(5)
        first = painted_object(screen, ((10, 10), (30, 10)), ((50, 40), (52, 40)))
        screen.press("i", "p")
        second = screen.shown()["object"]
        assert second != first, "the new object is selected"
        assert [screen.labels()[at] for at in ((10, 12), (40, 51))] == [first, second]
        screen.test_id(f"object-{first}").locator(".choose").click()
        screen.press("i", "y")
        screen.says("hint", "becomes a new object")
        screen.drag((24, 2), (40, 2), (40, 20), (24, 20))
        third = screen.shown()["object"]
        assert [screen.labels()[10, x] for x in (12, 28)] == [first, third]
        screen.has("tool-brush", "aria-checked", "true")  # as it was before


def test_a_split_that_is_left_paints_on_no_object_and_a_late_answer_selects_none(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(1)
        other = painted_object(screen, ((10, 30), (30, 30)))
        first = painted_object(screen, ((10, 10), (30, 10)), ((50, 40), (52, 40)))
        before = screen.labels()
        for leave in (
            lambda: screen.test_id(f"object-{other}").locator(".choose").click(),
            lambda: screen.press("Escape"),
        ):
            screen.test_id(f"object-{first}").locator(".choose").click()
            screen.press("i", "y")
            for corner in ((24, 2), (40, 2), (40, 20)):
                screen.page.mouse.click(*screen.where(corner))
            leave()
            screen.press("Enter")
            assert np.array_equal(screen.labels(), before)
            screen.has("tool-brush", "aria-checked", "true")  # as it was before
        held = []
        screen.route("**/split", lambda route: held.append(route))
        screen.test_id(f"object-{first}").locator(".choose").click()
        screen.press("i", "p", settle=False)
        screen.wait_for(lambda: held)
        screen.test_id(f"object-{other}").locator(".choose").click()
        held[0].continue_()
        screen.settle()
        assert screen.labels().max() > max(first, other), "it is split"
        assert screen.shown()["object"] == other


def test_an_object_gets_the_mask_of_another_and_undo_gives_it_back(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(3)
        other = painted_object(screen, ((10, 10), (30, 10)))
        into = painted_object(screen, ((10, 40), (30, 40)))
        before = screen.labels()
        screen.press("i", "m")
        name = screen.test_id(f"object-{other}").locator(".choose").inner_text()
        screen.test_id("mask-menu").get_by_text(name, exact=True).click()
        screen.settle()
        assert np.array_equal(screen.labels(), np.where(before > 0, into, 0))
        screen.press("Control+z")
        assert np.array_equal(screen.labels(), before)


def test_an_outline_that_was_begun_is_dropped_by_escape(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(3)
        screen.press("n", "y")
        for corner in ((20, 20), (30, 20), (30, 30)):
            screen.page.mouse.click(*screen.where(corner))
        screen.press("Escape", "Enter")
        assert not screen.labels().any()


def test_an_outline_loses_its_last_corner_and_is_for_the_object_that_is_selected(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(4)
        screen.press("n", "y")
        for corner in ((10, 10), (40, 10), (40, 40), (60, 2), (60, 4)):
            screen.page.mouse.click(*screen.where(corner))
        screen.press("Backspace", "Control+z", "n", "Enter")
        drawn = screen.labels()
        assert drawn[15, 35] == screen.shown()["object"] == drawn.max()
        assert not drawn[:8].any(), "the last corners were taken back"
        screen.page.mouse.click(*screen.where((20, 20)))
        screen.press("ArrowRight")
        screen.says("toast", "not closed")


def outlined(screen, *corners):
    """Click the corners of an outline, and close it; the labels after it."""
    for corner in corners:
        screen.page.mouse.click(*screen.where(corner))
    screen.press("Enter")
    return screen.labels()


def test_corners_of_a_closed_outline_are_moved_and_removed_and_each_is_undone(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(5)
        screen.press("n", "y")
        screen.says("hint", "click its corners")
        first = outlined(screen, (10, 10), (40, 10), (40, 40), (10, 40))
        screen.says("hint", "Drag a corner")
        screen.drag((40, 40), (50, 30), (25, 25))
        moved = screen.labels()
        assert moved[30, 35] == 0 < moved[15, 30], "smaller than it was"
        assert np.array_equal(moved, screen.server_mask(5)), "seen as the server has it"
        screen.page.mouse.click(*screen.where((10, 40)))
        screen.press("Delete")
        removed = screen.labels()
        assert removed[30, 12] == 0 < removed[12, 30]
        assert np.array_equal(removed, screen.server_mask(5))
        screen.press("Control+z")
        assert np.array_equal(screen.labels(), moved), "one edit a corner"
        screen.press("Control+z")
        assert np.array_equal(screen.labels(), first)
        screen.drag((10, 10), (20, 20))
        assert screen.labels()[12, 12] == 0 < screen.labels()[25, 25], "they can be moved after an undo, too"
        screen.press("Control+z", "Control+z")
        assert not screen.labels().any(), "the outline itself was one edit"


@pytest.mark.parametrize("key", ["b", "ArrowLeft", "Escape", "n"])
def test_corners_stay_once_something_else_is_chosen(server, open_screen, key):
    with open_screen(server.address) as screen:
        screen.go_empty(5)
        screen.press("n", "y")
        drawn = outlined(screen, (10, 10), (40, 10), (40, 40))
        label = screen.shown()["object"]
        screen.press(key)
        screen.go(5)
        screen.press("y")
        screen.drag((40, 40), (55, 45), (50, 20))
        assert ((screen.labels() == label)[drawn == label]).all() or key == "n", "nothing is taken off"
        assert "Drag a corner" not in screen.test_id("hint").inner_text()


def test_an_outline_that_something_else_has_changed_says_so(server, open_screen):
    with open_screen(server.address) as screen, open_screen(server.address) as other:
        screen.go_empty(5)
        screen.press("n", "y")
        drawn = outlined(screen, (10, 10), (40, 10), (40, 40))
        version = screen.shown()["version"]
        other.go(4)
        other.press("n")
        screen.until(f"() => dextrVos.shown().version > {version}")
        screen.drag((40, 10), (20, 20))
        screen.says("toast", "cannot be moved any more")
        assert np.array_equal(screen.labels(), drawn)
