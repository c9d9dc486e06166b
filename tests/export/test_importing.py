"""Which frames and objects of a workspace the masks of other programs become."""

import json
import shutil
import tracemalloc

import numpy as np
import pytest
from export.commands import call
from export.formats.made_masks import KEYFRAMES, NAMES, made_labels, write_workspace
from PIL import Image

from dextr_vos.annotation.annotations import (
    Annotations,
    KeyframeClicks,
    ObjectClicks,
    load_annotations,
    save_annotations,
)
from dextr_vos.cli.options import MASK_FORMATS
from dextr_vos.clip import open_clip
from dextr_vos.export.formats.registry import FORMATS
from dextr_vos.export.importing import FrameMatch, read_import
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.workspace import Workspace

# formats in which an empty frame cannot be told from one that nobody annotated
LISTING = {"coco", "cvat-images", "cvat-video"}


def keyframes_of(folder):
    return [file.stem for file in Workspace(folder).keyframe_files()]


@pytest.fixture
def work(tiny_clip, tmp_path):
    return write_workspace(tiny_clip, tmp_path / "work" / "tiny").path


def numbered_clip(folder):
    """1.png to 12.png, whose names are numbers other than their places."""
    folder.mkdir()
    for number in range(1, 13):
        Image.fromarray(np.full((48, 64, 3), number, np.uint8)).save(folder / f"{number}.png")
    return folder


def test_a_number_of_a_video_track_is_a_place_and_no_name(tmp_path):
    clip = numbered_clip(tmp_path / "clip")
    points = "10.00,10.00;20.00,10.00;20.00,20.00;10.00,20.00"
    (tmp_path / "a.xml").write_text(
        f'<annotations><track id="0" label="dog"><polygon frame="5" outside="0" keyframe="1" '
        f'points="{points}"/></track></annotations>'
    )
    call("import", clip, tmp_path / "a.xml", "--format", "cvat-video", "-o", tmp_path / "w")
    assert keyframes_of(tmp_path / "w") == ["6"]


def test_a_frame_number_that_the_clip_does_not_have_is_named(tiny_clip, tmp_path):
    (tmp_path / "a.xml").write_text(
        '<annotations><track id="0" label="dog"><polygon frame="99" outside="0" keyframe="1" '
        'points="1,1;5,1;5,5"/></track></annotations>'
    )
    given = ("import", tiny_clip, tmp_path / "a.xml", "--format", "cvat-video", "-o", tmp_path / "w")
    assert "the frame number 99 of" in call(*given, status=2).stderr


def test_the_number_in_a_name_comes_before_the_index_of_the_file(work, tiny_clip, tmp_path):
    call("export", work, "--format", "coco", "--keyframes-only", "-o", tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    for image in content["images"]:
        image["file_name"] = f"frame_{int(image['file_name'][:5]) + 2:05d}.png"
        image["frame_index"] += 1  # the file's own count is of another clip
    (tmp_path / "a.json").write_text(json.dumps(content))
    given = ("import", tiny_clip, tmp_path / "a.json", "--format", "coco", "-o", tmp_path / "w")
    call(*given, "--match", "number", "--first", "2")
    assert keyframes_of(tmp_path / "w") == list(KEYFRAMES)


def test_an_index_is_taken_as_it_is(tiny_clip, work, tmp_path):
    call("export", work, "--format", "cvat-video", "--keyframes-only", "-o", tmp_path / "a.xml")
    given = ("import", tiny_clip, tmp_path / "a.xml", "--format", "cvat-video", "-o", tmp_path / "w")
    call(*given, "--match", "number", "--first", "1")
    assert keyframes_of(tmp_path / "w") == list(KEYFRAMES)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "yolo"])
