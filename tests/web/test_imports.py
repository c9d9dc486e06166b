"""Masks of other programs through the page: uploaded piece by piece, keyframes in one change."""

import io
import json
import zipfile

import numpy as np
import pytest
from export.formats.made_masks import made_labels, write_workspace
from tiny_page import POINTS, open_page

from dextr_vos.masks import VOID, write_labels
from dextr_vos.web.exports import write_export
from dextr_vos.web.schemas import Export
from dextr_vos.web.uploads import Uploads

UPLOAD = "0123456789abcdef"


@pytest.fixture
def page(tiny_clip, tmp_path):
    page = open_page(tiny_clip, tmp_path / "w")
    page.points(0, 1, POINTS)
    yield page
    page.service.close()


@pytest.fixture
def exported(tiny_clip, tmp_path):
    work = write_workspace(tiny_clip, tmp_path / "other").path
    return lambda name: write_export(
        Export(format=name, keyframes_only=True), tiny_clip, work, lambda done, total: None
    )


def send(page, path, content, piece=1000):
    for at in range(0, len(content), piece):
        answer = page.client.post(
            f"/api/uploads/{UPLOAD}",
            params={"path": path, "offset": at},
            content=content[at : at + piece],
        )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", ["coco", "masks"])
def test_what_was_exported_becomes_keyframes_in_one_change(page, exported, name):
    file = exported(name)
    before = page.mask(0)
    send(page, file.name, file.read_bytes())
    answer = page.do("/api/import", upload=UPLOAD, format=name)
    assert answer["state"]["history"]["undo"].startswith("import of 3 keyframes with ")
    assert answer["warnings"] == []
    state = page.state()
    assert [index for index, each in state["keyframes"].items() if not each["draft"]] == ["0", "2", "3"]
    names = {each["id"]: each["name"] for each in state["objects"]}
    same = {"object 1": 1, "dog 1": 1, "Katze": 3, "object 3": 3, "dog 2": 7, "object 7": 7}
    found = page.mask(2)
    for object_id, name_of in names.items():
        if name_of in same and (found == object_id).any():
            assert np.array_equal(found == object_id, made_labels(2) == same[name_of])
    assert {same[names[each]] for each in np.unique(found) if each} == {1, 3, 7}
    page.do("/api/undo")
    assert np.array_equal(page.mask(0), before)
    assert page.mask(2) is None
    page.do("/api/redo")
    assert np.array_equal(page.mask(2), found)


def test_a_folder_is_found_in_an_upload_and_in_a_zip_file(page, exported):
    with zipfile.ZipFile(exported("masks")) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    for name, content in contents.items():
        send(page, f"chosen/{name}", content)
    page.do("/api/import", upload=UPLOAD, format="masks")
    assert np.array_equal(page.mask(2) > 0, made_labels(2) > 0)
    page.do("/api/undo")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"deep/inside/{name}", content)
    send(page, "masks.zip", packed.getvalue())
    page.do("/api/import", upload=UPLOAD, format="masks")
    assert np.array_equal(page.mask(2) > 0, made_labels(2) > 0)


def test_a_piece_that_is_sent_again_is_there_once(page, exported):
    file = exported("coco")
    content = file.read_bytes()
    send(page, file.name, content[:1500])
    send(page, file.name, content)
    page.do("/api/import", upload=UPLOAD, format="coco")
    late = {"path": "a.json", "offset": 7}
    answer = page.client.post(f"/api/uploads/{UPLOAD}", params=late, content=b"x")
    assert "a piece of 'a.json' is missing" in answer.json()["error"]


def test_an_upload_that_is_read_for_long_is_not_abandoned(tmp_path, monkeypatch):
    uploads = Uploads()
    uploads.append("one", "a.json", b"{}", 0)
    monkeypatch.setattr("dextr_vos.web.uploads._SECONDS_KEPT", -1.0)
    with uploads.taken("one") as folder:
        uploads.append("two", "b.json", b"{}", 0)
        assert (folder / "a.json").read_bytes() == b"{}"
        uploads.close()  # as when the server ends


def test_void_pixels_that_the_page_does_not_keep_are_told(page, tiny_clip, tmp_path):
    labels = made_labels(2).copy()
    labels[:3] = VOID
    write_labels(tmp_path / "00002.png", labels)
    send(page, "masks/00002.png", (tmp_path / "00002.png").read_bytes())
    answer = page.do("/api/import", upload=UPLOAD, format="masks")
    sentence = "void pixels, which only dextr-vos import keeps, left out in 1 frame: 00002"
    assert answer["warnings"] == [sentence]


def test_what_is_left_out_is_in_the_answer(page):
    shape = {"label": "cat", "shape_type": "rectangle", "points": [[-9, 1], [-5, 5]]}
    shapes = [shape, shape | {"points": [[1, 1], [5, 5]]}, shape | {"shape_type": "point"}]
    for index, some in enumerate((shapes[:1], shapes)):
        content = {"imagePath": f"0000{index}.png", "imageHeight": 48, "imageWidth": 64, "shapes": some}
        send(page, f"a/{index}.json", json.dumps(content).encode())
    before = page.mask(0)
    answer = page.do("/api/import", upload=UPLOAD, format="labelme")
    assert answer["warnings"] == [
        "annotations without a mask left out: 1 of the kind 'point'",
        "2 shapes without a pixel inside the image left out in 2 frames: 00000, 00001",
        "1 frame without masks left out, which may not have been annotated",
    ]
    assert answer["state"]["history"]["undo"] == "import of 1 keyframe with cat"
    assert (page.mask(1) > 0).sum() == 25
    assert np.array_equal(page.mask(0), before)


@pytest.mark.parametrize("path", ["../outside.json", "/etc/outside", "a/../../b", "", "a\\..\\b"])
def test_a_path_out_of_the_upload_is_refused(page, path):
    answer = page.client.post(f"/api/uploads/{UPLOAD}", params={"path": path, "offset": 0}, content=b"x")
    assert answer.status_code == 400
    assert "expected the path of a file" in answer.json()["error"]


@pytest.mark.parametrize(
    ("file", "content", "name", "sentence"),
    [
        ("a.json", b"{", "coco", "a.json"),
        ("a.txt", b"x", "coco", "expected one .json file of COCO, got 0"),
        ("a.zip", b"no zip", "masks", "a.zip is no ZIP file that can be read"),
        ("a.json", b"{}", "rgba", "there is no format 'rgba' to read"),
    ],
)
def test_files_of_another_kind_are_refused_and_nothing_changes(page, file, content, name, sentence):
    before = page.state()
    send(page, file, content)
    assert sentence in page.refused("/api/import", upload=UPLOAD, format=name)
    assert page.state() == before
    assert "choose them again" in page.refused("/api/import", upload=UPLOAD, format=name)
