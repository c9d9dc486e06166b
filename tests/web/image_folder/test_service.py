"""Separate images by the YAML of the matplotlib tool: any mode and size, progress, finished masks."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_page import OTHER, POINTS, Page, box, decoded, squares

from dextr_vos.cli.main import main
from dextr_vos.errors import InputError
from dextr_vos.web.image_folder.files import read_folder_settings
from dextr_vos.web.image_folder.service import FolderService

NAMES = ["1.grey.png", "2.rgba.png", "3.deep.png", "4.turned.jpg", "10.large.png"]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (48, 64), dtype=np.uint8)
    Image.fromarray(grey).save(folder / "1.grey.png")
    Image.fromarray(np.dstack([grey] * 4)).save(folder / "2.rgba.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "3.deep.png")
    turned = Image.fromarray(np.dstack([grey] * 3))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "4.turned.jpg", exif=exif)
    Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(folder / "10.large.png")
    return folder


def config(source, text="") -> Path:
    path = source.parent / "anno_cfg.yml"
    path.write_text(f"required:\n  source: {source}\n  destination: {source.parent / 'masks'}\n{text}")
    return path


def open_folder(path, readonly=None) -> Page:
    page = Page(FolderService(read_folder_settings(path), squares(), readonly))
    while len(page.state()["objects"]) < 2 and readonly is None:
        page.do("/api/objects")
    return page


def test_every_kind_of_image_is_shown_upright_and_annotated(source):
    page = open_folder(config(source))
    state = page.state()
    assert state["mode"] == "folder"
    assert page.names() == NAMES
    assert state["status"] == {}
    for index, size in enumerate([(64, 48), (64, 48), (64, 48), (48, 64), (120, 90)]):
        with Image.open(io.BytesIO(page.get(f"/api/frames/{index}").content)) as image:
            assert image.size == size
            assert image.getexif().get(0x0112, 1) == 1
        answer = page.points(index, 1, POINTS)
        assert (decoded(answer["mask"]) == box(POINTS, size[::-1])).all()


def test_a_finished_image_has_a_mask_with_the_suffix(source):
    page = open_folder(config(source))
    page.points(0, 1, POINTS)
    page.points(0, 2, OTHER)
    state = page.do("/api/frames/0/status", status="done")["state"]
    assert state["status"] == {"0": "done"}
    assert state["suggested"] == 1
    with Image.open(source.parent / "masks" / "1.grey_mask.png") as image:
        assert image.mode == "L"
        labels = np.array(image)
    assert ((labels == 2) == box(OTHER)).all()
    assert ((labels == 1) == box(POINTS)).all()


def test_npy_and_another_suffix(source):
    page = open_folder(config(source, "optional: {mask_suffix: .m, save_format: npy}\n"))
    page.points(4, 1, POINTS)
    page.do("/api/frames/4/status", status="done")
    labels = np.load(source.parent / "masks" / "10.large.m.npy")
    assert labels.dtype == np.uint8
    assert ((labels == 1) == box(POINTS, (90, 120))).all()


def test_progress_and_unfinished_images_persist_and_can_be_reopened(source):
    path = config(source)
    page = open_folder(path)
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/status", status="done")
    page.do("/api/frames/1/status", status="skipped")
    page.points(2, 1, POINTS[:2])
    assert "at least four points" in page.refused("/api/frames/2/status", status="done")
    state = open_folder(path).state()
    assert state["status"] == {"0": "done", "1": "skipped"}
    assert state["suggested"] == 2
    assert state["keyframes"]["2"]["objects"]["1"]["points"] == POINTS[:2]
    page = open_folder(path)
    assert page.do("/api/frames/0/status", status="open")["state"]["status"] == {"1": "skipped"}
    page.points(0, 1, [*POINTS, [20, 20]])
    page.do("/api/undo")
    assert page.state()["keyframes"]["0"]["objects"]["1"]["points"] == POINTS


def test_new_images_are_added_while_the_server_runs_and_later(source):
    path = config(source)
    page = open_folder(path)
    page.points(0, 1, POINTS)
    Image.new("RGB", (64, 48)).save(source / "0.new.png")
    page.service.poll()
    assert page.names() == [*NAMES, "0.new.png"]
    assert page.state()["frames"] == 6
    page.points(5, 1, POINTS)
    assert open_folder(path).names() == ["0.new.png", *NAMES]
    Image.new("RGB", (64, 48)).save(source / "0.later.png")
    fixed = open_folder(config(source, "optional: {update: false}\n"))
    assert "0.later.png" not in fixed.names()


def test_reset_forgets_progress_and_keeps_a_copy(source):
    path = config(source)
    page = open_folder(path)
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/status", status="done")
    assert "confirm" in page.refused("/api/reset")
    state = page.do("/api/reset", confirm=True)["state"]
    assert state["status"] == {}
    assert state["keyframes"] == {}
    assert state["history"] == {"undo": None, "redo": None}
    assert (source.parent / "masks" / "1.grey_mask.png").exists()
    assert (source.parent / "masks" / ".dextr-vos" / "annotations-before-reset.json").exists()
    assert open_folder(path).state()["status"] == {}


def test_reset_asks_first(source, monkeypatch):
    page = open_folder(config(source))
    page.do("/api/frames/1/status", status="skipped")
    served = []
    monkeypatch.setattr("dextr_vos.web.serve.serve", lambda site, **options: served.append(site))
    for answer, expected in (("n\n", {"1": "skipped"}), ("", {"1": "skipped"}), ("y\n", {})):
        path = config(source, "admin:\n  reset_progress: true\n")
        result = CliRunner().invoke(main, ["annotate", "--config", str(path)], input=answer)
        assert result.exit_code == 0, result.output
        assert len(served) == 1
        served.clear()
        assert open_folder(config(source)).state()["status"] == expected


def test_progress_of_the_matplotlib_tool_is_left_alone_and_its_masks_count(source):
    old = pickle.dumps({"done": ["1.grey.png"]})
    (source / ".anno_prog").write_bytes(old)
    (source.parent / "masks").mkdir()
    Image.new("L", (64, 48)).save(source.parent / "masks" / "2.rgba_mask.png")
    page = open_folder(config(source))
    assert page.state()["status"] == {"1": "done"}
    page.do("/api/frames/0/status", status="skipped")
    assert (source / ".anno_prog").read_bytes() == old
    assert json.loads((source / ".anno_prog.json").read_text())["images"]["1.grey.png"] == "skipped"


def written(source, name="1.grey_mask.png") -> np.ndarray:
    with Image.open(source.parent / "masks" / name) as image:
        return np.array(image)


def old_mask(source, labels, name="1.grey_mask.png") -> None:
    (source.parent / "masks").mkdir(exist_ok=True)
    Image.fromarray(labels.astype(np.uint8)).save(source.parent / "masks" / name)


def test_progress_of_version_1_persists(source):
    progress = {
        "format": "dextr-vos progress",
        "version": 1,
        "pictures": {NAMES[0]: "done", NAMES[3]: "skipped"},
    }
    (source / ".anno_prog").write_text(json.dumps(progress))
    page = open_folder(config(source))
    assert page.state()["status"] == {"0": "done", "3": "skipped"}
    page.do("/api/frames/1/status", status="skipped")
    assert open_folder(config(source)).state()["status"] == {"0": "done", "1": "skipped", "3": "skipped"}


def test_a_mask_that_was_there_before_is_not_replaced_by_an_empty_one(source):
    old = 255 * box(POINTS).astype(np.uint8)
    old_mask(source, old)
    path = source.parent / "masks" / "1.grey_mask.png"
    content = path.read_bytes()
    page = open_folder(config(source))
    page.do("/api/frames/0/status", status="done")
    assert path.read_bytes() == content
    page.do("/api/reset", confirm=True)
    assert page.do("/api/frames/0/status", status="done")["state"]["status"] == {"0": "done"}
    assert path.read_bytes() == content
    page.do("/api/frames/1/status", status="done")
    assert not written(source, "2.rgba_mask.png").any()


def test_an_older_mask_is_imported_when_its_image_is_reopened(source):
    labels = np.where(box(POINTS), 1, np.where(box(OTHER), 3, 0))
    old_mask(source, labels)
    page = open_folder(config(source))
    page.do("/api/frames/0/status", status="open")
    assert (page.mask(0) == labels).all()
    assert [each["id"] for each in page.state()["objects"]] == [1, 2, 3]
    page.do("/api/undo")
    assert page.mask(0) is None
    page.do("/api/frames/0/status", status="done")
    assert (written(source) == labels).all()
    page.do("/api/frames/0/status", status="open")
    page.points(0, 2, [[2, 2], [5, 2], [3, 1], [3, 5]])
    page.do("/api/frames/0/status", status="done")
    assert set(np.unique(written(source))) == {0, 1, 2, 3}
    page.do("/api/frames/0/objects/1/clear")
    page.do("/api/frames/0/status", status="done")
    assert set(np.unique(written(source))) == {0, 2, 3}


def test_an_edit_starts_from_the_finished_mask_of_its_image(source):
    old_mask(source, np.where(box(OTHER), 1, 0))
    page = open_folder(config(source))
    state = page.points(0, 2, POINTS)["state"]
    assert state["status"] == {}
    page.do("/api/frames/0/status", status="done")
    assert ((written(source) == 1) == box(OTHER)).all()
    assert ((written(source) == 2) == box(POINTS)).all()


def test_older_arrays_are_imported_and_a_broken_mask_is_kept_and_refused(source):
    path = source.parent / "masks" / "1.grey_mask.npy"
    path.parent.mkdir()
    np.save(path, box(POINTS))
    np.save(path.with_name("2.rgba_mask.npy"), np.zeros((3, 3), dtype=np.uint8))
    page = open_folder(config(source, "optional: {save_format: npy}\n"))
    page.do("/api/frames/0/status", status="open")
    assert (page.mask(0) == box(POINTS)).all()
    message = page.refused("/api/frames/1/status", status="open")
    assert "move it elsewhere to start 2.rgba.png again" in message
    assert page.refused("/api/frames/1/objects/1/points", points=POINTS) == message
    assert page.state()["status"]["1"] == "done"
    path.with_name("2.rgba_mask.npy").unlink()
    page.points(1, 1, POINTS)


def test_a_finished_image_that_changes_is_open_until_it_is_finished_again(source):
    page = open_folder(config(source))
    page.points(0, 1, POINTS)
    finish = "/api/frames/0/status"
    changes = (
        ("/api/undo", {}),
        ("/api/redo", {}),
        ("/api/frames/0/objects/1/points", {"points": [*POINTS, [30, 40]]}),
        ("/api/frames/0/objects/2/points", {"points": OTHER}),
        ("/api/frames/0/objects/1/stroke", {"path": [[50, 40]], "radius": 3}),
        ("/api/frames/0/objects/1/clear", {}),
        ("/api/objects/2/delete", {}),
    )
    for path, body in changes:
        assert page.do(finish, status="done")["state"]["status"] == {"0": "done"}
        assert page.do(path, **body)["state"]["status"] == {}, path
    page.do(finish, status="done")
    assert not written(source).any()
    page.points(0, 1, POINTS[:2])
    assert open_folder(config(source)).state()["status"] == {}


def test_edits_of_other_images_and_of_the_look_of_objects_leave_an_image_done(source):
    page = open_folder(config(source))
    page.points(0, 1, POINTS)
    page.points(0, 2, OTHER)
    page.do("/api/frames/0/status", status="done")
    page.points(1, 1, POINTS)
    page.do("/api/objects/1", name="left", colour="#112233")
    page.do("/api/objects/order", ids=[2, 1])
    page.do("/api/objects")
    page.do("/api/undo")
    assert page.state()["status"] == {"0": "done"}


def test_removing_all_points_of_a_finished_image_makes_its_mask_empty(source):
    page = open_folder(config(source))
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/status", status="done")
    assert written(source).any()
    page.points(0, 1, [])
    page.do("/api/frames/0/status", status="done")
    assert not written(source).any()


def test_masks_may_be_in_the_folder_of_the_images(source):
    path = source.parent / "anno_cfg.yml"
    path.write_text(f"required: {{source: {source}, destination: {source}}}\n")
    page = open_folder(path)
    page.points(0, 1, POINTS)
    page.do("/api/frames/0/status", status="done")
    assert open_folder(path).names() == NAMES


def test_propagation_and_exports_are_refused_in_one_sentence(source):
    page = open_folder(config(source))
    assert "not propagated" in page.refused("/api/propagate")
    assert "not propagated" in page.refused("/api/export", format="coco")


def test_two_images_with_the_same_mask_are_refused(source):
    Image.new("RGB", (8, 8)).save(source / "1.grey.bmp")
    with pytest.raises(InputError, match=r"several images named '1\.grey'"):
        open_folder(config(source))
