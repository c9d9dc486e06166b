"""Fingers and keys on the stage: a tap clicks, a drag never does, two fingers zoom, targets are large."""

import pytest
from conftest import write_tiny_clip
from web.browser.conftest import Server

TARGET_PX = 44
TARGETS = """() => [...document.querySelectorAll("button, input, a, [role=slider]")]
  .filter((one) => one.offsetParent).map((one) =>
    [one.dataset.test ?? one.id, Math.round(one.offsetWidth), Math.round(one.offsetHeight)])"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("touch")
    server = Server(write_tiny_clip(folder / "tiny"), out=folder / "work")
    yield server
    server.stop()


class Fingers:
    """Fingers on pixels of the image, as the browser gets them from a screen."""

    def __init__(self, screen) -> None:
        self._screen = screen
        self._devices = screen.page.context.new_cdp_session(screen.page)

    def put(self, *pixels):
        self._send("touchStart", pixels)

    def move(self, *pixels):
        self._send("touchMove", pixels)

    def lift(self):
        self._send("touchEnd", ())
        self._screen.settle()

    def _send(self, kind, pixels):
        places = [self._screen.where(pixel) for pixel in pixels]
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self._devices.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


# However slow the test is, a finger does not begin to aim.
NEVER_RESTS = """() => { const wait = window.setTimeout;
  window.setTimeout = (run, ms, ...more) => (ms === 350 ? 0 : wait(run, ms, ...more)); }"""


def test_an_aim_that_ends_off_the_stage_sets_no_point(server, open_screen):
    tablet = {"has_touch": True, "is_mobile": True, "viewport": {"width": 1180, "height": 820}}
    with open_screen(server.address, **tablet) as screen:
        screen.go_empty(4)
        screen.page.evaluate("() => dextrVos.zoomTo(40, 25, 24)")
        fingers = Fingers(screen)
        fingers.put((25, 24))
        screen.until("() => document.querySelector('[data-test=live]').textContent.startsWith('Aiming')")
        above = screen.page.evaluate("() => document.getElementById('hud').getBoundingClientRect().top - 5")
        fingers.move((25, (above - screen.where((0, 0))[1]) / screen.shown()["scale"]))
        fingers.lift()
        screen.settle()
        assert "4" not in screen.state()["keyframes"]


def test_a_tap_clicks_and_a_drag_moves_the_image(server, open_screen):
    tablet = {"has_touch": True, "is_mobile": True, "viewport": {"width": 1180, "height": 820}}
    with open_screen(server.address, **tablet) as screen:
        screen.page.evaluate(NEVER_RESTS)
        screen.go_empty(0)
        before = screen.state()
        fingers = Fingers(screen)
        here = screen.where((30, 20))
        fingers.put((30, 20))
        fingers.move((40, 25))
        fingers.lift()
        assert screen.where((30, 20)) != here, "the image has moved"
        assert screen.state() == before, "and nothing else has happened"
        scale = screen.shown()["scale"]
        fingers.put((20, 20), (30, 20))
        fingers.move((10, 20), (40, 20))
        fingers.lift()
        assert screen.shown()["scale"] > 1.5 * scale
        assert screen.state() == before
        screen.page.keyboard.press("f")
        fingers.put((25, 24))
        fingers.lift()
        screen.until("() => fetch('/api/state').then((a) => a.json()).then((s) => s.keyframes[0])")
        assert screen.points(0) == [[25, 24]]
        small = [each for each in screen.page.evaluate(TARGETS) if min(each[1:]) < TARGET_PX]
        assert small == []


def test_a_finger_that_rests_aims_and_clicks_where_it_is_lifted(server, open_screen):
    tablet = {"has_touch": True, "is_mobile": True, "viewport": {"width": 1180, "height": 820}}
    with open_screen(server.address, **tablet) as screen:
        screen.go_empty(2)
        screen.press("n")
        chosen = screen.shown()["object"]
        fingers = Fingers(screen)
        here = screen.where((30, 20))
        fingers.put((30, 20))
        screen.until("() => document.querySelector('[data-test=live]').textContent.startsWith('Aiming')")
        fingers.move((40, 26))
        fingers.lift()
        screen.until("() => fetch('/api/state').then((a) => a.json()).then((s) => s.keyframes[2])")
        assert screen.points(2, chosen) == [[40, 26]]
        assert screen.where((30, 20)) == here, "the image has not moved"


def test_plus_and_minus_zoom_and_enter_clicks_after_the_panel_was_clicked(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(3)
        before = screen.shown()["scale"]
        screen.press("+")
        assert screen.shown()["scale"] > before
        screen.press("-")
        assert screen.shown()["scale"] == pytest.approx(before)
        screen.press("n", "Alt+ArrowRight")
        chosen = screen.shown()["object"]
        screen.page.locator(".object .choose").first.click()
        screen.page.locator(".object .choose").last.click()
        screen.press("Enter")
        assert len(screen.points(3, chosen)) == 1


def test_a_second_finger_keeps_the_outline_and_a_tap_means_its_frame(server, open_screen):
    tablet = {"has_touch": True, "is_mobile": True, "viewport": {"width": 1180, "height": 820}}
    with open_screen(server.address, **tablet) as screen:
        screen.go_empty(4)
        screen.go_empty(5)
        fingers = Fingers(screen)
        fingers.put((25, 24))
        screen.press("ArrowLeft")
        fingers.lift()
        assert screen.points(4) == []
        screen.press("n", "y")
        for corner in ((10, 10), (40, 10), (40, 40)):
            fingers.put(corner)
            fingers.lift()
        fingers.put((5, 30))
        fingers.put((5, 30), (15, 30))
        fingers.lift()
        screen.press("Enter")
        drawn = screen.labels()
        assert drawn[15, 35]
        assert not drawn[30, 8], "the corner of the pinch is none"
        assert drawn[30, 35]
        fingers.put((39, 39))  # near its corner, as precise as a finger is
        fingers.move((30, 30))
        fingers.move((25, 25))
        fingers.lift()
        assert not screen.labels()[30, 35], "the corner was dragged"
