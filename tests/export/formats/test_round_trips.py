"""What a format keeps: written by export, read back by import, equal but for what is known to be lost."""

import os
import time

import numpy as np
import pytest
from export.commands import call
from export.formats.made_masks import COLOURS, KEYFRAMES, NAMES, made_labels, write_workspace

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.export.formats.guess import guess_format
from dextr_vos.export.formats.registry import FORMATS, new_folder
from dextr_vos.masks import read_labels, write_labels
from dextr_vos.workspace import Workspace

WITH_NAMES = {"objects", "coco", "youtube-vos", "labelme", "label-studio", "cvat-images", "cvat-video", "voc"}
WITH_VOID = {"masks", "davis", "youtube-vos", "voc"}
WITH_COLOURS = {"coco", "label-studio", "cvat-images", "cvat-video"}
FORMS = [(name, "mask") for name in FORMATS] + [
    (name, "polygon") for name in FORMATS if FORMATS[name].has_shapes
]


@pytest.fixture
def work(tiny_clip, tmp_path):
    return write_workspace(tiny_clip, tmp_path / "work" / "tiny").path


@pytest.mark.parametrize(("name", "shapes"), [form for form in FORMS if form[0] != "yolo"])
def test_masks_names_and_colours_come_back(name, shapes, work, tiny_clip, tmp_path):
    target = tmp_path / f"out{FORMATS[name].suffix}"
    call("export", work, "--format", name, "--shapes", shapes, "--keyframes-only", "-o", target)
    call("import", tiny_clip, target, "--format", name, "-o", tmp_path / "back")
    back = Workspace(tmp_path / "back")
    assert [file.stem for file in back.keyframe_files()] == list(KEYFRAMES)
    for key in KEYFRAMES:
        assert (read_labels(back.keyframe(key)) == made_labels(int(key))).all()
    entries = {entry.id: entry for entry in load_annotations(back.annotations).objects}
    assert set(entries) == set(NAMES)
    if name in WITH_NAMES:
        assert {n: entry.name for n, entry in entries.items()} == NAMES
    if name in WITH_COLOURS:
        assert {n: entry.colour for n, entry in entries.items()} == COLOURS


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_recognised_where_it_is_unmistakable(name, work, tmp_path):
    exported = tmp_path / f"exported{FORMATS[name].suffix}"
    call("export", work, "--format", name.upper(), "-o", exported)
    # folders of PNGs may be of objects or of clips
    assert guess_format(exported) == (None if name == "objects" else name)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("valid/labels/00001.txt", "yolo"),
        ("test/labels/00001.txt", "yolo"),
        ("00001.TIF", "masks"),
        ("a.npy", "masks"),
        ("notes.txt", None),
        ("dog/00001.png", None),
    ],
)
def test_a_format_is_recognised_by_its_files(file, name, tmp_path):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(b"")
    assert guess_format(tmp_path) == name


@pytest.mark.parametrize("name", FORMATS)
def test_void_comes_back_where_files_hold_labels(name, tiny_clip, tmp_path):
    work = write_workspace(tiny_clip, tmp_path / "work")
    labels = made_labels(0)
    labels[:4] = 255
    write_labels(work.keyframe("00000"), labels)
    target = tmp_path / f"out{FORMATS[name].suffix}"
    call("export", work.path, "--format", name, "--keyframes-only", "-o", target)
    call("import", tiny_clip, target, "--format", name, "-o", tmp_path / "back")
    back = read_labels(tmp_path / "back" / "keyframes" / "00000.png")
    assert (back[:4] == (255 if name in WITH_VOID else 0)).all()


@pytest.mark.parametrize("labels", ["Katze\ndog\n", "KATZE\nDOG\n"], ids=["as the names", "spelt otherwise"])
@pytest.mark.parametrize("name", sorted(WITH_NAMES - {"objects", "voc"}))
def test_objects_of_one_category_stay_apart(name, labels, work, tiny_clip, tmp_path):
    (tmp_path / "labels.txt").write_text(labels)
    target = tmp_path / f"out{FORMATS[name].suffix}"
    call("export", work, "--format", name, "--labels", tmp_path / "labels.txt", "-o", target)
    call("import", tiny_clip, target, "--format", name, "-o", tmp_path / "back")
    entries = load_annotations(tmp_path / "back" / "annotations.json").objects
    assert {entry.id: entry.name for entry in entries} == NAMES
    for index in range(6):
        back = read_labels(tmp_path / "back" / "keyframes" / f"{index:05d}.png")
        assert (back == made_labels(index)).all()


