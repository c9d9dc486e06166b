"""Nothing is cut off or out of sight: menus, tooltips, lists of many objects, and long names."""

import json

import pytest
from conftest import tiny_mask, write_tiny_clip
from PIL import Image
from web.browser.conftest import Server

from dextr_vos.masks import write_labels

# What is wider than its place, or reaches over the edge of a box, by its text.
CUT = """(selector) => { const box = document.querySelector(selector), edge = box.getBoundingClientRect();
  return [...box.querySelectorAll(":not(.visually-hidden)")].filter((one) => one.offsetParent).filter((one) =>
    one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline"
    || one.getBoundingClientRect().right > edge.right - 3).map((one) => one.textContent.slice(0, 40)); }"""
OVERFLOW = """(part) => { const { scrollWidth, clientWidth } = document.querySelector(part);
  return scrollWidth - clientWidth; }"""
OVERFLOW_DOWN = """(part) => { const { scrollHeight, clientHeight } = document.querySelector(part);
  return scrollHeight - clientHeight; }"""
# Whether the row of an object is in sight in a list that scrolls.
IN_SIGHT = """([list, row]) => { const place = document.querySelector(row)?.getBoundingClientRect();
  const edge = document.querySelector(list).getBoundingClientRect();
  return Boolean(place) && place.top >= edge.top - 1 && place.bottom <= edge.bottom + 1; }"""
OBJECT = ["#object-list", ".object[data-current]"]
STRIP = [".strips", ".strip-names [data-current]"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layout")
    run = folder / "work" / "propagation"
    write_labels(run / "masks" / "00005.png", tiny_mask(5))
    (run / "run.json").write_text(json.dumps({"keyframes": ["00005"]}))
    (run / "confidence.json").write_text(json.dumps({"00005": {"1": 0.9}}))
    server = Server(write_tiny_clip(folder / "tiny"), "--model", "grabcut", out=folder / "work")
    yield server
    server.stop()


def test_menus_show_their_texts_whole(server, open_screen):
    with open_screen(server.address) as screen:
        screen.go_empty(0)
        screen.press("n", "b")
        screen.drag((10, 10), (30, 10))
        screen.press("i")
        assert screen.page.evaluate(CUT, "[data-test=mask-menu]") == []
        screen.press("Escape")
        screen.test_id("propagate-more").click()
        assert screen.page.evaluate(CUT, "[data-test=propagate-menu]") == []
        screen.press("Escape")
        for menu, key in (("export", "x"), ("import", "Shift+X")):
            screen.press(key)
            screen.until("() => !document.querySelector('.form-wait')")
            assert screen.page.evaluate(CUT, f"[data-test={menu}-menu]") == []
            screen.press("Escape")


def test_a_narrow_panel_shows_its_buttons_whole(server, open_screen):
    with open_screen(server.address, viewport={"width": 900, "height": 560}) as screen:
        screen.press("n")
        for part in (".split", ".panel"):
            assert screen.page.evaluate(OVERFLOW, part) <= 0, part


def test_all_tools_are_in_sight_on_a_tablet_with_many_objects(server, open_screen):
    tablet = {"has_touch": True, "is_mobile": True, "viewport": {"width": 1024, "height": 768}}
    with open_screen(server.address, **tablet) as screen:
        screen.settle()
        while len(screen.state()["objects"]) < 6:
            screen.press("n")
        screen.wait_for(lambda: screen.page.evaluate(OVERFLOW_DOWN, ".strips") > 0)
        screen.press("b")
        screen.test_id("brush-size").wait_for()
        fit = screen.test_id("fit").bounding_box()
        rail = screen.page.locator(".rail").bounding_box()
        assert fit["y"] + fit["height"] <= rail["y"] + rail["height"]


def test_colours_of_objects_and_sliders_are_seen_in_forced_colours(server, open_screen):
    with open_screen(server.address, forced_colors="active") as screen:
        while len(objects := screen.state()["objects"]) < 2:
            screen.press("n")
        names = screen.test_id("strip-names").locator("i")
        names.first.wait_for()
        red, green, blue = bytes.fromhex(objects[0]["colour"][1:])
        colour = "([...all]) => getComputedStyle(all[0]).backgroundColor"
        assert names.evaluate_all(colour) == f"rgb({red}, {green}, {blue})"
        adjust = "(one) => getComputedStyle(one).forcedColorAdjust"
        assert screen.test_id("opacity").evaluate(adjust) == "none"


def test_a_long_name_of_an_image_stays_within_the_list(open_screen, tmp_path):
    (tmp_path / "images").mkdir()
    name = "a-photograph-with-a-name-that-is-longer-than-the-list-is-wide.png"
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / name)
    settings = f"required:\n  source: {tmp_path / 'images'}\n  destination: {tmp_path / 'masks'}\n"
    (tmp_path / "anno_cfg.yml").write_text(settings, encoding="utf-8")
    server = Server("--config", tmp_path / "anno_cfg.yml", "--model", "grabcut")
    try:
        with open_screen(server.address) as screen:
            row = screen.page.locator(".image-row").bounding_box()
            shown = screen.page.locator(".image-row .name").bounding_box()
            assert shown["x"] + shown["width"] <= row["x"] + row["width"]
    finally:
        server.stop()


