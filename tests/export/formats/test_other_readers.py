"""What we write, opened by the other side's own reader, where its package is installed.

Two clips of one name, which like frames and objects has spaces and umlauts, go into each file, with a label
set.
"""

import contextlib
import io
import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from export.formats.made_masks import NAMES, project_labels, write_project

from dextr_vos.cli.main import main

pytestmark = pytest.mark.filterwarnings("ignore")

CATEGORIES = {1: "dog", 3: "Katze", 7: "dog"}
ALL = {(clip, index) for clip in (0, 1) for index in range(6)}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "labels.txt").write_text("dog\nKatze\n", encoding="utf-8")
    return [workspace.path for workspace in write_project(tmp_path / "project")]


@pytest.fixture
def written(project, tmp_path):
    """Writes a format, gives its path."""

    def write(name, shapes="mask", suffix=""):
        target = tmp_path / f"out{suffix}"
        workspaces = project[:1] if name == "cvat-video" else project
        labels = () if name == "davis" else ("--labels", tmp_path / "labels.txt")
        given = ["export", *workspaces, "--format", name, "--shapes", shapes, *labels, "-o", target]
        result = CliRunner().invoke(main, [str(argument) for argument in given])
        assert result.exit_code == 0, result.output
        return target

    return write


@pytest.fixture
def images(project, tmp_path):
    """Both clips in a folder, as their images are called in one file."""
    for number, name in enumerate(("Köln Hund", "Köln Hund-2")):
        shutil.copytree(
            project[number].parents[1] / f"frames{number}" / "Köln Hund", tmp_path / "images" / name
        )
    return tmp_path / "images"


def place(name):
    """Clip and index of a frame, of its image's name with the folder."""
    text = unicodedata.normalize("NFC", str(name))
    return int("Köln Hund-2" in text), int(Path(text).stem[-3:])


def expected(clip, index):
    labels = project_labels(clip, index)
    return np.where(labels == 255, 0, labels)


def assert_equal(found, frames=ALL):
    """All frames are there, and their labels are ours."""
    assert set(found) == frames
    for frame, labels in found.items():
        assert np.array_equal(labels, expected(*frame)), frame


def drawn_polygon(points, size_hw):
    from pycocotools import mask as runs

    return runs.decode(runs.merge(runs.frPyObjects([list(points)], *size_hw))) > 0


def labels_of_datumaro(items, id_of):
    found = {}
    for item in items:
        of_video = item.id.startswith("frame_")
        frame = (0, item.attributes["frame"]) if of_video else place(item.id)
        labels = np.zeros(expected(*frame).shape, np.uint8)
        for entry in item.annotations:
            if entry.type.name == "mask":
                labels[np.asarray(entry.image) > 0] = id_of(entry)
            elif entry.type.name == "polygon" and not entry.attributes.get("outside"):
                labels[drawn_polygon(entry.points, labels.shape)] = id_of(entry)
        found[frame] = labels
    return found


def names_of_datumaro(data):
    import datumaro

    return [label.name for label in data.categories()[datumaro.AnnotationType.label]]


@pytest.mark.parametrize("shapes", ["mask", "polygon"])
def test_pycocotools_reads_coco(shapes, written):
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(written("coco", shapes, ".json")))
    found = {}
    for image in coco.imgs.values():
        labels = np.zeros((image["height"], image["width"]), np.uint8)
        for entry in coco.imgToAnns[image["id"]]:
            mask = coco.annToMask(entry) > 0
            assert coco.cats[entry["category_id"]]["name"] == CATEGORIES[entry["track_id"]]
            assert mask.sum() == entry["area"]
            labels[mask] = entry["track_id"]
        found[place(image["file_name"])] = labels
    assert_equal(found)


@pytest.mark.parametrize("shapes", ["mask", "polygon"])
def test_datumaro_reads_coco(shapes, written, images, tmp_path):
    datumaro = pytest.importorskip("datumaro")

    file = written("coco", shapes, ".json")
    ids = {entry["id"]: entry["track_id"] for entry in json.loads(file.read_text("utf-8"))["annotations"]}
    (tmp_path / "set" / "annotations").mkdir(parents=True)
    shutil.move(file, tmp_path / "set" / "annotations" / "instances_train.json")
    shutil.move(images, tmp_path / "set" / "images" / "train")
    data = datumaro.Dataset.import_from(str(tmp_path / "set"), "coco_instances")
    assert names_of_datumaro(data) == ["dog", "Katze"]
    assert_equal(labels_of_datumaro(data, lambda entry: ids[entry.id or entry.group]))


