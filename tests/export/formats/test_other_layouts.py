"""Folders and files as other programs write them: Label Studio, PASCAL VOC, YOLO, YouTube-VOS and DAVIS."""

import json

import numpy as np
import pytest
from export.commands import call
from export.formats.made_masks import made_labels, write_workspace
from export.formats.other_masks import OTHER, SQUARE, png_text
from PIL import Image

from dextr_vos.export.formats.run_lengths import label_studio_rle
from dextr_vos.masks import write_labels


def label_studio(image, *results, cancelled=()):
    annotations = [{"was_cancelled": True, "result": list(cancelled)}, {"result": list(results)}]
    return {"data": {"note": "no. 1", "image": image}, "annotations": annotations}


def region(kind, value, **more):
    return {"type": kind, "original_width": 64, "original_height": 48, "value": value, **more}


def test_regions_of_label_studio(imported, tmp_path):
    brush = {"format": "rle", "rle": label_studio_rle(SQUARE)}
    alpha = np.dstack([np.zeros((48, 64, 3), np.uint8), OTHER.astype(np.uint8) * 255])
    bitmask = {"imageDataURL": f"data:image/png;base64,{png_text(alpha)}", "bitmasklabels": ["cat"]}
    ellipse = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 12.5, "ellipselabels": ["ball"]}
    named = {"type": "labels", "id": "r1", "value": {"labels": ["dog"]}}
    box = region("rectanglelabels", {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["car"]})
    tasks = [
        label_studio("/data/upload/3/0a1b2c3d-00001.png", region("brush", brush, id="r1"), named, box),
        label_studio("/data/local-files/?d=some%20folder/00002.png", region("bitmasklabels", bitmask)),
        label_studio(
            "s3://bucket/00003.png?X-Signature=a.b",
            region("ellipselabels", ellipse),
            cancelled=[region("bitmasklabels", bitmask)],
        ),
    ]
    for task in tasks:
        task["data"]["clip"] = "tiny"
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    shown, masks = imported(tmp_path / "a.json", "label-studio")
    assert (masks["00001"]["dog"] == SQUARE).all()
    assert (masks["00002"]["cat"] == OTHER).all()
    assert not masks["00003"]["cat"].any()
    assert masks["00003"]["ball"].sum() == pytest.approx(np.pi * 16 * 6, rel=0.03)
    assert "1 of the kind 'rectanglelabels'" in shown


def test_regions_of_label_studio_without_an_id_keep_their_labels(imported, tmp_path):
    regions = [
        region("brushlabels", {"format": "rle", "rle": label_studio_rle(mask), "brushlabels": [label]})
        for mask, label in ((OTHER & ~SQUARE, "cat"), (SQUARE, "dog"))
    ]
    bare = region("polygon", {"points": [[75, 75], [100, 75], [100, 100], [75, 100]]})
    line = region("polygonlabels", {"points": [[1, 1], [9, 9]], "polygonlabels": ["dog"]})
    task = label_studio("/data/00001.png", *regions, bare, line)
    (tmp_path / "a.json").write_text(json.dumps([task]))
    shown, masks = imported(tmp_path / "a.json", "label-studio")
    assert (masks["00001"]["dog"] == SQUARE).all()
    assert (masks["00001"]["cat"] == (OTHER & ~SQUARE)).all()
    assert masks["00001"]["object"].sum() == 16 * 12
    assert "1 of the kind 'polygon of fewer than 3 corners'" in shown


def test_a_task_of_label_studio_that_was_skipped_is_left_out(imported, tmp_path):
    brush = region("brush", {"format": "rle", "rle": label_studio_rle(SQUARE)})
    tasks = [label_studio("00001.png", brush), label_studio("00002.png")]
    tasks[1]["annotations"].pop()
    tasks[1]["predictions"] = [{"result": [brush]}]
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    shown, masks = imported(tmp_path / "a.json", "label-studio")
    assert list(masks) == ["00001"]
    assert "1 frame without masks left out" in shown