def test_masks_brought_back_are_the_objects_that_they_were(name, work, tmp_path):
    target = tmp_path / f"out{FORMATS[name].suffix}"
    call("export", work, "--format", name, "--keyframes-only", "-o", target)
    document = load_annotations(work / "annotations.json")
    call("import", work, target, "--format", name)
    after = load_annotations(work / "annotations.json")
    assert after.objects == document.objects
    for key in KEYFRAMES:
        assert set(after.keyframes[key].objects) == set(NAMES)
        assert (read_labels(work / "keyframes" / f"{key}.png") == made_labels(int(key))).all()


def test_a_refused_import_leaves_masks_of_other_formats_as_they_are(work, tmp_path):
    before = work / "keyframes" / "00002.tif"
    Image.fromarray(read_labels(work / "keyframes" / "00002.png")).save(before)
    (work / "keyframes" / "00002.png").unlink()
    for index in (2, 3):
        write_labels(tmp_path / "masks" / f"0000{index}.png", made_labels(index))
    whole = (tmp_path / "masks" / "00003.png").read_bytes()
    (tmp_path / "masks" / "00003.png").write_bytes(whole[:-30])
    call("import", work, tmp_path / "masks", "--format", "masks", status=2)
    assert before.exists()
    (tmp_path / "masks" / "00003.png").write_bytes(whole)
    call("import", work, tmp_path / "masks", "--format", "masks")
    assert keyframes_of(work) == list(KEYFRAMES)
    assert not before.exists()


def test_a_name_comes_before_an_id(work, tmp_path):
    for folder, column in (("3", 10), ("7_Katze", 40)):
        mask = np.zeros((48, 64), np.uint8)
        mask[20:30, column : column + 10] = 1
        write_labels(tmp_path / "masks" / folder / "00001.png", mask)
    call("import", work, tmp_path / "masks", "--format", "objects")
    labels = read_labels(work / "keyframes" / "00001.png")
    assert labels[25, 45] == 3  # of the workspace, "Katze"
    assert labels[25, 15] not in NAMES


@pytest.mark.parametrize("name", MASK_FORMATS)
def test_a_frame_that_the_objects_have_left_is_an_empty_keyframe(name, work, tiny_clip, tmp_path):
    write_labels(work / "keyframes" / "00002.png", np.zeros((48, 64), np.uint8))
    target = tmp_path / f"out{FORMATS[name].suffix}"
    call("export", work, "--format", name, "--keyframes-only", "-o", target)
    shown = call("import", tiny_clip, target, "--format", name, "-o", tmp_path / "w").output
    document = load_annotations(tmp_path / "w" / "annotations.json")
    if name in LISTING:
        assert list(document.keyframes) == ["00000", "00003"]
        assert ("1 frame without masks left out" in shown) == (name != "cvat-video")
    else:
        assert list(document.keyframes) == list(KEYFRAMES)
        assert not document.keyframes["00002"].objects
        assert not read_labels(tmp_path / "w" / "keyframes" / "00002.png").any()
        assert "left out" not in shown


def test_a_frame_with_shapes_of_other_kinds_only_is_not_empty(work, tiny_clip, tmp_path):
    call("export", work, "--format", "labelme", "--keyframes-only", "-o", tmp_path / "labelme")
    file = tmp_path / "labelme" / "00002.json"
    content = json.loads(file.read_text())
    content["shapes"] = [{"label": "dog", "shape_type": "point", "points": [[3, 4]]}]
    file.write_text(json.dumps(content))
    call("import", tiny_clip, tmp_path / "labelme", "--format", "labelme", "-o", tmp_path / "w")
    assert keyframes_of(tmp_path / "w") == ["00000", "00003"]


def test_a_black_mask_of_one_object_leaves_the_others(work, tmp_path):
    write_labels(tmp_path / "masks" / "1_dog 1" / "00002.png", np.zeros((48, 64), np.uint8))
    call("import", work, tmp_path / "masks", "--format", "objects")
    labels = made_labels(2)
    labels[labels == 1] = 0
    assert (read_labels(work / "keyframes" / "00002.png") == labels).all()
    assert set(load_annotations(work / "annotations.json").keyframes["00002"].objects) == {3, 7}