@pytest.mark.parametrize("shapes", ["mask", "polygon"])
def test_datumaro_reads_cvat_for_images(shapes, written, images, tmp_path):
    datumaro = pytest.importorskip("datumaro")

    (tmp_path / "set").mkdir()
    shutil.move(images, tmp_path / "set" / "images")
    shutil.move(written("cvat-images", shapes, ".xml"), tmp_path / "set" / "annotations.xml")
    data = datumaro.Dataset.import_from(str(tmp_path / "set"), "cvat")
    assert names_of_datumaro(data) == ["dog", "Katze"]
    assert_equal(labels_of_datumaro(data, lambda entry: entry.group))


def test_datumaro_reads_polygons_of_cvat_for_video(written, tmp_path):
    datumaro = pytest.importorskip("datumaro")

    (tmp_path / "set").mkdir()
    shutil.move(written("cvat-video", "polygon", ".xml"), tmp_path / "set" / "annotations.xml")
    data = datumaro.Dataset.import_from(str(tmp_path / "set"), "cvat")
    found = labels_of_datumaro(data, lambda entry: entry.group)
    assert_equal(found, {(0, index) for index in range(6)})


@pytest.mark.parametrize("reader", ["voc_segmentation", "voc_instance_segmentation"])
def test_datumaro_reads_pascal_voc_with_void_pixels(reader, written):
    datumaro = pytest.importorskip("datumaro")

    data = datumaro.Dataset.import_from(str(written("voc")), reader)
    names = names_of_datumaro(data)
    assert names == ["background", "dog", "Katze", "ignored"]
    assert {place(item.id) for item in data} == ALL
    assert len(data) == len(ALL)
    classes = {name: number for number, name in enumerate(names)}
    for item in data:
        labels = project_labels(*place(item.id))
        wanted = np.zeros(labels.shape, np.uint8)
        for object_id, name in (*CATEGORIES.items(), (255, "ignored")):
            wanted[labels == object_id] = classes[name]
        got = np.zeros(labels.shape, np.uint8)
        for entry in item.annotations:
            if entry.type == datumaro.AnnotationType.mask:
                got[np.asarray(entry.image) > 0] = entry.label
        assert np.array_equal(got, wanted)


def assert_objects_of_classes(found):
    """Class names and masks of each frame; a cut between parts of an object may be added to its mask."""
    assert set(found) == ALL
    for frame, entries in found.items():
        labels = expected(*frame)
        there = [object_id for object_id in NAMES if (labels == object_id).any()]
        assert [name for name, _ in entries] == [CATEGORIES[object_id] for object_id in there]
        for object_id, (_, mask) in zip(there, entries, strict=True):
            assert mask[labels == object_id].all()
            added = mask & (labels != object_id)
            assert added.sum() <= (45 if object_id != 3 else 0)


def test_supervision_reads_yolo(written):
    supervision = pytest.importorskip("supervision")

    folder, found = written("yolo"), {}
    for clip in ("Köln Hund", "Köln Hund-2"):
        places = [str(folder / name / "train" / clip) for name in ("images", "labels")]
        data = supervision.DetectionDataset.from_yolo(*places, str(folder / "data.yaml"), force_masks=True)
        for path, _, entries in data:
            masks = () if entries.mask is None else entries.mask
            found[place(path)] = [
                (data.classes[n], mask) for n, mask in zip(entries.class_id, masks, strict=True)
            ]
    assert_objects_of_classes(found)


def test_supervision_reads_run_lengths_of_coco(written, images):
    supervision = pytest.importorskip("supervision")

    file = str(written("coco", "mask", ".json"))
    data = supervision.DetectionDataset.from_coco(str(images), file, force_masks=True)
    assert len(data) == len(ALL)
    for path, _, entries in data:
        labels = expected(*place(path))
        there = [object_id for object_id in NAMES if (labels == object_id).any()]
        for object_id, mask in zip(there, () if entries.mask is None else entries.mask, strict=True):
            assert np.array_equal(mask, labels == object_id)


