"""Files as other programs write them: shapes of all kinds, colours, layouts and numbers of their own."""

import base64
import io
import json

import numpy as np
import pytest
from export.commands import call
from export.formats.made_masks import made_labels, write_workspace
from PIL import Image

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.export.formats.run_lengths import label_studio_rle
from dextr_vos.masks import read_labels, write_labels

SQUARE = np.zeros((48, 64), bool)
SQUARE[10:20, 30:40] = True
OTHER = np.zeros((48, 64), bool)
OTHER[15:40, 5:35] = True


@pytest.fixture
def imported(tiny_clip, tmp_path):
    """Imports a file; gives what was printed, and masks by frame and name."""

    def imported(path, name):
        shown = call("import", tiny_clip, path, "--format", name, "-o", tmp_path / "back").output
        objects = load_annotations(tmp_path / "back" / "annotations.json").objects
        masks = {}
        for file in (tmp_path / "back" / "keyframes").iterdir():
            labels = read_labels(file)
            masks[file.stem] = {each.name: labels == each.id for each in objects} | {"void": labels == 255}
        return shown, masks

    return imported


def png_text(mask):
    file = io.BytesIO()
    Image.fromarray(mask).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def counts_of(mask):
    """Uncompressed run lengths."""
    flat = mask.ravel(order="F").astype(int)
    ends = np.flatnonzero(np.diff(flat, prepend=0, append=1 - flat[-1]))
    return np.diff(ends, prepend=0).tolist()


