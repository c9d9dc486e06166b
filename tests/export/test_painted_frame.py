"""Shapes of other programs that cover no pixel of the image: outside it, or without an area."""

import json

import numpy as np
import pytest
from export.commands import call
from export.formats.made_masks import KEYFRAMES, made_labels, write_workspace
from export.formats.other_masks import SQUARE, counts_of, png_text

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.export.formats.run_lengths import label_studio_rle
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.workspace import Workspace

WIDTH, HEIGHT = 64, 48
INSIDE = [[10, 10], [20, 10], [20, 20], [10, 20]]
OUTSIDE = [[70, 10], [80, 10], [80, 20], [70, 20]]
NOTHING = np.zeros((HEIGHT, WIDTH), bool)
LABELS = ("dog", "cat")
# label and polygon of each shape; one frame is left with nothing
FRAMES = {
    "00001": [("dog", INSIDE)],
    "00002": [("dog", OUTSIDE), ("cat", OUTSIDE)],
    "00004": [("cat", OUTSIDE), ("dog", INSIDE)],
}


def labelme(folder, frames):
    for name, shapes in frames.items():
        content = {"imagePath": f"{name}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": shapes}
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def coco(path, frames):
    images = [
        {"id": n, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT}
        for n, name in enumerate(frames)
    ]
    annotations = [
        {"image_id": n, "category_id": LABELS.index(label), "segmentation": shape, **more}
        for n, shapes in enumerate(frames.values())
        for label, shape, more in shapes
    ]
    categories = [{"id": n, "name": label} for n, label in enumerate(LABELS)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def cvat(path, frames):
    images = [
        f'<image id="{name}" name="{name}.png" width="{WIDTH}" height="{HEIGHT}">{"".join(shapes)}</image>'
        for name, shapes in frames.items()
    ]
    path.write_text(f"<annotations>{''.join(images)}</annotations>")
    return path


def label_studio(path, frames):
    tasks = [
        {
            "data": {"image": f"{name}.png"},
            "annotations": [
                {
                    "result": [
                        {"type": kind, "original_width": WIDTH, "original_height": HEIGHT, "value": value}
                        for kind, value in results
                    ]
                }
            ],
        }
        for name, results in frames.items()
    ]
    path.write_text(json.dumps(tasks))
    return path


def points_of(polygon):
    return ";".join(f"{x},{y}" for x, y in polygon)


def coco_polygons(folder):
    frames = {
        name: [(label, [np.ravel(polygon).tolist()], {}) for label, polygon in shapes]
        for name, shapes in FRAMES.items()
    }
    return coco(folder / "a.json", frames)


def labelme_polygons(folder):
    frames = {
        name: [{"label": label, "shape_type": "polygon", "points": polygon} for label, polygon in shapes]
        for name, shapes in FRAMES.items()
    }
    return labelme(folder / "a", frames)


def yolo_polygons(folder):
    (folder / "a" / "labels").mkdir(parents=True)
    (folder / "a" / "classes.txt").write_text("\n".join(LABELS))
    for name, shapes in FRAMES.items():
        lines = [
            " ".join(map(str, [LABELS.index(label), *(np.array(polygon) / (WIDTH, HEIGHT)).ravel()]))
            for label, polygon in shapes
        ]
        (folder / "a" / "labels" / f"{name}.txt").write_text("\n".join(lines))
    return folder / "a"


def cvat_polygons(folder):
    frames = {
        name: [f'<polygon label="{label}" points="{points_of(polygon)}"/>' for label, polygon in shapes]
        for name, shapes in FRAMES.items()
    }
    return cvat(folder / "a.xml", frames)


def cvat_tracks(folder):
    tracks = [
        f'<track id="{name}{label}" label="{label}"><polygon frame="{int(name)}" outside="0" keyframe="1" '
        f'points="{points_of(polygon)}"/></track>'
        for name, shapes in FRAMES.items()
        for label, polygon in shapes
    ]
    (folder / "a.xml").write_text(f"<annotations>{''.join(tracks)}</annotations>")
    return folder / "a.xml"


def label_studio_polygons(folder):
    per_cent = np.array([WIDTH, HEIGHT]) / 100
    frames = {
        name: [
            ("polygonlabels", {"points": (np.array(polygon) / per_cent).tolist(), "polygonlabels": [label]})
            for label, polygon in shapes
        ]
        for name, shapes in FRAMES.items()
    }
    return label_studio(folder / "a.json", frames)


def keyframes_of(folder):
    return [file.stem for file in Workspace(folder).keyframe_files()]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("coco", coco_polygons),
        ("labelme", labelme_polygons),
        ("yolo", yolo_polygons),
        ("cvat-images", cvat_polygons),
        ("cvat-video", cvat_tracks),
        ("label-studio", label_studio_polygons),
    ],
)
def test_polygons_outside_the_image_are_counted_and_make_no_keyframe_and_no_object(
    name, write, tiny_clip, tmp_path
):
    file = write(tmp_path)
    shown = call("import", tiny_clip, file, "--format", name, "-o", tmp_path / "w")
    assert f"{file}: 3 shapes without a pixel inside the image left out in 2 frames: 00002, 00004\n" in (
        shown.stderr
    )
    assert f"{file}: 1 frame without masks left out" in shown.stderr
    assert "2 keyframes with " in shown.stdout
    assert "left out" not in shown.stdout
    assert keyframes_of(tmp_path / "w") == ["00001", "00004"]
    document = load_annotations(tmp_path / "w" / "annotations.json")
    assert {each.name.split()[0] for each in document.objects} == {"dog"}
    for key in document.keyframes:
        labels = read_labels(tmp_path / "w" / "keyframes" / f"{key}.png")
        assert (labels[11:20, 11:20] > 0).all()
        assert set(document.keyframes[key].objects) == set(np.unique(labels)) - {0}


