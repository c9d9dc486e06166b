"""Every format and every option of `dextr-vos export` and `import` through the page's server."""

import io
import json
import re
import xml.etree.ElementTree as ElementTree
import zipfile

import av
import cv2
import numpy as np
import pytest
from export.formats.made_masks import made_labels, write_workspace
from tiny_page import open_page
from web.test_imports import send
from web.test_jobs import wait_for

from dextr_vos.cli import export as export_command
from dextr_vos.cli import import_masks as import_command
from dextr_vos.export.formats.registry import FORMATS
from dextr_vos.web.exports import export_formats
from dextr_vos.web.schemas import Export, Import

BY_NAME = {each["name"]: each for each in export_formats()}
LABELS = ["Katze", "dog"]
# an option and a value of it that is not the default
OPTIONS = {
    "keyframes_only": True,
    "shapes": "polygon",
    "images": True,
    "labels": LABELS,
    "feather": 0.0,
    "fps": 12.5,
    "opacity": 1.0,
    "captions": True,
}


@pytest.fixture
def page(tiny_clip, tmp_path):
    page = open_page(tiny_clip, write_workspace(tiny_clip, tmp_path / "w").path, objects=3)
    yield page
    page.service.close()


def exported(page, **asked):
    """The file that an export gives, by its members where it is a ZIP file."""
    page.do("/api/export", **asked)
    state = wait_for(page)
    assert state["last_job"]["outcome"] == "done", state["last_job"]
    file = page.get(f"/api/exports/{state['exports'][0]['name']}").content
    if not BY_NAME[asked["format"]]["folder"]:
        return {"": file}
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_page_has_every_option_of_the_commands():
    of_files = {"clips", "masks", "out", "video", "sheet", "coco", "page", "scores"}
    options = {option.name for option in export_command.command.params} - of_files
    assert {{"only": "objects"}.get(name, name) for name in options} == set(Export.model_fields)
    offered = {option for each in BY_NAME.values() for option in each["options"]}
    assert offered == set(OPTIONS) == set(Export.model_fields) - {"format", "objects", "frames"}
    options = {option.name for option in import_command.command.params} - {"source", "out"}
    names = {"clip_name": "clip", "format_name": "format", "clip": "upload"}
    assert {names.get(name, name) for name in options} == set(Import.model_fields)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_of_masks_takes_each_of_its_options(name, page):
    options = {option: OPTIONS[option] for option in BY_NAME[name]["options"]}
    files = exported(page, format=name, objects=[1, 7], **options)
    texts = [content for path, content in files.items() if not path.endswith((".png", ".jpg"))]
    text = b"".join(texts).decode()
    if options.get("images"):
        pictures = [path for path in files if path.endswith((".png", ".jpg")) and "Annotations" not in path]
        assert len([path for path in pictures if "Segmentation" not in path]) == 3, "of the keyframes"
    if "shapes" in options:
        assert "polygon" in text or json.loads(text)["annotations"][0]["segmentation"][0]
    if "labels" in options:
        assert re.search(r"\bdog\b(?! \d)", text), "a category, no name of an object"
    if name == "coco":
        coco = json.loads(text)
        assert [each["name"] for each in coco["categories"]] == LABELS
        assert [each["frame_index"] for each in coco["images"]] == [0, 2, 3]
    if name == "cvat-images":
        assert len(ElementTree.fromstring(text).findall("image")) == 3
    if name == "masks":
        assert sorted(files) == ["00000.png", "00002.png", "00003.png"]


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in FORMATS])
def test_a_format_of_pictures_takes_each_of_its_options(name, page, tmp_path):
    options = {option: OPTIONS[option] for option in BY_NAME[name]["options"]}
    files = exported(page, format=name, objects=[1], frames=[1, 4], **options)
    suffix = BY_NAME[name]["suffix"]
    if suffix == ".zip":
        assert [path[-9:] for path in files] == [f"0000{index}.png" for index in range(1, 5)]
        image = cv2.imdecode(np.frombuffer(next(iter(files.values())), np.uint8), cv2.IMREAD_UNCHANGED)
        alpha = image[..., 3] if image.ndim == 3 else image
        assert np.array_equal(alpha > 0, made_labels(1) == 1), "a hard edge"
        assert set(np.unique(alpha)) == {0, np.iinfo(alpha.dtype).max}
    elif suffix in (".mov", ".mp4", ".webm"):
        (tmp_path / f"a{suffix}").write_bytes(files[""])
        with av.open(str(tmp_path / f"a{suffix}")) as video:
            times = [float(frame.time) for frame in video.decode(video=0)]
        assert np.diff(times) == pytest.approx(0.08, abs=0.002)
        assert len(times) == 4
    else:
        assert len(files[""]) > 1000


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_comes_back_through_the_page(name, page):
    page.do("/api/export", format=name, keyframes_only=True)
    file = wait_for(page)["exports"][0]["name"]
    content = page.get(f"/api/exports/{file}").content
    for index in (0, 2, 3):
        page.do(f"/api/frames/{index}/objects/3/stroke", path=[[60, 44]], radius=3)
        assert (page.mask(index) == 3).sum() > (made_labels(index) == 3).sum()
    send(page, file, content)
    page.do("/api/import", upload="0123456789abcdef", format=name)
    for index in (0, 2, 3):
        found, labels = page.mask(index), made_labels(index)
        # a cut of YOLO between two parts of an object is drawn over what lies there
        apart = 60 if name == "yolo" else 0
        assert np.count_nonzero(found != labels) <= apart
        assert not (found[labels == 0] == 3).any(), "the stroke is gone"