def test_all_files_of_a_folder_of_label_studio_are_read(imported, tmp_path):
    brush = region("brush", {"format": "rle", "rle": label_studio_rle(SQUARE)})
    (tmp_path / "a").mkdir()
    for index in (1, 2):
        content = json.dumps([label_studio(f"0000{index}.png", brush)])
        (tmp_path / "a" / f"{index}.json").write_text(content)
    _, masks = imported(tmp_path / "a", "label-studio")
    assert sorted(masks) == ["00001", "00002"]


def write_voc(folder, classes, objects):
    for name, image in (("SegmentationClass", classes), ("SegmentationObject", objects)):
        (folder / name).mkdir(parents=True)
        image.save(folder / name / "00002.png")


def test_classes_of_pascal_voc_have_their_names_and_a_border_is_void(imported, tmp_path):
    labels = np.where(SQUARE, 2, 0).astype(np.uint8)
    labels[9, 30:40] = 255
    write_labels(tmp_path / "voc" / "SegmentationObject" / "00002.png", labels)
    write_labels(tmp_path / "voc" / "SegmentationClass" / "00002.png", np.where(labels == 2, 12, labels))
    _, masks = imported(tmp_path / "voc", "voc")
    assert (masks["00002"]["dog"] == SQUARE).all()
    assert (masks["00002"]["void"] == (labels == 255)).all()


def test_classes_have_the_colours_of_their_labelmap(imported, tmp_path):
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[SQUARE] = (51, 221, 255)
    objects = np.zeros((48, 64, 3), np.uint8)
    objects[SQUARE] = (128, 0, 0)
    write_voc(tmp_path / "voc", Image.fromarray(colours), Image.fromarray(objects))
    (tmp_path / "voc" / "labelmap.txt").write_text("# label:color\nbackground:0,0,0::\nzebra:51,221,255::\n")
    _, masks = imported(tmp_path / "voc", "voc")
    assert (masks["00002"]["zebra"] == SQUARE).all()


def test_a_labelmap_may_leave_colours_to_pascal_voc(imported, tmp_path):
    write_labels(tmp_path / "voc" / "SegmentationObject" / "00002.png", SQUARE.astype(np.uint8))
    write_labels(tmp_path / "voc" / "SegmentationClass" / "00002.png", 2 * SQUARE.astype(np.uint8))
    (tmp_path / "voc" / "labelmap.txt").write_text("background:::\ncat:::\nzebra:::\n")
    _, masks = imported(tmp_path / "voc", "voc")
    assert (masks["00002"]["zebra"] == SQUARE).all()


def test_objects_that_pascal_voc_numbers_afresh_keep_their_classes(imported, tmp_path):
    both = np.where(SQUARE, 1, np.where(OTHER, 2, 0)).astype(np.uint8)
    for name, objects, classes in (
        ("00000", both, both),
        ("00003", OTHER * np.uint8(1), OTHER * np.uint8(2)),
    ):
        write_labels(tmp_path / "voc" / "SegmentationObject" / f"{name}.png", objects)
        write_labels(tmp_path / "voc" / "SegmentationClass" / f"{name}.png", classes)
    (tmp_path / "voc" / "labelmap.txt").write_text("background:::\ndog:::\ncat:::\n")
    for _ in range(2):  # the second time into the same workspace
        shown, masks = imported(tmp_path / "voc", "voc")
        assert (masks["00000"]["dog"] == SQUARE).all()
        assert (masks["00000"]["cat"] == (OTHER & ~SQUARE)).all()
        assert (masks["00003"]["cat 2"] == OTHER).all()
        assert sorted(masks["00003"]) == ["cat", "cat 2", "dog", "void"]
    assert "have the id 1 and stay apart: 'dog', 'cat'" in shown


