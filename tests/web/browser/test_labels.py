"""A label set, typed once: a new object gets its name and colour by the label's key."""

import pytest
from conftest import write_tiny_clip
from web.browser.conftest import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    server = Server(write_tiny_clip(folder / "tiny"), "--model", "grabcut", out=folder / "work")
    yield server
    server.stop()


def test_objects_choose_from_a_label_set(server, open_screen):
    with open_screen(server.address) as screen:
        screen.press("n")
        screen.test_id("label-menu").wait_for(state="hidden")  # there is no label to choose yet
        screen.press("t", settle=False)
        screen.test_id("label-text").fill("horse, #e69f00, two keys")
        screen.test_id("label-save").click()
        screen.until("() => document.querySelector('[data-test=label-wrong]').textContent")
        screen.test_id("label-text").fill('horse, #e69f00, h\nrider, R\n"reins, left"')
        screen.press("Escape", "t", settle=False)
        assert screen.test_id("label-text").input_value().endswith('left"'), "what was typed is kept"
        screen.test_id("label-save").click()
        screen.until("() => !document.querySelector('[data-test=label-set]').open")
        screen.test_id("label-menu").wait_for()  # the object chooses from the new labels
        screen.press("h")
        screen.press("n", "r")
        objects = {entry["id"]: (entry["name"], entry["colour"]) for entry in screen.state()["objects"]}
        assert objects[1] == ("horse", "#e69f00")
        assert objects[2][0] == "rider"
        screen.press("1", "t")
        assert screen.page.evaluate("() => document.activeElement.textContent") == "horseH"
        screen.has("object-label", "aria-expanded", "true")
        screen.press("Tab")
        screen.has("object-label", "aria-expanded", "false")
        screen.test_id("object-label").click()
        screen.press("ArrowDown", "Enter")
        assert screen.state()["objects"][0]["colour"] != "#e69f00", "the label's colour goes with the label"
        assert [label["name"] for label in screen.state()["labels"]] == ["horse", "rider", "reins, left"]
        screen.press("n", "b")
        screen.test_id("label-menu").wait_for(state="hidden")  # another key means what it means on the page
        screen.has("tool-brush", "aria-checked", "true")
        assert screen.state()["objects"][2]["name"] == "object 3"
