"""Shapes as LabelMe, COCO's tools and CVAT write them: kinds, groups, tracks and crowds."""

import base64
import io
import json

import numpy as np
import pytest
from export.commands import call
from export.formats.other_masks import OTHER, SQUARE, counts_of, png_text
from PIL import Image


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


@pytest.mark.parametrize(("x", "y"), [(-2, -3), (60, 44), (30, 10), (-9, 5)])
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


def test_a_track_of_coco_is_an_object_of_each_category(imported, tmp_path):
    tracks = [
        {"segmentation": {"size": [48, 64], "counts": counts_of(SQUARE)}, "track_id": 1, "category_id": 3}
    ]
    below = {"size": [48, 64], "counts": counts_of(OTHER & ~SQUARE)}
    content = json.loads(coco(*tracks, {"segmentation": below, "track_id": 1, "category_id": 4}))
    content["categories"].append({"id": 4, "name": "cat"})
    (tmp_path / "a.json").write_text(json.dumps(content))
    shown, masks = imported(tmp_path / "a.json", "coco")
    assert (masks["00001"]["dog"] == SQUARE).all()
    assert (masks["00001"]["cat"] == (OTHER & ~SQUARE)).all()
    assert "have the id 1 and stay apart: 'dog', 'cat'" in shown


def test_of_many_ids_that_objects_share_the_first_are_named(imported, tmp_path):
    runs = {"size": [48, 64], "counts": counts_of(SQUARE)}
    shared = [
        {"segmentation": runs, "track_id": track, "category_id": category}
        for track in range(1, 8)
        for category in (3, 4)
    ]
    content = json.loads(coco(*shared))
    content["categories"].append({"id": 4, "name": "cat"})
    (tmp_path / "a.json").write_text(json.dumps(content))
    shown, _ = imported(tmp_path / "a.json", "coco")
    assert shown.count("stay apart: 'dog', 'cat'") == 5
    assert "several objects share 2 more ids and stay apart" in shown


def test_masks_of_one_name_in_several_frames_without_ids_are_one_object_and_told(imported, tmp_path):
    masks = (SQUARE, OTHER & ~SQUARE)
    both = [{"segmentation": {"size": [48, 64], "counts": counts_of(mask)}} for mask in masks]
    content = coco(*both, *(each | {"image_id": 9} for each in both))
    (tmp_path / "a.json").write_text(content)
    shown, masks = imported(tmp_path / "a.json", "coco")
    assert "several 'dog' without track ids become one object in 2 frames: 00001, 00002" in shown
    assert list(masks["00001"]) == ["dog", "void"]
    assert (masks["00001"]["dog"] == (SQUARE | OTHER)).all()


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


def cvat_video(path, group=None, **tracks):
    """A file of tracks, each with the shapes of one label."""
    more = "" if group is None else f' group_id="{group}"'
    written = [
        f'<track id="{number}" label="{label}"{more}>{"".join(shapes)}</track>'
        for number, (label, shapes) in enumerate(tracks.items())
    ]
    path.write_text(f"<annotations>{''.join(written)}</annotations>")
    return path


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


def test_a_polygon_of_cvat_without_an_area_is_told(imported, tmp_path):
    (tmp_path / "a.xml").write_text(
        '<annotations><image id="0" name="00000.png" width="64" height="48">'
        f'{cvat_polygon(SQUARE, label="dog")}<polygon label="cat" points="1,1;9,9"/></image></annotations>'
    )
    shown, masks = imported(tmp_path / "a.xml", "cvat-images")
    assert "polygon of fewer than 3 corners" in shown
    assert list(masks["00000"]) == ["dog", "void"]


def test_tracks_of_cvat(imported, tmp_path):
    shape = {"outside": 0, "occluded": 1}
    track = [
        cvat_polygon(SQUARE, frame=1, keyframe=1, **shape),
        cvat_polygon(OTHER, frame=2, keyframe=0, **shape),  # between key frames
        cvat_polygon(OTHER, frame=3, keyframe=1, outside=1, occluded=0),
        cvat_polygon(OTHER, frame=4, keyframe=1, **shape),
    ]
    grouped = cvat_polygon(~OTHER & (np.arange(48) > 42)[:, None], frame=4, keyframe=1, **shape)
    _, masks = imported(cvat_video(tmp_path / "a.xml", dog=track, grass=[grouped], group=3), "cvat-video")
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
    _, masks = imported(cvat_video(tmp_path / "a.xml", cat=cat, dog=[dog]), "cvat-video")
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
