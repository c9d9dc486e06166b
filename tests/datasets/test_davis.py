import numpy as np
import pytest
from PIL import Image
from tiny_datasets import make_davis, save, scene

from dextr_vos.datasets.davis import Davis, DavisObjects
from dextr_vos.errors import InputError
from dextr_vos.masks import write_labels

CLIPS = ("bear", "cows", "dog")


def grey(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(path)


@pytest.fixture
def davis(tmp_path):
    """Three clips of two frames, masks {0, 255}, no split list; with the litter that file managers leave."""
    for clip in CLIPS:
        for frame in ("00000", "00001"):
            grey(tmp_path / "Annotations" / "480p" / clip / f"{frame}.png", [[0, 255], [0, 0]])
            grey(tmp_path / "JPEGImages" / "480p" / clip / f"{frame}.jpg", np.zeros((2, 2, 3)))
        (tmp_path / "Annotations" / "480p" / clip / "._00000.png").write_bytes(b"litter")
    (tmp_path / "Annotations" / "480p" / ".cache").mkdir()
    (tmp_path / "Annotations" / "480p" / "notes.txt").write_text("litter")
    return Davis(tmp_path)


def write_list(davis, name, text):
    path = davis.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


PAIRS = (
    "/JPEGImages/480p/dog/00000.jpg /Annotations/480p/dog/00000.png\n"
    "/JPEGImages/480p/dog/00001.jpg /Annotations/480p/dog/00001.png\n"
    "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png\n"
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ImageSets/2017/val.txt", "dog\nbear\n"),
        ("ImageSets/2016/val.txt", "dog\r\n\n  bear  "),
        ("ImageSets/480p/val.txt", PAIRS),
        ("val_seqs.txt", "dog\nbear\n"),
    ],
)
def test_split_lists_in_all_forms(davis, name, text):
    write_list(davis, name, text)
    assert davis.clips("val") == ["dog", "bear"]


def test_without_lists_all_clips(davis):
    assert davis.clips("val") == list(CLIPS)


@pytest.mark.parametrize(("year", "clips"), [(2016, ["bear"]), (2017, ["dog"]), (None, ["dog"])])
def test_the_years_own_list_comes_first(davis, year, clips):
    write_list(davis, "ImageSets/2016/val.txt", "bear")
    write_list(davis, "ImageSets/2017/val.txt", "dog")
    write_list(davis, "val_seqs.txt", "cows")
    assert davis.clips("val", year) == clips


def test_other_years_list_is_better_than_none(davis):
    write_list(davis, "ImageSets/2016/val.txt", "bear")
    assert davis.clips("val", 2017) == ["bear"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected one clip per line.*val.txt"),
        ("dog\ncamel\n../dog/..\n", "names 2 clips not in .*camel.*bear, cows, dog"),
        ("\xff", "val.txt"),
    ],
    ids=["empty", "missing-clip", "not-utf8"],
)
def test_bad_lists_say_what_is_wrong(davis, text, words):
    path = davis.root / "ImageSets" / "2017" / "val.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=words):
        davis.clips("val")


def test_unknown_split_names_the_splits_there_are(davis):
    write_list(davis, "ImageSets/2017/val.txt", "dog")
    write_list(davis, "train_seqs.txt", "bear")
    assert davis.clips("train") == ["bear"]
    with pytest.raises(InputError, match=r"no list of the split 'test'; its splits are train, val"):
        davis.clips("test")


def test_paths_of_a_clip_in_order(davis):
    assert [path.name for path in davis.annotation_paths("dog")] == ["00000.png", "00001.png"]
    assert [path.name for path in davis.frame_paths("dog")] == ["00000.jpg", "00001.jpg"]


@pytest.mark.parametrize(
    "asked", [Davis.annotation_paths, Davis.frame_paths, Davis.require, Davis.guess_year]
)
@pytest.mark.parametrize("clip", ["camel", "", "..", ".cache", "bear/../dog"])
def test_unknown_clip_names_the_clips_there_are(davis, asked, clip):
    with pytest.raises(InputError, match=r"there is no clip .*; there are bear, cows, dog"):
        asked(davis, clip)