@pytest.mark.parametrize("layout", ["train/labels", "labels/train", "labels"])
def test_layouts_of_yolo(layout, imported, tmp_path):
    folder = tmp_path / "yolo"
    (folder / layout).mkdir(parents=True)
    line = "1 0.4726 0.2135 0.6172 0.2135 0.6172 0.4010 0.4726 0.4010\n"
    (folder / layout / "00002.txt").write_text(line)
    if layout == "labels":
        (folder / "classes.txt").write_text("cat\nzebra\n")
        (folder / "notes.json").write_text("{}")
    else:
        (folder / "args.yaml").write_text("task: segment\n")
        (folder / "data.yaml").write_text("names: [cat, zebra]\n")
    _, masks = imported(folder, "yolo")
    assert (masks["00002"]["zebra"] == SQUARE).all()


@pytest.mark.parametrize("names", ["labels/train/classes.txt", "data.yml"])
def test_names_of_classes_of_yolo(names, imported, tmp_path):
    (tmp_path / "yolo" / "labels" / "train").mkdir(parents=True)
    (tmp_path / "yolo" / "labels" / "train" / "00002.txt").write_text("1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n")
    content = "cat\nzebra\n" if names.endswith("txt") else "names: [cat, zebra]\n"
    (tmp_path / "yolo" / names).write_text(content)
    _, masks = imported(tmp_path / "yolo", "yolo")
    assert masks["00002"]["zebra"].any()


def test_lists_of_classes_that_differ_are_named(tiny_clip, tmp_path):
    for subset in ("train", "val"):
        folder = tmp_path / "yolo" / "labels" / subset
        folder.mkdir(parents=True)
        (folder / "00002.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n")
        (folder / "classes.txt").write_text(f"cat of {subset}\n")
    message = call("import", tiny_clip, tmp_path / "yolo", "-o", tmp_path / "w", status=2).stderr
    assert "train/classes.txt and" in message
    assert "val/classes.txt name other classes" in message


def test_readers_find_the_images_beside_our_data_yaml(tiny_clip, tmp_path):
    work = write_workspace(tiny_clip, tmp_path / "work").path
    call("export", work, "--format", "yolo", "-o", tmp_path / "yolo")
    # Ultralytics takes `path: .` for the folder in which it is run
    assert "path" not in (tmp_path / "yolo" / "data.yaml").read_text()


def test_objects_of_one_category_keep_their_ids_and_get_names(imported, tmp_path):
    labels = np.where(SQUARE, 1, np.where(OTHER, 2, 0)).astype(np.uint8)
    for name in ("00001", "00003"):
        write_labels(tmp_path / "vos" / "train" / "Annotations" / "tiny" / f"{name}.png", labels)
    frames = ["00001", "00003"]
    objects = {str(n): {"category": "person", "frames": frames} for n in (1, 2)}
    (tmp_path / "vos" / "train" / "meta.json").write_text(
        json.dumps({"videos": {"tiny": {"objects": objects}}})
    )
    for _ in range(2):  # the second time into the same workspace
        _, masks = imported(tmp_path / "vos", "youtube-vos")
        assert sorted(masks["00003"]) == ["person", "person 2", "void"]
        assert (masks["00003"]["person"] == SQUARE).all()
        assert (masks["00003"]["person 2"] == (OTHER & ~SQUARE)).all()


def test_of_two_resolutions_of_davis_that_of_the_clip_is_taken(imported, tmp_path):
    large = np.kron(made_labels(2), np.ones((2, 2), np.uint8))
    write_labels(tmp_path / "davis" / "Annotations" / "480p" / "tiny" / "00002.png", made_labels(2))
    write_labels(tmp_path / "davis" / "Annotations" / "Full-Resolution" / "tiny" / "00002.png", large)
    _, masks = imported(tmp_path / "davis", "davis")
    assert (masks["00002"]["object 7"] == (made_labels(2) == 7)).all()
