"""What the page exports: every format, chosen objects and frames, names of files."""

import json
import zipfile

import pytest
from export.formats.made_masks import made_labels, write_workspace

from dextr_vos.annotation.annotations import load_annotations, save_annotations
from dextr_vos.errors import InputError
from dextr_vos.web.edits import without_object
from dextr_vos.web.exports import export_formats, exported_files, write_export
from dextr_vos.web.schemas import Export


@pytest.fixture
def export(tiny_clip, tmp_path):
    work = write_workspace(tiny_clip, tmp_path / "work")

    def export(**asked):
        return write_export(Export(**asked), tiny_clip, work.path, lambda done, total: None)

    export.work = work
    return export


def test_every_format_is_a_file_whose_name_says_what_it_is(export):
    for each in export_formats():
        file = export(format=each["name"])
        assert file.name == f"tiny_dog-1+Katze+dog-2_{each['name']}{each['suffix']}"
        assert file.stat().st_size > 100
        assert zipfile.is_zipfile(file) == each["folder"]
    assert [each["current"] for each in exported_files(export.work)] == [True] * len(export_formats())
    assert sorted(path.name for path in export.work.exports.iterdir()) == sorted(
        each["name"] for each in exported_files(export.work)
    ), "nothing is left over"


def test_one_object_and_a_range_of_frames(export):
    file = export(format="coco", objects=[3], frames=[1, 2])
    assert file.name == "tiny_Katze_00001-00002_coco.json"
    coco = json.loads(file.read_text())
    assert [each["name"] for each in coco["categories"]] == ["Katze"]
    assert [each["file_name"] for each in coco["images"]] == ["00001.png", "00002.png"]
    assert [each["area"] for each in coco["annotations"]] == [
        (made_labels(index) == 3).sum() for index in (1, 2)
    ]
    with zipfile.ZipFile(export(format="rgba", objects=[3], frames=[4, 5])) as archive:
        assert archive.namelist() == ["00004.png", "00005.png"]


def test_keyframes_polygons_images_and_categories(export):
    file = export(
        format="labelme", keyframes_only=True, shapes="polygon", images=True, labels=["dog", "Katze"]
    )
    assert file.name == "tiny_dog-1+Katze+dog-2_keyframes_labelme-polygons.zip"
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        labels = {shape["label"] for shape in json.loads(archive.read("00000.json"))["shapes"]}
    assert names == [f"0000{index}.{kind}" for index in (0, 2, 3) for kind in ("json", "png")]
    assert labels == {"dog", "Katze"}


def test_an_object_that_was_deleted_is_in_no_export(export):
    document = load_annotations(export.work.annotations)
    save_annotations(export.work.annotations, without_object(document, 1))
    with zipfile.ZipFile(export(format="objects")) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"3_Katze", "7_dog 2"}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"frames": [4, 5], "keyframes_only": True}, "no keyframe from frame 00004 to 00005"),
        ({"frames": [4, 9]}, "expected a first and a last frame from 0 to 5"),
        ({"objects": [9]}, "there is no mask to export"),
        ({"labels": ["cat"]}, "fits no label"),
    ],
)
def test_what_is_not_there_is_refused_in_one_sentence(export, asked, sentence):
    with pytest.raises(InputError, match=sentence):
        export(format="coco", **asked)
    assert exported_files(export.work) == []


def test_of_many_objects_the_name_says_how_many(export):
    document = load_annotations(export.work.annotations)
    (entry, *_), wide = document.objects, "a/b " * 20
    more = (*document.objects, entry.model_copy(update={"id": 9, "name": wide}))
    save_annotations(export.work.annotations, document.model_copy(update={"objects": more}))
    assert export(format="coco").name == "tiny_4-objects_coco.json"
    name = export(format="coco", objects=[9]).name
    assert name == "tiny_objects-9_coco.json"


def test_names_of_any_length_in_any_script_are_those_of_files(tiny_clip, export):
    clip = tiny_clip.rename(tiny_clip.with_name("魚" * 80))
    names = []
    for last in "甲乙":
        document = load_annotations(export.work.annotations)
        named = [
            entry.model_copy(update={"name": f"{'魚' * 70}{last}{entry.id}"}) for entry in document.objects
        ]
        save_annotations(export.work.annotations, document.model_copy(update={"objects": tuple(named)}))
        asked = Export(format="coco", frames=[0, 2])
        names.append(write_export(asked, clip, export.work.path, lambda done, total: None).name)
    assert names[0] == names[1], "the same objects"
    assert names[0].endswith("_objects-1+3+7_00000-00002_coco.json")
    other = clip.rename(clip.with_name("魚" * 79 + "鳥"))
    assert write_export(asked, other, export.work.path, lambda done, total: None).name not in names
