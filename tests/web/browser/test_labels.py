"""A label set, typed once: a new object gets its name and colour by the label's key."""

import pytest
from conftest import write_tiny_clip
from web.browser.conftest import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    server = Server(write_tiny_clip(folder / "tiny"), out=folder / "work")
    yield server
    server.stop()


def test_objects_choose_from_a_label_set(server, open_screen):
    with open_screen(server.address) as screen:
        screen.press("n")
        assert not screen.test_id("label-menu").is_visible(), "there is no label to choose yet"
        screen.press("t", settle=False)
        screen.test_id("label-text").fill("horse, #e69f00, h\nrider")
        screen.test_id("label-save").click()
        screen.until("() => !document.querySelector('[data-test=label-set]').open")
        screen.press("t", "h")
        screen.press("n", "2")
        objects = {entry["id"]: (entry["name"], entry["colour"]) for entry in screen.state()["objects"]}
        assert objects[1] == ("horse", "#e69f00")
        assert objects[2][0] == "rider"
        screen.press("n", "b")
        assert not screen.test_id("label-menu").is_visible(), "another key means what it means on the page"
        assert screen.test_id("tool-brush").get_attribute("aria-checked") == "true"
        assert screen.state()["objects"][2]["name"] == "object 3"
