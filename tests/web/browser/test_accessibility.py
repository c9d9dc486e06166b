"""Axe finds nothing serious on the page, in menus and dialogs, and on the list of clips, light and dark."""

import json
from importlib.resources import files

import pytest
from conftest import tiny_mask, write_tiny_clip
from web.browser.conftest import Server
from web.browser.screen import Screen, open_context

from dextr_vos.masks import write_labels

pytest.importorskip(
    "axe_playwright_python", reason="axe is not installed; pip install axe-playwright-python to run this"
)
WRONG = """async (rules) => (await axe.run(document, rules ? { runOnly: rules } : {})).violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)"""


@pytest.fixture(scope="module")
def axe():
    return (files("axe_playwright_python") / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A server on two clips, one of them with a keyframe, a run in which an object is lost, and labels."""
    folder = tmp_path_factory.mktemp("axe")
    (folder / "clips").mkdir()
    for name in ("cat", "dog"):
        write_tiny_clip(folder / "clips" / name)
    out = folder / "work" / "cat"
    names = [f"{index:05d}" for index in range(6)]
    labels = tiny_mask(0)
    labels[40:45, 50:60] = 2
    write_labels(out / "keyframes" / "00000.png", labels)
    for index, name in enumerate(names):
        write_labels(out / "propagation" / "masks" / f"{name}.png", tiny_mask(index))
    (out / "propagation" / "run.json").write_text(json.dumps({"keyframes": ["00000"]}))
    scores = {name: {"1": 0.6, "2": 0.1 * index} for index, name in enumerate(names)}
    (out / "propagation" / "confidence.json").write_text(json.dumps(scores))
    (out / "labels.yaml").write_text("labels: [{name: cat, colour: '#e69f00'}, {name: bowl}]")
    server = Server(folder / "clips", out=folder / "work")
    yield server
    server.stop()


VIEWS = {
    "a keyframe": [],
    "a propagated frame": ["ArrowRight"],
    "keys that are changed": ["?", "keys-change", "key-brush"],
    "the mask menu": ["i"],
    "the label set": ["t", "label-edit"],
    "the export menu": ["x"],
    "the import menu": ["Shift+X"],
    "the propagate menu": ["propagate-more"],
    "side by side": ["Shift+W"],
}


def _wrong(page, view):
    """What is wrong with a view, light and dark, by the view's name."""
    light = page.evaluate(WRONG)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(WRONG, ["color-contrast"])
    page.emulate_media(color_scheme="light")
    return {name: found for name, found in ((view, light), (f"{view}, dark", dark)) if found}


def test_axe_finds_nothing_serious_on_separate_images(browser, axe, tmp_path):
    write_tiny_clip(tmp_path / "images")
    settings = f"required:\n  source: {tmp_path / 'images'}\n  destination: {tmp_path / 'masks'}\n"
    (tmp_path / "anno_cfg.yml").write_text(settings, encoding="utf-8")
    server = Server("--config", tmp_path / "anno_cfg.yml", "--model", "grabcut")
    try:
        with open_context(browser, color_scheme="light", reduced_motion="reduce") as opened:
            screen = Screen(opened.new_page())
            screen.page.goto(server.address)
            screen.settle()
            screen.press("s")
            screen.until("() => dextrVos.shown().frame === 1")
            screen.page.evaluate(axe)
            wrong = _wrong(screen.page, "an image")
            screen.test_id("reset").click()
            wrong |= _wrong(screen.page, "the question before a reset")
    finally:
        server.stop()
    assert wrong == {}


def test_axe_finds_nothing_serious(project, browser, axe):
    wrong = {}
    with open_context(browser, color_scheme="light", reduced_motion="reduce") as opened:
        page = opened.new_page()
        screen = Screen(page)
        page.goto(project.address)
        screen.test_id("run-cat").wait_for()
        page.evaluate(axe)
        wrong |= _wrong(page, "the list of the project")
        screen.test_id("clip-cat").click()
        screen.settle()
        page.evaluate(axe)
        for view, acts in VIEWS.items():
            for act in acts:
                if "-" in act:
                    screen.test_id(act).click()
                else:
                    screen.press(act)
            screen.until("() => !document.querySelector('.form-wait')")
            wrong |= _wrong(page, view)
            screen.press("Escape", "Escape")
    assert wrong == {}
