"""The preview of a click in a real browser: what the click makes, for a pointer that rests."""

import numpy as np

PREVIEWED = "() => Boolean(dextrVos.previewed())"
LOADED = """() => fetch("/api/frames/0/preview?x=400&y=200").then((answer) => answer.status === 200)"""


def open_with_previews(screen):
    """The segmenter is loaded, and previews stay on, however slow the machine is."""
    screen.until(LOADED)
    screen.press("Shift+C", "Shift+C")
    screen.has("click-preview", "aria-pressed", "true")


def rest(screen, pixel):
    screen.page.mouse.move(*screen.where(pixel))
    return previewed(screen)


def previewed(screen):
    screen.until(PREVIEWED)
    text = screen.page.evaluate(
        "() => { let text = ''; for (const one of dextrVos.previewed()) text += one ? 1 : 0; return text; }"
    )
    return np.frombuffer(text.encode(), np.uint8).reshape(480, 854) == ord("1")


def middle_of(extremes):
    left, right, top, bottom = extremes
    return (left[0] + right[0]) // 2, (top[1] + bottom[1]) // 2


def ready_for_a_first_mask(screen, frame, extremes):
    """A frame without masks, with the tool that makes one of a click; gives back the middle of the object."""
    open_with_previews(screen)
    screen.go_empty(frame)
    screen.press("Shift+B")
    return middle_of(extremes(frame))


def test_the_preview_is_the_mask_that_the_click_then_makes(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        middle = ready_for_a_first_mask(screen, 3, extremes)
        seen = rest(screen, middle)
        assert seen[middle[1], middle[0]]
        screen.page.mouse.move(5, 5)
        screen.until("() => !dextrVos.previewed()")  # the pointer is off the stage
        screen.click(middle)
        assert np.array_equal(screen.labels() == 1, seen)
        more = (extremes(3)[1][0] + 6, middle[1])
        seen = rest(screen, more)
        screen.page.mouse.click(*screen.where(more))
        screen.settle()
        assert np.array_equal(screen.labels() == 1, seen)
        screen.press("a")
        seen = rest(screen, (middle[0] + 8, middle[1] + 20))
        screen.page.mouse.click(*screen.where((middle[0] + 8, middle[1] + 20)))
        screen.settle()
        assert screen.points(3)[-1][2] == "negative"
        assert np.array_equal(screen.labels() == 1, seen)


def test_extreme_points_are_placed_without_previews(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        open_with_previews(screen)
        screen.go_empty(4)
        asked = []
        screen.page.on("request", lambda request: "preview" in request.url and asked.append(request.url))
        screen.page.mouse.move(*screen.where((400, 200)))
        screen.page.wait_for_timeout(400)
        assert asked == [], "a click here is an extreme point"
        screen.page.keyboard.down("Shift")
        screen.until(PREVIEWED)
        assert asked
        screen.page.keyboard.up("Shift")
        screen.until("() => !dextrVos.previewed()")
        screen.page.keyboard.down("Alt")
        asked.clear()
        screen.page.wait_for_timeout(400)
        assert asked == [], "there is no mask from which to take anything"
        screen.page.keyboard.up("Alt")


def test_alt_shows_what_a_negative_click_makes(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        middle = ready_for_a_first_mask(screen, 7, extremes)
        screen.click(middle)
        asked = []
        screen.page.on("request", lambda request: "preview" in request.url and asked.append(request.url))
        pixel = (middle[0] + 8, middle[1] + 20)
        rest(screen, pixel)
        assert "kind=positive" in asked[-1]
        screen.page.keyboard.down("Alt")
        screen.wait_for(lambda: "kind=negative" in asked[-1])
        seen = previewed(screen)
        screen.page.mouse.down()
        screen.page.mouse.up()
        screen.settle()
        assert screen.points(7)[-1] == [*pixel, "negative"]
        assert np.array_equal(screen.labels() == 1, seen)
        asked.clear()
        screen.page.mouse.move(*screen.where((extremes(7)[1][0] + 20, middle[1])))
        screen.wait_for(lambda: asked and "kind=negative" in asked[-1])
        screen.page.keyboard.up("Alt")
        screen.wait_for(lambda: "kind=positive" in asked[-1])


def test_an_edit_does_not_wait_for_a_preview(annotating, open_screen, extremes):
    with open_screen(annotating.address) as screen:
        open_with_previews(screen)
        screen.go_empty(5)
        held = []
        screen.route("**/preview?*", lambda route: held.append(route))
        middle = middle_of(extremes(5))
        screen.press("Shift+B")
        screen.page.mouse.move(*screen.where(middle))
        screen.wait_for(lambda: held)
        screen.click(middle)
        assert screen.labels()[middle[1], middle[0]]
        edits = []
        screen.route("**/points", lambda route: edits.append(route))
        screen.page.mouse.click(*screen.where((30, 30)))
        screen.wait_for(lambda: edits)
        asked = len(held)
        screen.page.mouse.move(*screen.where((60, 60)))
        screen.page.wait_for_timeout(400)
        assert len(held) == asked, "none is asked for while an edit is on its way"
        edits[0].continue_()
        screen.settle()
        assert screen.points(5)[-1] == [30, 30, "positive"]


def test_slow_previews_pause_unless_somebody_wants_them(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        screen.until(LOADED)
        screen.page.clock.install()
        screen.go_empty(6)
        screen.press("Shift+B")
        held = []
        screen.route("**/preview?*", lambda route: held.append(route))
        button = screen.test_id("click-preview")

        def preview(count):
            before = len(held)
            screen.page.mouse.move(*screen.where((300 + count, 200)))
            screen.wait_for(lambda: len(held) > before)
            screen.page.wait_for_timeout(350)

        for count in range(1, 4):
            screen.has("click-preview", "aria-pressed", "true")
            preview(count)
        screen.page.mouse.move(*screen.where((310, 200)))
        screen.wait_for(lambda: button.get_attribute("aria-pressed") == "false")
        assert "0.3 s" in button.get_attribute("data-tip")
        screen.page.clock.fast_forward(60_000)
        screen.wait_for(lambda: button.get_attribute("aria-pressed") == "true")
        assert "0.3 s" not in button.get_attribute("data-tip")
        button.click()
        button.click()
        for count in range(4, 8):
            preview(count)
        screen.has("click-preview", "aria-pressed", "true")
        screen.page.unroute("**/preview?*")
        screen.page.reload()
        screen.settle()
        screen.has("click-preview", "aria-pressed", "true")
        button.click()
        screen.page.reload()
        screen.settle()
        screen.has("click-preview", "aria-pressed", "false")  # the choice is kept
