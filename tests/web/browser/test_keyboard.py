"""A session without a mouse: the cross-hair, too, is moved by keys."""

import numpy as np

MOVES = [
    ["Alt+Shift+ArrowRight"] * 14,
    ["Alt+Shift+ArrowUp"] * 9,
    ["Alt+Shift+ArrowRight"] * 9,
    ["Alt+Shift+ArrowDown"] * 12,
]


def test_everything_is_done_by_keys(annotating, open_screen, expected):
    with open_screen(annotating.address) as screen:
        screen.go_empty(8)
        screen.page.keyboard.press("f")
        points = []
        for moves in MOVES:
            for move in [*moves, "Alt+ArrowRight"]:
                screen.page.keyboard.press(move)
            screen.press("Enter")
            points = screen.points(8)
        assert len(points) == 4
        x, y = points[0]
        assert points == [[x, y], [x + 1, y - 90], [x + 92, y - 90], [x + 93, y + 30]]
        assert np.array_equal(screen.labels(), expected(8, {1: [tuple(point) for point in points]}))
        screen.press("q", "ArrowLeft", "Escape")
        assert screen.points(8)[0] == [x - 1, y]
        screen.press("l")
        assert screen.state()["keyframes"]["8"]["locked"]
        screen.press("Backspace")
        assert len(screen.points(8)) == 4, "a locked frame keeps its points"
        screen.says("toast", "locked")
        screen.press("l", "F2")
        screen.page.keyboard.type("scooter")
        screen.press("Enter")
        assert screen.state()["objects"][0]["name"] == "scooter"
        screen.press("v")
        assert screen.state()["objects"][0]["visible"] is False
        last = screen.state()["frames"] - 1
        screen.press("v", "Home")
        screen.until("() => dextrVos.shown().frame === 0")
        screen.press("End", "PageUp")
        # other tests on this server leave keyframes too
        before_last = max(
            int(index)
            for index, entry in screen.state()["keyframes"].items()
            if int(index) < last and (entry["corrected"] or not entry["draft"])
        )
        screen.until(f"() => dextrVos.shown().frame === {before_last}")
        screen.go(8)
        screen.press("?")
        screen.test_id("help").wait_for()
        screen.page.keyboard.press("Escape")
        screen.test_id("help").wait_for(state="hidden")
        screen.press("Shift+Delete")
        assert not screen.labels().any()
        screen.press("k")
        assert "8" not in screen.state()["keyframes"]


def test_comparing_before_a_second_run_says_that_there_is_nothing(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        screen.press("w")
        screen.says("toast", "nothing to compare yet")


def test_every_control_has_a_name(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        nameless = screen.page.evaluate(
            """() => [...document.querySelectorAll("button, a, input, [role=slider], [role=application]")]
              .filter((one) => !one.closest("[hidden]") && !one.getAttribute("aria-label")
                && !one.labels?.length
                && !one.textContent.trim())
              .map((one) => one.outerHTML)"""
        )
        assert nameless == []
