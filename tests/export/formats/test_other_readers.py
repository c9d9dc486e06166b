"""What we write, opened by the other side's own reader, where its package is installed."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from export.formats.made_masks import NAMES, made_labels, write_workspace

from dextr_vos.cli.main import main
from dextr_vos.masks import VOID, write_labels

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def written(tiny_clip, tmp_path):
    """Writes a format, gives its path."""
    work = write_workspace(tiny_clip, tmp_path / "work").path
    labels = made_labels(1)
    labels[:3] = VOID
    write_labels(work / "propagation" / "masks" / "00001.png", labels)

    def write(name, shapes="mask", suffix=""):
        target = tmp_path / f"out{suffix}"
        given = ["export", str(work), "--format", name, "--shapes", shapes, "-o", str(target)]
        assert CliRunner().invoke(main, given).exit_code == 0
        return target

    return write


@pytest.mark.parametrize("shapes", ["mask", "polygon"])
def test_labelme_draws_the_masks(shapes, written):
    labelme = pytest.importorskip("labelme")
    from labelme.utils import shape_to_mask

    for file in sorted(written("labelme", shapes).glob("*.json")):
        got = np.zeros((48, 64), np.uint8)
        for shape in labelme.LabelFile(str(file)).shapes:
            mask = np.zeros((48, 64), bool)
            if shape["shape_type"] == "mask":
                (x, y), (x2, y2) = np.array(shape["points"]).astype(int)
                mask[y : y2 + 1, x : x2 + 1] = shape["mask"]
            else:
                mask = shape_to_mask((48, 64), shape["points"], shape["shape_type"])
            got[mask] = shape["group_id"]
        assert (got == made_labels(int(file.stem))).all()


def test_label_studio_decodes_the_brush_and_accepts_the_annotations(written):
    pytest.importorskip("label_studio_sdk")
    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface

    folder = written("label-studio")
    interface = LabelInterface((folder / "config.xml").read_text())
    for task in json.loads((folder / "tasks.json").read_text()):
        (annotation,) = task["annotations"]
        assert interface.validate_annotation(annotation)
        for result in annotation["result"]:
            mask = decode_rle(result["value"]["rle"]).reshape(48, 64, 4)[..., 3] > 0
            labels = made_labels(task["data"]["frame"])
            assert (mask == (labels == result["meta"]["object_id"])).all()


def test_supervision_reads_yolo(written):
    supervision = pytest.importorskip("supervision")

    folder = written("yolo")
    places = [str(folder / name) for name in ("images/train", "labels/train", "data.yaml")]
    data = supervision.DetectionDataset.from_yolo(*places, force_masks=True)
    assert data.classes == list(NAMES.values())
    for path, _, found in data:
        labels = made_labels(int(path[-9:-4]))
        for number, mask in zip(found.class_id, found.mask, strict=True):
            assert mask[labels == list(NAMES)[number]].all()


@pytest.mark.parametrize("shapes", ["mask", "polygon"])
def test_datumaro_reads_cvat_for_images(shapes, written, tiny_clip, tmp_path):
    datumaro = pytest.importorskip("datumaro")
    from pycocotools import mask as runs

    shutil.copytree(tiny_clip, tmp_path / "set" / "images")
    shutil.move(written("cvat-images", shapes, ".xml"), tmp_path / "set" / "annotations.xml")
    data = datumaro.Dataset.import_from(str(tmp_path / "set"), "cvat")
    ids = list(NAMES)  # in the order of the file's labels, which datumaro numbers
    for item in data:
        got = np.zeros((48, 64), np.uint8)
        for entry in item.annotations:
            if entry.type == datumaro.AnnotationType.mask:
                mask = np.asarray(entry.image) > 0
            else:
                mask = runs.decode(runs.merge(runs.frPyObjects([entry.points], 48, 64))) > 0
            got[mask] = ids[entry.label]
        assert (got == made_labels(int(item.id))).all()


@pytest.mark.parametrize("reader", ["voc_segmentation", "voc_instance_segmentation"])
def test_datumaro_reads_pascal_voc_with_void_pixels(reader, written):
    datumaro = pytest.importorskip("datumaro")

    data = datumaro.Dataset.import_from(str(written("voc")), reader)
    assert len(data) == 6
    names = [label.name for label in data.categories()[datumaro.AnnotationType.label]]
    for item in data:
        labels = made_labels(int(item.id))
        if item.id == "00001":
            labels[:3] = VOID
        for entry in item.annotations:
            if entry.type != datumaro.AnnotationType.mask:
                continue
            value = {name: number for number, name in NAMES.items()} | {"background": 0, "ignored": VOID}
            mask = np.asarray(entry.image) > 0
            assert (labels[mask] == value[names[entry.label]]).all()
            if names[entry.label] != "background":
                assert mask.sum() == (labels == value[names[entry.label]]).sum()
