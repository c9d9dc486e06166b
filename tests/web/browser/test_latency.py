"""Every answer comes 400 ms late, as over SSH: edits go to the object and frame they were made for."""

import numpy as np
import pytest
from web.browser.conftest import Server

ROUND_TRIP_MS = 400
THING = [(88, 215), (170, 240), (120, 190), (140, 290)]


@pytest.fixture(scope="module")
def far(real_clip, tmp_path_factory):
    server = Server(real_clip, out=tmp_path_factory.mktemp("far") / "work")
    yield server
    server.stop()


@pytest.fixture
def slowly(far, open_screen):
    """A page whose requests take a while."""
    with open_screen(far.address) as screen:
        network = screen.page.context.new_cdp_session(screen.page)
        network.send("Network.enable")
        slow = {"offline": False, "latency": ROUND_TRIP_MS, "downloadThroughput": -1, "uploadThroughput": -1}
        network.send("Network.emulateNetworkConditions", slow)
        yield screen


def click_at_once(screen, *pixels):
    for pixel in pixels:
        screen.page.mouse.click(*screen.where(pixel))


def test_clicks_right_after_a_new_object_go_to_it(slowly, extremes, expected):
    screen = slowly
    screen.go(5)
    scooter = extremes(5)
    click_at_once(screen, *scooter)
    screen.settle()
    known = {entry["id"] for entry in screen.state()["objects"]}
    held = []
    screen.route("**/api/objects", lambda route: held.append(route))
    screen.page.keyboard.press("n")
    click_at_once(screen, *THING)
    screen.wait_for(lambda: held)
    assert screen.shown()["object"] < 0, "the server has not answered yet"
    held[0].continue_()
    screen.page.unroute("**/api/objects")
    screen.settle()
    (new,) = {entry["id"] for entry in screen.state()["objects"]} - known
    assert screen.shown()["object"] == new
    assert screen.points(5, new) == [list(point) for point in THING]
    assert screen.points(5, 1) == [list(point) for point in scooter], "the object before is as it was"
    assert np.array_equal(screen.labels(), expected(5, {1: scooter, new: THING}))
    screen.page.keyboard.press("n")
    screen.page.keyboard.press("b")
    screen.drag((300, 60), (340, 60))
    (third,) = {entry["id"] for entry in screen.state()["objects"]} - known - {new}
    assert (screen.labels()[60, 300:341] == third).all()


def test_clicks_stay_on_the_frame_they_were_made_on(slowly, extremes):
    screen = slowly
    screen.go(3)
    points = extremes(3)
    before = screen.points(4)
    screen.press("1")
    click_at_once(screen, *points)
    screen.page.keyboard.press("ArrowRight")
    screen.settle()
    assert screen.shown()["frame"] == 4
    assert screen.points(3)[:4] == [list(point) for point in points]
    assert screen.points(4) == before


def test_a_click_right_after_an_undo_or_a_clearing_does_not_bring_back_what_was_there(slowly, extremes):
    screen = slowly
    screen.go(7)
    screen.press("1")
    points = extremes(7)
    click_at_once(screen, *points, (30, 30), (60, 30))
    screen.settle()
    clicks = [[30, 30, "positive"], [60, 30, "positive"]]
    assert screen.points(7) == [*map(list, points), *clicks]
    screen.page.keyboard.press("Control+z")
    click_at_once(screen, (90, 30))
    screen.until("() => dextrVos.shown().settled")
    screen.wait_for(lambda: len(screen.points(7)) == 6)
    assert screen.points(7) == [*map(list, points), clicks[0], [90, 30, "positive"]]
    screen.page.keyboard.press("Shift+Delete")
    click_at_once(screen, *points[:2])
    screen.settle()
    assert screen.points(7) == [list(point) for point in points[:2]]


def test_a_new_object_that_is_refused_takes_its_clicks_along(slowly, extremes):
    screen = slowly
    screen.go(9)
    screen.press("1")
    click_at_once(screen, *extremes(9))
    screen.settle()
    screen.go(11)
    before = screen.state()["objects"]
    held = []
    screen.route("**/api/objects", lambda route: held.append(route))
    screen.page.keyboard.press("n")
    click_at_once(screen, THING[0])
    screen.wait_for(lambda: held)
    held[0].fulfill(status=400, json={"error": "no more"})
    screen.settle()
    assert screen.state()["objects"] == before
    assert screen.shown()["object"] in {entry["id"] for entry in before}
    assert not screen.points(11)