def test_an_empty_frame_is_without_the_objects_of_the_file_alone(work, tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    write_labels(tmp_path / "masks" / "00002.png", mask)
    mask[:5] = 1
    write_labels(tmp_path / "masks" / "00003.png", mask)
    call("import", work, tmp_path / "masks", "--format", "masks")
    labels = made_labels(2)
    assert (read_labels(work / "keyframes" / "00002.png") == np.where(labels == 1, 0, labels)).all()
    assert set(load_annotations(work / "annotations.json").keyframes["00002"].objects) == {3, 7}


def test_an_import_keeps_the_other_objects_of_a_keyframe_whatever_its_format(work, tmp_path):
    png = Workspace(work).keyframe("00002")
    Image.fromarray(read_labels(png)).save(png.with_suffix(".tif"))
    png.unlink()
    mask = np.zeros((48, 64), np.uint8)
    mask[:2] = 1
    write_labels(tmp_path / "masks" / "00002.png", mask)
    call("import", work, tmp_path / "masks", "--format", "masks")
    labels = made_labels(2)
    labels[labels == 1] = 0
    assert not png.with_suffix(".tif").exists()
    assert (read_labels(png) == np.where(mask, 1, labels)).all()


def test_masks_of_any_form_and_spelling_are_imported(tmp_path):
    clip, masks = tmp_path / "clip", tmp_path / "masks"
    clip.mkdir()
    masks.mkdir()
    for index, suffix in ((2, "tif"), (10, "PNG")):
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(clip / f"\xe4{index}.png")
        Image.fromarray(made_labels(index % 4)).save(masks / f"a\u0308{index}.{suffix}")
    call("import", clip, masks, "--format", "masks", "-o", tmp_path / "w")
    assert keyframes_of(tmp_path / "w") == ["\xe42", "\xe410"]
    assert (read_labels(tmp_path / "w" / "keyframes" / "\xe42.png") == made_labels(2)).all()


def test_an_import_keeps_the_correction_of_a_frame(work, tmp_path, caplog):
    corrected = np.zeros((48, 64), np.uint8)
    corrected[40:, :20] = 7
    workspace = Workspace(work)
    write_labels(workspace.correction("00004"), corrected)
    draft = KeyframeClicks(objects={7: ObjectClicks(points=(), made_by="propagation", painted=True)})
    document = load_annotations(workspace.annotations)
    save_annotations(workspace.annotations, document.model_copy(update={"corrections": {"00004": draft}}))
    mask = np.zeros((48, 64), np.uint8)
    mask[:5] = 1
    write_labels(tmp_path / "masks" / "00004.png", mask)
    with caplog.at_level("INFO"):
        call("import", work, tmp_path / "masks", "--format", "masks")
    after = load_annotations(workspace.annotations)
    assert not after.corrections
    assert after.keyframes["00004"].objects[7] == draft.objects[7]
    assert (read_labels(workspace.keyframe("00004")) == np.where(mask, 1, corrected)).all()
    assert "keyframes with their corrections now: 00004" in caplog.text


def test_a_polygon_far_outside_is_refused_at_once(work, tiny_clip, tmp_path):
    call("export", work, "--format", "yolo", "--keyframes-only", "-o", tmp_path / "yolo")
    file = next((tmp_path / "yolo" / "labels").rglob("*.txt"))
    file.write_text("0 0.1 0.1 0.9 09999999999999 0.9 0.9\n")
    given = ("import", tiny_clip, tmp_path / "yolo", "--format", "yolo", "-o", tmp_path / "w")
    assert "far outside the image" in call(*given, status=2).stderr


def test_a_mask_in_labelme_that_is_no_image_is_named(work, tiny_clip, tmp_path):
    call("export", work, "--format", "labelme", "--keyframes-only", "-o", tmp_path / "labelme")
    file = tmp_path / "labelme" / "00002.json"
    content = json.loads(file.read_text())
    shape = {"label": "dog", "shape_type": "mask", "points": [[1, 1], [3, 3]], "mask": "bm8gUE5H"}
    file.write_text(json.dumps(content | {"shapes": [shape]}))
    given = ("import", tiny_clip, tmp_path / "labelme", "--format", "labelme", "-o", tmp_path / "w")
    message = call(*given, status=2).stderr
    assert f"{tmp_path / 'labelme'}, frame '00002', 'dog': a mask is no PNG" in message


@pytest.mark.parametrize(
    ("files", "match", "advice"),
    [
        (("train/00002.txt", "val/00002.txt"), "name", "keep one\n"),
        (("train/00002.txt", "val/00002.txt"), "number", "keep one\n"),
        (("train/a2.txt", "train/b2.txt"), "number", "keep one, or match them by their names"),
    ],
)
def test_two_files_of_a_frame_are_named(files, match, advice, tiny_clip, tmp_path):
    for name in files:
        file = tmp_path / "labels" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    given = ("import", tiny_clip, tmp_path, "--format", "yolo", "--match", match, "-o", tmp_path / "w")
    message = call(*given, status=2).stderr
    assert f"{tmp_path / 'labels' / files[0]} and {tmp_path / 'labels' / files[1]}; {advice}" in message


@pytest.mark.parametrize("name", ["coco", "cvat-images", "davis", "masks", "labelme", "voc"])
def test_a_zip_file_is_read_as_what_it_holds(name, work, tiny_clip, tmp_path):
    target = tmp_path / "sent" / f"out{FORMATS[name].suffix}"
    call("export", work, "--format", name, "--keyframes-only", "-o", target)
    inside = tmp_path / "sent" if FORMATS[name].suffix or name == "davis" else target
    shutil.make_archive(str(tmp_path / "a"), "zip", inside)
    call("import", tiny_clip, tmp_path / "a.zip", "-o", tmp_path / "w")
    assert keyframes_of(tmp_path / "w") == list(KEYFRAMES)
    assert (read_labels(tmp_path / "w" / "keyframes" / "00002.png") == made_labels(2)).all()


def test_what_fails_in_a_zip_file_names_it(work, tiny_clip, tmp_path):
    call("export", work, "--format", "masks", "--keyframes-only", "-o", tmp_path / "masks")
    (tmp_path / "masks" / "00002.png").write_bytes(b"damaged")
    shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "masks")
    (tmp_path / "b.zip").write_bytes(b"no zip")
    given = ("import", tiny_clip, tmp_path / "a.zip", "-o", tmp_path / "w", "--format", "coco")
    assert f"{tmp_path / 'a.zip'}: expected one .json file of COCO" in call(*given, status=2).stderr
    for file, sentence in (
        ("a.zip", f"{tmp_path / 'a.zip' / '00002.png'}"),
        ("b.zip", "b.zip is no ZIP file"),
    ):
        assert sentence in call("import", tiny_clip, tmp_path / file, "-o", tmp_path / "w", status=2).stderr
        assert not (tmp_path / "w").exists()


def test_masks_of_many_frames_are_not_in_memory_at_once(tmp_path):
    count, size_hw = 40, (300, 400)
    (tmp_path / "clip").mkdir()
    for index in range(count):
        name = f"{index:05d}.png"
        Image.fromarray(np.zeros((*size_hw, 3), np.uint8)).save(tmp_path / "clip" / name)
        labels = np.zeros(size_hw, np.uint8)
        labels[index : index + 100, 50:90] = 1 + index % 3
        write_labels(tmp_path / "masks" / name, labels)
    match, workspace = FrameMatch(), Workspace(tmp_path / "w")
    clip, frames = open_clip(tmp_path / "clip"), FORMATS["masks"].read(tmp_path / "masks")
    nothing = Annotations(objects=(), keyframes={})
    tracemalloc.start()
    try:
        plan = read_import(tmp_path / "masks", frames, clip, workspace, nothing, match)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * count * size_hw[0] * size_hw[1]
    assert (plan.keyframes["00007"].labels == read_labels(tmp_path / "masks" / "00007.png")).all()