def test_a_clip_without_files_says_what_was_expected(davis):
    (davis.annotations / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected masks 00000.png.* in .*empty, found none"):
        davis.annotation_paths("empty")
    with pytest.raises(InputError, match=r"expected frames 00000.jpg.* in .*empty, found none"):
        davis.frame_paths("empty")


def test_missing_root_or_annotations(tmp_path):
    with pytest.raises(InputError, match=r"there is no DAVIS folder .*nowhere"):
        Davis(tmp_path / "nowhere").clips()
    with pytest.raises(InputError, match=r"Annotations/480p, which is not there"):
        Davis(tmp_path).clips()
    (tmp_path / "Annotations" / "480p").mkdir(parents=True)
    with pytest.raises(InputError, match="found none"):
        Davis(tmp_path).clips()


def test_truth_of_2016_is_one_object(davis):
    assert davis.read_annotation(davis.annotation_paths("dog")[0]).tolist() == [[0, 1], [0, 0]]
    assert davis.guess_year("dog") == 2016


def test_truth_of_2017_keeps_objects_and_void(davis):
    path = davis.annotations / "dog" / "00000.png"
    write_labels(path, np.array([[0, 2], [1, 255]], dtype=np.uint8))
    assert davis.read_annotation(path).tolist() == [[0, 2], [1, 255]]
    assert davis.guess_year("dog") == 2017


def test_year_is_told_by_the_first_mask_that_is_not_empty(davis):
    grey(davis.annotations / "dog" / "00000.png", np.zeros((2, 2)))
    assert davis.guess_year("dog") == 2016


def test_a_broken_mask_is_named(davis):
    (davis.annotations / "dog" / "00000.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot read the mask .*dog/00000.png"):
        davis.guess_year("dog")


def test_real_data_set(davis_root):
    davis = Davis(davis_root)
    clips = davis.clips("val", 2016)
    assert clips
    assert davis.guess_year(clips[0]) == 2016
    assert len(davis.frame_paths(clips[0])) == len(davis.annotation_paths(clips[0]))


def open_objects(root, *settings, **options):
    return DavisObjects(root, *settings, index_folder=root / "index", **options)


def test_every_object_of_every_frame(tmp_path):
    objects = open_objects(make_davis(tmp_path), "val", 2017)
    assert len(objects.refs) == 2 * 4 * 2
    for index, ref in enumerate(objects.refs):
        clip, _, frame = ref.image.partition("/")
        _, labels = scene({"bear": 0, "dog": 100}[clip] + int(frame))
        example = objects.read(index)
        assert ref.category == clip
        np.testing.assert_array_equal(example.mask, labels == ref.object_id + 1)
        assert ref.area == example.mask.sum()


def test_davis_2016_has_one_object_a_frame(tmp_path):
    objects = open_objects(make_davis(tmp_path, year=2016), "val", 2016)
    assert len(objects.refs) == 2 * 4
    np.testing.assert_array_equal(objects.read(1).mask, scene(1, 1)[1] == 1)


@pytest.mark.parametrize(("every", "frames"), [(1, 4), (2, 2), (3, 2), (9, 1)])
def test_every_nth_frame_of_each_clip(tmp_path, every, frames):
    objects = open_objects(make_davis(tmp_path, clips=["bear"]), "val", 2017, every)
    assert sorted({ref.image for ref in objects.refs}) == [
        f"bear/{index * every:05d}" for index in range(frames)
    ]


def test_objects_of_youtube_vos_that_come_later_in_the_frames_that_have_a_mask(tmp_path):
    for index in range(11):
        rgb, labels = scene(index)
        save(tmp_path / "JPEGImages" / "0043f083b5" / f"{index:05d}.jpg", rgb)
        if index % 5 == 0:
            shown = np.where(labels == 2, 0, labels) if index < 5 else labels
            write_labels(tmp_path / "Annotations" / "0043f083b5" / f"{index:05d}.png", shown)
    objects = open_objects(tmp_path)
    found = [(ref.image, ref.object_id) for ref in objects.refs]
    frames = [f"0043f083b5/{index:05d}" for index in (0, 5, 10)]
    assert found == [(frames[0], 0), *((name, number) for name in frames[1:] for number in (0, 1))]
    np.testing.assert_array_equal(objects.read(2).mask, scene(5)[1] == 2)


def test_errors_of_objects_name_the_file(tmp_path):
    root = make_davis(tmp_path)
    with pytest.raises(InputError, match="got every=0"):
        open_objects(root, every=0)
    (root / "JPEGImages/480p/dog/00001.jpg").unlink()
    with pytest.raises(InputError, match=r"dog/00001.png has no frame of its name"):
        open_objects(root)
    with pytest.raises(InputError, match="there is no DAVIS folder"):
        open_objects(root / "nowhere")