def test_yolo_keeps_classes_and_draws_a_line_between_parts(work, tiny_clip, tmp_path):
    call("export", work, "--format", "yolo", "--keyframes-only", "-o", tmp_path / "yolo")
    call("import", tiny_clip, tmp_path / "yolo", "--format", "yolo", "-o", tmp_path / "back")
    entries = {entry.name: entry.id for entry in load_annotations(tmp_path / "back/annotations.json").objects}
    assert set(entries) == set(NAMES.values())
    back = read_labels(tmp_path / "back" / "keyframes" / "00000.png")
    for number, name in NAMES.items():
        mask = made_labels(0) == number
        apart = (back == entries[name]) & ~mask
        assert ((back == entries[name]) & mask).sum() == mask.sum()
        assert apart.sum() <= (45 if name != "Katze" else 0)


def test_frames_of_pascal_voc_may_begin_with_the_name_of_their_clip(tmp_path):
    from PIL import Image

    clip = tmp_path / "img"
    clip.mkdir()
    for index in range(6):
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(clip / f"img_{index:05d}.png")
        write_labels(tmp_path / "work" / "keyframes" / f"img_{index:05d}.png", made_labels(index))
    call("import", clip, tmp_path / "work" / "keyframes", "-o", tmp_path / "work2")
    for count in (1, 2):  # clips of one name
        call(
            "export",
            *[tmp_path / "work2"] * count,
            "--format",
            "voc",
            "--keyframes-only",
            "-o",
            tmp_path / f"voc{count}",
        )
        given = ("--clip-name", "img-2") if count == 2 else ()
        call("import", clip, tmp_path / f"voc{count}", *given, "-o", tmp_path / f"back{count}")
        back = Workspace(tmp_path / f"back{count}")
        assert len(back.keyframe_files()) == 6
        assert (read_labels(back.keyframe("img_00004")) == made_labels(4)).all()


def test_several_workspaces_go_into_one_file_without_clashes(work, tiny_clip, tmp_path):
    other = write_workspace(tiny_clip, tmp_path / "other").path
    for name in set(FORMATS) - {"cvat-video"}:
        target = tmp_path / f"both-{name}{FORMATS[name].suffix}"
        call("export", work, other, "--format", name, "-o", target)
        imported = ("import", tiny_clip, target, "--format", name, "-o", tmp_path / f"back-{name}")
        if name == "yolo":
            continue  # it has no objects, and masks are not equal
        call(*imported, "--clip-name", "tiny-2")
        back = read_labels(tmp_path / f"back-{name}" / "keyframes" / "00004.png")
        assert (back == made_labels(4)).all(), name
    refused = call("export", work, other, "--format", "cvat-video", "-o", tmp_path / "x.xml", status=2)
    assert "holds one clip, got tiny, tiny-2" in refused.stderr


def test_an_import_continues_a_workspace(work, tiny_clip, tmp_path):
    call("export", work, "--format", "coco", "-o", tmp_path / "all.json")
    document = load_annotations(work / "annotations.json")
    call("import", work, tmp_path / "all.json", "--format", "coco")
    after = load_annotations(work / "annotations.json")
    assert after.objects == document.objects
    assert len(after.keyframes) == 6
    assert (read_labels(work / "keyframes" / "00001.png") == made_labels(1)).all()