def test_a_tooltip_holds_its_key(server, open_screen):
    with open_screen(server.address) as screen:
        screen.test_id("sides").hover()
        screen.page.locator("#tip kbd").wait_for()
        assert screen.page.evaluate(CUT, "#tip") == []


def test_lists_scroll_to_the_object_that_is_added_or_selected(server, open_screen):
    with open_screen(server.address) as screen:
        screen.settle()
        while len(screen.state()["objects"]) < 13:
            screen.press("n")
        for _ in range(2):
            for place in (OBJECT, STRIP):
                screen.wait_for(lambda place=place: screen.page.evaluate(IN_SIGHT, place))
            screen.press("1")
            for place in (OBJECT, STRIP):
                screen.wait_for(lambda place=place: screen.page.evaluate(IN_SIGHT, place))
            screen.press("n")


def test_the_selected_object_stays_in_sight_where_the_list_becomes_shorter(server, open_screen):
    with open_screen(server.address) as screen:
        screen.settle()
        while len(screen.state()["objects"]) < 13:
            screen.press("n")
        screen.page.get_by_test_id(f"object-{screen.state()['objects'][-1]['id']}").locator(".choose").click()
        screen.wait_for(lambda: screen.page.evaluate(IN_SIGHT, OBJECT))
        screen.page.set_viewport_size({"width": 1280, "height": 560})
        screen.wait_for(lambda: screen.page.evaluate(IN_SIGHT, OBJECT))
        screen.drawn()
        assert screen.page.evaluate(IN_SIGHT, OBJECT)


def test_a_long_name_is_shortened_and_its_tooltip_has_it_whole(server, open_screen):
    name = "the second person from the left, with an umbrella and a dog"
    with open_screen(server.address) as screen:
        screen.press("n")
        chosen = screen.shown()["object"]
        screen.press("F2")
        screen.test_id("rename").fill(name)
        screen.press("Enter")
        row = screen.test_id(f"object-{chosen}")
        panel = screen.page.locator(".panel").bounding_box()
        box = row.bounding_box()
        assert box["x"] + box["width"] <= panel["x"] + panel["width"]
        eye = row.locator(".eye").bounding_box()
        label = row.locator(".choose").bounding_box()
        assert label["x"] + label["width"] <= eye["x"], "the name does not cover the buttons"
        row.locator(".choose").hover()
        tip = screen.page.locator("#tip")
        screen.wait_for(lambda: name in tip.inner_text())
        for part in ("#hint", ".frame-card"):
            assert screen.page.evaluate(OVERFLOW, part) <= 0, part