def test_ultralytics_reads_yolo(written, monkeypatch, tmp_path):
    monkeypatch.setenv("YOLO_OFFLINE", "true")  # it asks hosts and writes settings when it is imported
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "settings"))
    pytest.importorskip("ultralytics")
    from ultralytics.data import utils
    from ultralytics.data.dataset import YOLODataset

    monkeypatch.setattr(utils, "check_font", lambda *given, **named: None)  # it would be downloaded
    file = written("yolo") / "data.yaml"
    monkeypatch.chdir("/")
    about = utils.check_det_dataset(str(file), autodownload=False)
    found = {}
    for each in YOLODataset(img_path=about["train"], data=about, task="segment", augment=False).labels:
        shape, classes = each["shape"], each["cls"].ravel()
        masks = [
            utils.polygon2mask(shape, [(segment * shape[::-1]).ravel()]) > 0 for segment in each["segments"]
        ]
        names = [about["names"][int(number)] for number in classes]
        found[place(each["im_file"])] = list(zip(names, masks, strict=True))
    assert_objects_of_classes(found)


@pytest.mark.parametrize("shapes", ["mask", "polygon"])
def test_labelme_draws_the_masks(shapes, written):
    labelme = pytest.importorskip("labelme")
    from labelme.utils import shape_to_mask

    found = {}
    for file in written("labelme", shapes).rglob("*.json"):
        content = labelme.LabelFile(str(file))
        assert content.imageData, "its image lies beside it"
        labels = np.zeros(expected(*place(file)).shape, np.uint8)
        for shape in content.shapes:
            mask = np.zeros(labels.shape, bool)
            if shape["shape_type"] == "mask":
                (x, y), (x2, y2) = np.array(shape["points"]).astype(int)
                mask[y : y2 + 1, x : x2 + 1] = shape["mask"]
            else:
                mask = shape_to_mask(labels.shape, shape["points"], shape["shape_type"])
            assert shape["label"] == CATEGORIES[shape["group_id"]]
            labels[mask] = shape["group_id"]
        found[place(file)] = labels
    assert_equal(found)


def test_label_studio_decodes_the_brush_and_accepts_the_annotations(written):
    pytest.importorskip("label_studio_sdk")
    from urllib.parse import unquote

    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface

    folder, found = written("label-studio"), {}
    interface = LabelInterface((folder / "config.xml").read_text("utf-8"))
    for task in json.loads((folder / "tasks.json").read_text("utf-8")):
        (annotation,) = task["annotations"]
        assert interface.validate_annotation(annotation)
        frame = place(unquote(task["data"]["image"]))
        labels = np.zeros(expected(*frame).shape, np.uint8)
        for result in annotation["result"]:
            mask = decode_rle(result["value"]["rle"]).reshape(*labels.shape, 4)[..., 3] > 0
            assert result["value"]["brushlabels"] == [CATEGORIES[result["meta"]["object_id"]]]
            labels[mask] = result["meta"]["object_id"]
        found[frame] = labels
    assert_equal(found)


def test_the_converter_of_label_studio_writes_a_png_a_region(written, tmp_path):
    converter = pytest.importorskip("label_studio_converter")
    from PIL import Image

    folder = written("label-studio")
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    for number, task in enumerate(tasks):  # what Label Studio adds when it exports
        task["id"] = task["annotations"][0]["id"] = number
        task["annotations"][0]["completed_by"] = {"email": "me"}
    for name in ("in", "png"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "tasks.json").write_text(json.dumps(tasks))
    reader = converter.Converter(str(folder / "config.xml"), str(folder), download_resources=False)
    reader.convert(str(tmp_path / "in"), str(tmp_path / "png"), "BRUSH_TO_PNG", is_dir=True)
    found = dict.fromkeys(ALL, 0)
    for file in (tmp_path / "png").glob("*.png"):
        task = tasks[int(file.name.split("-")[1])]
        frame = task["data"]["clip"] == "Köln Hund-2", task["data"]["frame"]
        mask, labels = np.array(Image.open(file)) > 0, expected(*frame)
        assert any(np.array_equal(mask, labels == object_id) for object_id in NAMES)
        found[frame] += 1
    assert found == {frame: len(np.unique(expected(*frame))) - 1 for frame in ALL}


def test_the_reader_of_the_davis_evaluation_reads_davis(written):
    davis = pytest.importorskip("davis2017.davis")

    data, found = davis.DAVIS(str(written("davis")), task="semi-supervised", subset="val"), {}
    for clip, sequence in enumerate(data.get_sequences()):
        for index, (image, mask) in enumerate(data.get_frames(sequence)):
            assert image.shape[:2] == mask.shape
            found[clip, index] = np.where(mask == 255, 0, mask)
    assert_equal(found)
