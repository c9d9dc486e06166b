"""From frame to frame: what is shown is what the page says, and what an edit reaches."""


def test_an_image_of_another_frame_is_marked_and_takes_no_click(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        screen.empty(9)
        screen.go(0)
        held = []
        screen.route("**/api/frames/9", lambda route: held.append(route))
        field = screen.page.get_by_test_id("frame-number")
        field.fill("00009")
        field.press("Enter")
        screen.until("() => dextrVos.shown().frame === 9")
        screen.wait_for(lambda: held)
        mark = screen.test_id("stage-old")
        mark.wait_for(state="visible")
        assert mark.inner_text() == "Loading frame 00009"
        before = screen.state()["keyframes"]
        screen.page.mouse.click(*screen.where((400, 200)))
        screen.says("toast", "still being loaded")
        for key in ("k", "l", "Shift+Delete", "Backspace"):
            screen.page.keyboard.press(key)
        screen.page.keyboard.press("b")
        screen.drag((300, 60), (340, 60), settle=False)
        assert screen.state()["keyframes"] == before
        for route in held:
            route.continue_()
        screen.settle()
        mark.wait_for(state="hidden")
        screen.page.keyboard.press("c")
        screen.click((400, 200))
        assert screen.points(9) == [[400, 200]]
        screen.press("Backspace")


def test_a_frame_has_one_number(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        field = screen.page.get_by_test_id("frame-number")
        for typed, index in (("7", 7), ("00003", 3), ("99", 11), ("0", 0)):
            field.fill(typed)
            field.press("Enter")
            screen.until(f"() => dextrVos.shown().frame === {index}")
            assert field.input_value() == f"{index:05d}"
        assert "Frame 00000" in screen.page.locator("#frame-title").inner_text()
        screen.press("ArrowRight")
        announced = "document.querySelector('[data-test=live]').textContent"
        screen.until(f"() => {announced}.startsWith('Frame 00001 (2 of 12)')")
        screen.drawn()
        assert screen.page.locator(".cell[data-current] .label").inner_text() == "00001"
        assert screen.page.locator("#frame-of").inner_text() == "(2 of 12)"


def test_a_number_that_is_being_typed_stays_whatever_changes_meanwhile(annotating, open_screen):
    with open_screen(annotating.address) as screen:
        field = screen.page.get_by_test_id("frame-number")
        field.fill("00004")
        version = screen.shown()["version"]
        screen.page.evaluate(
            "() => fetch('/api/objects', {method: 'POST', body: '{}',"
            " headers: {'content-type': 'application/json'}})"
        )
        screen.until(f"() => dextrVos.shown().version > {version}")
        assert field.input_value() == "00004"
        field.press("Enter")
        screen.until("() => dextrVos.shown().frame === 4")
        screen.press("ArrowRight")
        screen.until("() => dextrVos.shown().frame === 5")
        assert field.input_value() == "00005"