RUNS = {"size": [HEIGHT, WIDTH], "counts": counts_of(SQUARE)}
NO_RUN = {"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT]}


@pytest.mark.parametrize(
    ("name", "write", "whole", "empty"),
    [
        ("coco", coco, ("dog", RUNS, {}), ("cat", NO_RUN, {})),
        ("coco", coco, ("dog", RUNS, {}), ("cat", NO_RUN, {"iscrowd": 1})),
        ("coco", coco, ("dog", RUNS, {}), ("cat", [[10, 10, 20, 20, 10, 10]], {})),
        (
            "labelme",
            labelme,
            {"label": "dog", "shape_type": "rectangle", "points": [[1, 1], [5, 5]]},
            {"label": "cat", "shape_type": "rectangle", "points": [[-9, 1], [-5, 5]]},
        ),
        (
            "labelme",
            labelme,
            {"label": "dog", "shape_type": "mask", "points": [[1, 1], [9, 9]], "mask": png_text(SQUARE)},
            {"label": "cat", "shape_type": "mask", "points": [[-90, 1], [9, 9]], "mask": png_text(SQUARE)},
        ),
        (
            "labelme",
            labelme,
            {"label": "dog", "shape_type": "circle", "points": [[9, 9], [12, 12]]},
            {"label": "cat", "shape_type": "circle", "points": [[-9, 9], [-8, 8]]},
        ),
        (
            "cvat-images",
            cvat,
            '<ellipse label="dog" cx="20" cy="20" rx="9" ry="9"/>',
            '<ellipse label="cat" cx="20" cy="80" rx="9" ry="9"/>',
        ),
        (
            "cvat-images",
            cvat,
            '<mask label="dog" rle="0, 4" left="1" top="1" width="2" height="2"/>',
            '<mask label="cat" rle="4" left="1" top="1" width="2" height="2"/>',
        ),
        (
            "label-studio",
            label_studio,
            ("brushlabels", {"rle": label_studio_rle(SQUARE), "brushlabels": ["dog"]}),
            ("brushlabels", {"rle": label_studio_rle(NOTHING), "brushlabels": ["cat"]}),
        ),
        (
            "label-studio",
            label_studio,
            ("bitmasklabels", {"imageDataURL": png_text(SQUARE), "bitmasklabels": ["dog"]}),
            ("bitmasklabels", {"imageDataURL": png_text(NOTHING), "bitmasklabels": ["cat"]}),
        ),
    ],
)
def test_other_shapes_that_cover_nothing_leave_the_frame_as_it_was(
    name, write, whole, empty, tiny_clip, tmp_path
):
    work = write_workspace(tiny_clip, tmp_path / "work")
    before = load_annotations(work.annotations)
    target = tmp_path / ("a" if name == "labelme" else "a.xml" if name.startswith("cvat") else "a.json")
    file = write(target, {"00001": [whole, empty], "00002": [empty]})
    shown = call("import", work.path, file, "--format", name)
    assert "2 shapes without a pixel inside the image left out in 2 frames: 00001, 00002\n" in shown.stderr
    after = load_annotations(work.annotations)
    assert keyframes_of(work.path) == sorted({*KEYFRAMES, "00001"})
    assert after.keyframes["00002"] == before.keyframes["00002"]
    assert (read_labels(work.keyframe("00002")) == made_labels(2)).all()
    assert [each.name for each in after.objects if each not in before.objects] == ["dog"]


def test_a_file_of_shapes_outside_alone_is_refused(tiny_clip, tmp_path):
    (tmp_path / "labels").mkdir()
    for index in range(2):
        (tmp_path / "labels" / f"0000{index}.txt").write_text("0 1.1 0.1 1.5 0.1 1.5 0.5\n")
    given = ("import", tiny_clip, tmp_path, "--format", "yolo", "-o", tmp_path / "w")
    message = call(*given, status=2).stderr
    assert "there is no mask in" in message
    assert "it has 2 shapes without a pixel inside the image; expected one" in message
    assert not (tmp_path / "w").exists()


def test_of_many_frames_the_first_are_named(tiny_clip, tmp_path):
    shapes = "0 0.1 0.1 0.5 0.1 0.5 0.5\n0 1.1 0.1 1.5 0.1 1.5 0.5\n"
    (tmp_path / "labels").mkdir()
    for index in range(6):
        (tmp_path / "labels" / f"0000{index}.txt").write_text(shapes)
    shown = call("import", tiny_clip, tmp_path, "--format", "yolo", "-o", tmp_path / "w").stderr
    named = "00000, 00001, 00002, 00003, 00004 and 1 more"
    assert shown == f"{tmp_path}: 6 shapes without a pixel inside the image left out in 6 frames: {named}\n"


def test_an_object_behind_others_is_not_in_the_frame(tiny_clip, tmp_path):
    small = {"label": "cat", "shape_type": "rectangle", "points": [[5, 5], [6, 6]]}
    large = {"label": "dog", "shape_type": "rectangle", "points": [[1, 1], [9, 9]], "group_id": 1}
    part = small | {"label": "dog", "group_id": 1}  # of an object that is there all the same
    file = labelme(tmp_path / "a", {"00001": [small, part, large], "00002": [large, small]})
    shown = call("import", tiny_clip, file, "-o", tmp_path / "w").stderr
    assert shown == f"{file}: 1 object behind others left out in 1 frame: 00001\n"
    document = load_annotations(tmp_path / "w" / "annotations.json")
    ids = {each.name: each.id for each in document.objects}
    assert set(document.keyframes["00001"].objects) == {ids["dog"]}
    assert set(document.keyframes["00002"].objects) == {ids["dog"], ids["cat"]}


def test_a_black_mask_is_no_shape_and_is_not_counted(tiny_clip, tmp_path):
    for index, mask in ((1, SQUARE), (2, NOTHING)):
        write_labels(tmp_path / "masks" / "1_dog" / f"0000{index}.png", mask.astype(np.uint8))
    shown = call("import", tiny_clip, tmp_path / "masks", "--format", "objects", "-o", tmp_path / "w")
    assert shown.stderr == ""
    assert keyframes_of(tmp_path / "w") == ["00001", "00002"]
    assert not read_labels(tmp_path / "w" / "keyframes" / "00002.png").any()