def test_frames_are_found_by_number_too(work, tiny_clip, tmp_path):
    call("export", work, "--format", "masks", "--keyframes-only", "-o", tmp_path / "masks")
    for file in sorted((tmp_path / "masks").iterdir()):
        file.rename(file.with_name(f"frame_{int(file.stem) + 1:06d}.png"))
    given = ("import", tiny_clip, tmp_path / "masks", "--format", "masks", "-o", tmp_path / "back")
    message = call(*given, status=2).stderr
    assert "the frame 'frame_000001'" in message
    assert "--match number and --first N" in message
    call(*given, "--match", "number", "--first", "1")
    assert [file.stem for file in Workspace(tmp_path / "back").keyframe_files()] == list(KEYFRAMES)


@pytest.mark.parametrize("name", list(FORMATS))
def test_what_is_no_such_file_is_one_sentence(name, tiny_clip, tmp_path):
    (tmp_path / "folder").mkdir()
    wrong = tmp_path / f"wrong{FORMATS[name].suffix}" if FORMATS[name].suffix else tmp_path / "folder"
    if FORMATS[name].suffix:
        wrong.write_text('{"images": 3}')
    shown = call("import", tiny_clip, wrong, "--format", name, "-o", tmp_path / "back", status=2).stderr
    assert shown.count("\n") == 1
    assert str(wrong) in shown
    assert not (tmp_path / "back").exists()


def test_another_size_is_refused(work, tmp_path):
    from PIL import Image

    (tmp_path / "small").mkdir()
    for index in range(6):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "small" / f"{index:05d}.png")
    call("export", work, "--format", "coco", "-o", tmp_path / "all.json")
    shown = call("import", tmp_path / "small", tmp_path / "all.json", "--format", "coco", status=2).stderr
    assert "is 64×48 pixels" in shown


def test_a_folder_that_holds_something_is_left_alone(work, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    shown = call("export", work, "--format", "voc", "-o", tmp_path / "mine", status=2).stderr
    assert "holds something already" in shown
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["note.txt"]


def test_what_a_killed_export_left_goes_even_where_the_folder_is_refused(work, tmp_path):
    exports = tmp_path / "exports"
    # killed when all was in place, and between putting an earlier export aside and taking its place
    for out, inside in (("out", "out"), ("gone", ".former/gone")):
        scratch = exports / f".dextr-vos-{out:x<8}"
        (scratch / inside).mkdir(parents=True)
        (scratch / inside / "note.txt").write_text(out)
        os.utime(scratch, (time.time() - 3600,) * 2)
    (exports / "out").mkdir()
    (exports / "out" / "note.txt").write_text("whole")
    for name, text in (("out", "whole"), ("gone", "gone")):
        call("export", work, "--format", "voc", "-o", exports / name, status=2)
        assert (exports / name / "note.txt").read_text() == text
    assert sorted(file.name for file in exports.iterdir()) == ["gone", "out"]


def test_an_object_without_a_label_is_named(work, tmp_path):
    (tmp_path / "labels.txt").write_text("dog\n")
    given = ("export", work, "--format", "coco", "--labels", tmp_path / "labels.txt")
    assert "'Katze'" in call(*given, "-o", tmp_path / "a.json", status=2).stderr


@pytest.mark.parametrize("name", ["masks", "coco", "rgba"])
def test_an_export_into_the_workspace_replaces_the_last_one(name, work):
    call("export", work, "--format", name)
    folder = work / "exports" / name
    if folder.is_dir():
        (folder / "old.png").write_bytes(b"old")
    call("export", work, "--format", name)
    assert not (folder / "old.png").exists()
    target = {"coco": "coco.json"}.get(name, name)
    assert [file.name for file in (work / "exports").iterdir()] == [target]


def test_an_export_that_fails_leaves_the_last_one(work):
    call("export", work, "--format", "masks")
    (work / "propagation" / "masks" / "00005.png").write_bytes(b"damaged")
    call("export", work, "--format", "masks", status=2)
    assert (read_labels(work / "exports" / "masks" / "00005.png") == made_labels(5)).all()
    assert [file.name for file in (work / "exports").iterdir()] == ["masks"]


def test_a_folder_stays_where_the_new_one_cannot_take_its_place(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.png").write_bytes(b"old")
    with pytest.raises(OSError), new_folder(tmp_path / "out", replace=True) as folder:
        folder.rmdir()
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "old.png").read_bytes() == b"old"