def test_shapes_of_labelme(imported, tmp_path):
    # pixels that labelme 6.3.1 draws for them (labelme.utils.shape_to_mask), and their box: x, y, x, y
    drawn = {
        "poly": (135, [5, 4, 20, 15]),
        "rect": (160, [30, 3, 45, 12]),
        "circ": (162, [5, 23, 19, 36]),
        "turned": (110, [26, 20, 40, 33]),
    }
    shapes = [
        ("poly", "polygon", [[5.3, 4.7], [20.6, 6.2], [18.1, 15.9], [7.8, 14.4]]),
        ("rect", "rectangle", [[45.7, 3.2], [30.4, 12.9]]),
        ("circ", "circle", [[12.5, 30.2], [18.0, 33.7]]),
        ("turned", "oriented_rectangle", [[30, 20], [40, 25], [36, 33], [26, 28]]),
        ("p", "point", [[50, 40]]),
        ("l", "line", [[50, 20], [60, 30]]),
        ("q", "point", [[51, 40]]),
    ]
    content = {
        "imagePath": "..\\frames\\00002.png",
        "imageHeight": 48,
        "imageWidth": 64,
        "shapes": [
            {"label": label, "shape_type": kind, "points": points, "group_id": None}
            for label, kind, points in shapes
        ],
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_text(json.dumps(content))
    shown, masks = imported(tmp_path / "a", "labelme")
    found = {}
    for name, mask in masks["00002"].items():
        rows, columns = np.nonzero(mask)
        if name != "void":
            found[name] = len(rows), [columns.min(), rows.min(), columns.max(), rows.max()]
    assert found == drawn
    assert "1 of the kind 'line', 2 of the kind 'point'" in shown


@pytest.mark.parametrize(("x", "y"), [(-2, -3), (60, 44), (30, 10), (-20, 5)])
def test_a_mask_of_labelme_may_reach_outside(x, y, imported, tmp_path):
    points = [[x, y], [x + 9, y + 9]]
    shapes = [
        {"label": "dog", "shape_type": "mask", "points": points, "mask": png_text(np.ones((10, 10), bool))}
    ]
    content = {"imagePath": "00002.png", "imageHeight": 48, "imageWidth": 64, "shapes": shapes}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_text(json.dumps(content))
    _, masks = imported(tmp_path / "a", "labelme")
    rows, columns = np.mgrid[:48, :64]
    inside = (rows >= y) & (rows < y + 10) & (columns >= x) & (columns < x + 10)
    assert (masks["00002"]["dog"] == inside).all()


def test_a_note_in_labelme_is_no_name(imported, tmp_path):
    shape = {"label": "dog", "shape_type": "rectangle", "description": "dog partly hidden", "group_id": 1}
    for index, description in ((1, "dog partly hidden"), (2, "")):
        (tmp_path / "a").mkdir(exist_ok=True)
        shapes = [shape | {"points": [[1, 1], [5, 5]], "description": description}]
        content = {"imagePath": f"0000{index}.png", "imageHeight": 48, "imageWidth": 64, "shapes": shapes}
        (tmp_path / "a" / f"{index}.json").write_text(json.dumps(content))
    _, masks = imported(tmp_path / "a", "labelme")
    assert set(masks["00002"]) == {"dog", "void"}


@pytest.mark.parametrize(
    ("kind", "said"), [("GIF", "a mask is no PNG"), ("PNG", "a mask is 8200×8200 pixels")]
)
def test_a_mask_in_labelme_is_a_png_of_a_size_that_images_may_have(kind, said, tiny_clip, tmp_path):
    file = io.BytesIO()
    Image.new("1", (8200, 8200) if kind == "PNG" else (10, 10)).save(file, format=kind)
    mask = base64.b64encode(file.getvalue()).decode()
    shapes = [{"label": "dog", "shape_type": "mask", "points": [[1, 1], [9, 9]], "mask": mask}]
    content = {"imagePath": "00002.png", "imageHeight": 48, "imageWidth": 64, "shapes": shapes}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_text(json.dumps(content))
    given = ("import", tiny_clip, tmp_path / "a", "--format", "labelme", "-o", tmp_path / "back")
    assert said in call(*given, status=2).stderr


def test_a_group_of_labelme_is_an_object_of_each_label(imported, tmp_path):
    shapes = [
        {"label": label, "shape_type": "rectangle", "points": [[x, 1], [x + 4, 5]], "group_id": 1}
        for label, x in (("dog", 1), ("dog", 11), ("rider", 21))
    ]
    content = {"imagePath": "00002.png", "imageHeight": 48, "imageWidth": 64, "shapes": shapes}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_text(json.dumps(content))
    _, masks = imported(tmp_path / "a", "labelme")
    assert masks["00002"]["dog"].sum() == 50
    assert masks["00002"]["rider"].sum() == 25


def coco(*annotations):
    images = [
        {"id": 7 + index, "file_name": f"0000{index}.png", "width": 64, "height": 48} for index in (1, 2)
    ]
    return json.dumps(
        {
            "images": images,
            "annotations": [
                {"id": n, "image_id": 8, "category_id": 3, **each} for n, each in enumerate(annotations)
            ],
            "categories": [{"id": 3, "name": "dog"}],
        }
    )


def test_a_crowd_of_coco_is_void_and_boxes_are_told(imported, tmp_path):
    runs = {"size": [48, 64], "counts": counts_of(SQUARE)}
    crowd = {"segmentation": {"size": [48, 64], "counts": counts_of(OTHER)}, "iscrowd": 1}
    content = coco({"segmentation": runs, "iscrowd": 0}, crowd, {"segmentation": []}, {"bbox": [1, 1, 2, 2]})
    (tmp_path / "a.json").write_text(content)
    shown, masks = imported(tmp_path / "a.json", "coco")
    assert (masks["00001"]["dog"] == SQUARE).all()
    assert (masks["00001"]["void"] == (OTHER & ~SQUARE)).all()
    assert list(masks) == ["00001"]
    assert "annotations without a mask left out: 2 of the kind 'box'" in shown


def test_a_frame_with_a_crowd_alone_keeps_its_masks(imported, tmp_path):
    dog = {"segmentation": {"size": [48, 64], "counts": counts_of(SQUARE)}}
    crowd = {"segmentation": {"size": [48, 64], "counts": counts_of(OTHER)}, "iscrowd": 1}
    (tmp_path / "a.json").write_text(coco(dog, dog | {"image_id": 9}))
    imported(tmp_path / "a.json", "coco")
    (tmp_path / "b.json").write_text(coco(dog | {"image_id": 9}, crowd))
    _, masks = imported(tmp_path / "b.json", "coco")
    assert (masks["00001"]["dog"] == SQUARE).all()
    assert (masks["00001"]["void"] == (OTHER & ~SQUARE)).all()


def test_polygons_of_two_corners_are_told(imported, tmp_path):
    line = {"segmentation": [[1, 1, 9, 9]]}
    parts = {"segmentation": [[1, 1, 9, 9], [30, 10, 40, 10, 40, 20, 30, 20]]}
    (tmp_path / "a.json").write_text(coco(line, parts, line | {"image_id": 9}))
    shown, masks = imported(tmp_path / "a.json", "coco")
    assert list(masks) == ["00001"]
    assert list(masks["00001"]) == ["dog", "void"]
    assert (masks["00001"]["dog"] == SQUARE).all()
    assert "2 of the kind 'polygon of fewer than 3 corners'" in shown


def test_run_lengths_that_cvat_calls_crowds_are_objects(imported, tmp_path):
    each = {"segmentation": {"size": [48, 64], "counts": counts_of(SQUARE)}, "iscrowd": 1}
    (tmp_path / "a.json").write_text(coco({**each, "attributes": {"occluded": False, "track_id": 4}}))
    _, masks = imported(tmp_path / "a.json", "coco")
    assert (masks["00001"]["dog"] == SQUARE).all()
    assert not masks["00001"]["void"].any()


def test_a_file_of_boxes_alone_says_what_it_has(tiny_clip, tmp_path):
    (tmp_path / "a.json").write_text(coco({"bbox": [1, 1, 2, 2]}))
    given = ("import", tiny_clip, tmp_path / "a.json", "--format", "coco", "-o", tmp_path / "back")
    assert "it has annotations without a mask, 1 of the kind 'box'" in call(*given, status=2).stderr


def test_a_track_of_coco_is_an_object_of_each_category(imported, tmp_path, caplog):
    tracks = [
        {"segmentation": {"size": [48, 64], "counts": counts_of(SQUARE)}, "track_id": 1, "category_id": 3}
    ]
    below = {"size": [48, 64], "counts": counts_of(OTHER & ~SQUARE)}
    content = json.loads(coco(*tracks, {"segmentation": below, "track_id": 1, "category_id": 4}))
    content["categories"].append({"id": 4, "name": "cat"})
    (tmp_path / "a.json").write_text(json.dumps(content))
    _, masks = imported(tmp_path / "a.json", "coco")
    assert (masks["00001"]["dog"] == SQUARE).all()
    assert (masks["00001"]["cat"] == (OTHER & ~SQUARE)).all()
    assert "have the id 1 and stay apart: 'dog', 'cat'" in caplog.text


def test_objects_without_ids_are_the_same_when_their_file_comes_again(imported, tmp_path):
    masks = [
        {"segmentation": {"size": [48, 64], "counts": counts_of(mask)}} for mask in (SQUARE, OTHER & ~SQUARE)
    ]
    (tmp_path / "a.json").write_text(coco(*masks))
    for _ in range(2):
        _, masks = imported(tmp_path / "a.json", "coco")
        assert sorted(masks["00001"]) == ["dog", "dog 2", "void"]
        assert (masks["00001"]["dog"] == SQUARE).all()
        assert (masks["00001"]["dog 2"] == (OTHER & ~SQUARE)).all()


def cvat_polygon(mask, **more):
    ys, xs = np.nonzero(mask)
    x, y, x2, y2 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    about = "".join(f' {key}="{value}"' for key, value in more.items())
    return f'<polygon{about} points="{x},{y};{x2},{y};{x2},{y2};{x},{y2}"/>'


def test_shapes_of_cvat_lie_in_their_z_order_and_frames_of_a_video_have_numbers(imported, tmp_path):
    (tmp_path / "a.xml").write_text(
        '<annotations><image id="2" name="frame_000002" width="64" height="48">'
        + cvat_polygon(SQUARE, label="dog", z_order=2)
        + cvat_polygon(OTHER, label="cat", z_order=-1)
        + '<ellipse label="ball" cx="50" cy="30" rx="10" ry="5" rotation="90" z_order="0"/>'
        '<box label="car" xtl="1" ytl="1" xbr="9" ybr="9"/><cuboid label="car"/><skeleton label="man"/>'
        '<polyline label="road" points="1,1;2,2"/><tag label="night"/></image></annotations>'
    )
    shown, masks = imported(tmp_path / "a.xml", "cvat-images")
    assert (masks["00002"]["dog"] == SQUARE).all()
    assert (masks["00002"]["cat"] == (OTHER & ~SQUARE)).all()
    ys, xs = np.nonzero(masks["00002"]["ball"])
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (20, 39, 45, 54)
    assert len(ys) == pytest.approx(np.pi * 50, rel=0.02)
    for kind in ("box", "cuboid", "skeleton", "polyline", "tag"):
        assert f"1 of the kind '{kind}'" in shown


def test_tracks_of_cvat(imported, tmp_path):
    shape = {"outside": 0, "occluded": 1}
    track = [
        cvat_polygon(SQUARE, frame=1, keyframe=1, **shape),
        cvat_polygon(OTHER, frame=2, keyframe=0, **shape),  # between key frames
        cvat_polygon(OTHER, frame=3, keyframe=1, outside=1, occluded=0),
        cvat_polygon(OTHER, frame=4, keyframe=1, **shape),
    ]
    grouped = cvat_polygon(~OTHER & (np.arange(48) > 42)[:, None], frame=4, keyframe=1, **shape)
    (tmp_path / "a.xml").write_text(
        f'<annotations><track id="0" label="dog" group_id="3">{"".join(track)}</track>'
        f'<track id="1" label="grass" group_id="3">{grouped}</track></annotations>'
    )
    _, masks = imported(tmp_path / "a.xml", "cvat-video")
    assert sorted(masks) == ["00001", "00004"]
    assert (masks["00001"]["dog"] == SQUARE).all()
    assert (masks["00004"]["dog"] == OTHER).all()
    assert masks["00004"]["grass"].sum() == 5 * 64


def test_a_key_frame_of_a_track_holds_what_lies_between_key_frames_of_others(imported, tmp_path):
    dog = cvat_polygon(SQUARE, frame=2, keyframe=1, outside=0)
    cat = [
        cvat_polygon(~SQUARE, frame=0, keyframe=1, outside=0),
        *(cvat_polygon(~SQUARE, frame=index, keyframe=0, outside=0) for index in (1, 2)),
        cvat_polygon(~SQUARE, frame=3, keyframe=1, outside=1),
    ]
    (tmp_path / "a.xml").write_text(
        f'<annotations><track id="0" label="cat">{"".join(cat)}</track>'
        f'<track id="1" label="dog">{dog}</track></annotations>'
    )
    _, masks = imported(tmp_path / "a.xml", "cvat-video")
    assert sorted(masks) == ["00000", "00002"]
    assert (masks["00002"]["dog"] == SQUARE).all()
    assert (masks["00002"]["cat"] == ~SQUARE).all()


def test_tasks_of_a_project_of_cvat_are_clips(tiny_clip, tmp_path):
    shape = {"frame": 1, "keyframe": 1, "outside": 0}
    (tmp_path / "a.xml").write_text(
        "<annotations><meta><project><tasks><task><id>1</id><name>tiny</name></task>"
        "<task><id>2</id><name>other</name></task></tasks></project></meta>"
        f'<track id="0" label="dog" task_id="1">{cvat_polygon(SQUARE, **shape)}</track>'
        f'<track id="1" label="cat" task_id="2">{cvat_polygon(OTHER, **shape)}</track></annotations>'
    )
    given = ("import", tiny_clip, tmp_path / "a.xml")
    assert "1 keyframe with dog," in call(*given, "-o", tmp_path / "w").output
    assert "1 keyframe with cat," in call(*given, "--clip-name", "other", "-o", tmp_path / "w2").output


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


def test_objects_that_pascal_voc_numbers_afresh_keep_their_classes(imported, tmp_path, caplog):
    both = np.where(SQUARE, 1, np.where(OTHER, 2, 0)).astype(np.uint8)
    for name, objects, classes in (
        ("00000", both, both),
        ("00003", OTHER * np.uint8(1), OTHER * np.uint8(2)),
    ):
        write_labels(tmp_path / "voc" / "SegmentationObject" / f"{name}.png", objects)
        write_labels(tmp_path / "voc" / "SegmentationClass" / f"{name}.png", classes)
    (tmp_path / "voc" / "labelmap.txt").write_text("background:::\ndog:::\ncat:::\n")
    for _ in range(2):  # the second time into the same workspace
        _, masks = imported(tmp_path / "voc", "voc")
        assert (masks["00000"]["dog"] == SQUARE).all()
        assert (masks["00000"]["cat"] == (OTHER & ~SQUARE)).all()
        assert (masks["00003"]["cat 2"] == OTHER).all()
        assert sorted(masks["00003"]) == ["cat", "cat 2", "dog", "void"]
    assert "have the id 1 and stay apart: 'dog', 'cat'" in caplog.text


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
