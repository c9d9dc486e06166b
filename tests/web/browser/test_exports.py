"""The menus of exports and imports in a real browser: what is made and downloaded comes back as keyframes."""

import json
import zipfile

import pytest
from conftest import write_tiny_clip
from export.formats.made_masks import write_workspace
from web.browser.conftest import Server


@pytest.fixture
def annotated(tmp_path):
    clip = write_tiny_clip(tmp_path / "tiny")
    work = write_workspace(clip, tmp_path / "work").path
    server = Server(clip, "--model", "grabcut", out=work)
    yield server
    server.stop()


def test_an_object_is_exported_and_imported_again(annotated, open_screen, tmp_path):
    with open_screen(annotated.address) as screen:
        screen.press("x")
        screen.test_id("export-format").select_option("masks")
        screen.test_id("export-objects").select_option(label="Katze")
        screen.test_id("export-frames").select_option("range")
        screen.test_id("export-first").fill("1")
        screen.test_id("export-start").click()
        screen.test_id("export-file").wait_for()
        screen.press("Escape")
        screen.test_id("export-menu").wait_for(state="hidden")  # the keyboard has stayed in the menu
        screen.press("x")
        file = screen.download("export-file", tmp_path)
        assert file.name == "tiny_Katze_00001-00005_masks.zip"
        with zipfile.ZipFile(file) as archive:
            assert archive.namelist() == [f"0000{index}.png" for index in range(1, 6)]
        screen.press("Shift+X")
        screen.test_id("export-menu").wait_for(state="hidden")  # one menu at a time
        screen.test_id("import-format").select_option("masks")
        screen.test_id("import-file").set_input_files(file)
        screen.test_id("import-start").click()
        screen.until("() => document.querySelector('[data-test=import-menu]').hidden")
        assert sorted(screen.state()["keyframes"]) == ["0", "1", "2", "3", "4", "5"]
        assert screen.state()["history"]["undo"] == "import of 5 keyframes with Katze"


def test_several_objects_are_exported_and_a_json_of_label_studio_imported(annotated, open_screen, tmp_path):
    with open_screen(annotated.address) as screen:
        screen.press("x")
        screen.test_id("export-format").select_option("label-studio")
        screen.test_id("export-objects").select_option("some")
        screen.test_id("export-start").click()
        screen.says("toast", "Tick an object.")
        screen.test_id("export-object-1").check()
        screen.test_id("export-object-7").check()
        screen.test_id("export-start").click()
        screen.test_id("export-file").wait_for()
        file = screen.download("export-file", tmp_path)
        assert file.name == "tiny_dog-1+dog-2_label-studio.zip"
        with zipfile.ZipFile(file) as archive:
            archive.extract("tasks.json", tmp_path)
        screen.press("Shift+X")
        screen.test_id("import-format").select_option("label-studio")
        screen.test_id("import-file").set_input_files(tmp_path / "tasks.json")
        screen.test_id("import-start").click()
        screen.until("() => document.querySelector('[data-test=import-menu]').hidden")
        assert screen.state()["history"]["undo"] == "import of 6 keyframes with dog 1, dog 2"


def test_what_an_import_leaves_out_is_said_until_it_is_closed(annotated, open_screen, tmp_path):
    inside, outside = ([x, 10, x + 10, 10, x + 10, 20, x, 20] for x in (10, 70))
    annotations = [{"segmentation": [outside]}, {"segmentation": [inside]}, {"bbox": [1, 1, 9, 9]}]
    content = {
        "images": [{"id": 1, "file_name": "00001.png", "width": 64, "height": 48}],
        "annotations": [{"image_id": 1, "category_id": 1, **each} for each in annotations],
        "categories": [{"id": 1, "name": "bird"}],
    }
    (tmp_path / "birds.json").write_text(json.dumps(content))
    sentences = (
        "Import of 1 keyframe with bird.\nAnnotations without a mask left out: 1 of the kind 'box'.\n"
        "1 shape without a pixel inside the image left out in 1 frame: 00001."
    )
    with open_screen(annotated.address) as screen:
        screen.press("Shift+X")
        screen.test_id("import-format").select_option("coco")
        screen.test_id("import-file").set_input_files(tmp_path / "birds.json")
        screen.test_id("import-start").click()
        warning = screen.test_id("toast").filter(has=screen.test_id("toast-close"))
        warning.wait_for()
        assert warning.inner_text() == sentences
        screen.until(f"() => document.getElementById('live').textContent === {json.dumps(sentences)}")
        screen.press("w")
        screen.says("toast", "nothing to compare yet")  # another message, which goes by itself
        screen.until("() => document.querySelectorAll('[data-test=toast]').length === 1")
        assert warning.is_visible()
        screen.test_id("toast-close").press("Enter")
        warning.wait_for(state="detached")
        screen.until("() => document.activeElement.id === 'hud'")


def test_masks_are_fetched_again_after_an_import_whose_state_came_before_its_answer(
    annotated, open_screen, tmp_path
):
    content = {
        "images": [{"id": 1, "file_name": "00001.png", "width": 64, "height": 48}],
        "annotations": [{"image_id": 1, "category_id": 1, "segmentation": [[10, 10, 20, 10, 20, 20]]}],
        "categories": [{"id": 1, "name": "bird"}],
    }
    (tmp_path / "birds.json").write_text(json.dumps(content))
    held = []
    with open_screen(annotated.address) as screen:
        before = screen.shown()["version"]
        screen.route("**/api/import", lambda route: held.append((route, route.fetch())))
        screen.press("Shift+X")
        screen.test_id("import-format").select_option("coco")
        screen.test_id("import-file").set_input_files(tmp_path / "birds.json")
        screen.test_id("import-start").click()
        screen.wait_for(lambda: held)
        screen.until(f"() => dextrVos.shown().version > {before}")  # by the event
        screen.settle()
        ((route, answer),) = held
        route.fulfill(response=answer)
        screen.test_id("import-file").wait_for(state="hidden")
        screen.settle()
