import json
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import InputError
from dextr_vos.evaluation.davis import ScoringRules, evaluate_davis, overall
from dextr_vos.evaluation.metrics import statistics
from dextr_vos.masks import VOID, write_labels

FRAMES = [f"{index:05d}" for index in range(6)]


def square(index, side=8, value=1):
    labels = np.zeros((32, 40), dtype=np.uint8)
    labels[10 : 10 + side, 4 + 2 * index : 4 + 2 * index + side] = value
    return labels


@pytest.fixture
def davis(tmp_path):
    """DAVIS 2016 in small: clips `still` and `walk`, six frames, masks {0, 255}."""
    for clip, speed in (("still", 0), ("walk", 1)):
        folder = tmp_path / "davis" / "Annotations" / "480p" / clip
        folder.mkdir(parents=True)
        for index, name in enumerate(FRAMES):
            Image.fromarray(square(speed * index, value=255)).save(folder / f"{name}.png")
    return Davis(tmp_path / "davis")


@pytest.fixture
def results(tmp_path):
    """Results that do not move: right for `still`, ever worse for `walk`; without first and last frame."""
    for clip in ("still", "walk"):
        for name in FRAMES[1:-1]:
            write_labels(tmp_path / "results" / clip / f"{name}.png", square(0))
    return tmp_path / "results"


def make_2017(davis, clip, truths):
    for name, labels in zip(FRAMES, truths, strict=True):
        write_labels(davis.annotations / clip / f"{name}.png", labels)


def test_scores_of_2016(davis, results):
    scores = evaluate_davis(davis, results, ["still", "walk"])
    assert scores.year == 2016
    still, walk = scores.objects
    assert (still.clip, still.name, still.frames) == ("still", "still_1", tuple(FRAMES[1:-1]))
    assert still.j.tolist() == [1.0] * 4
    assert still.f.tolist() == [1.0] * 4
    # an 8-pixel square that has moved 2, 4, 6, 8 pixels away
    assert walk.j == pytest.approx([6 / 10, 4 / 12, 2 / 14, 0])
    assert overall(scores.objects)[0].mean == pytest.approx((1 + walk.j.mean()) / 2)
    assert not scores.without_keyframes
    assert not scores.left_out


def test_t_of_2016_is_against_the_frame_before_and_the_first_true_mask(davis, results):
    """Until the last scored frame, which has a bar, results have the outline of the first true mask."""
    labels = square(0)
    labels[:, 20:] = 0
    labels[2:30, 30:34] = 1
    labels[10:18, 4:12] = 0
    write_labels(results / "still" / f"{FRAMES[4]}.png", labels)
    write_labels(results / "walk" / f"{FRAMES[2]}.png", 0 * labels)
    still, walk = evaluate_davis(davis, results, ["still", "walk"], ScoringRules(stability=True)).objects
    assert still.t[:3].tolist() == [0, 0, 0]
    assert still.t[3] > 1
    assert still.t_mean == still.t[3] / 4
    assert np.isnan(walk.t).tolist() == [False, True, True, False]
    assert walk.t_mean == 0


def test_there_is_no_t_unless_asked_for_nor_in_2017(davis, results):
    assert evaluate_davis(davis, results, ["still"]).objects[0].t is None
    rules = ScoringRules(2017, stability=True)
    make_2017(davis, "walk", [square(0)] * 6)
    assert evaluate_davis(davis, results, ["walk"], rules).objects[0].t is None


def test_the_frames_without_keyframes_have_no_t(davis, results):
    rules = ScoringRules(stability=True)
    scores = evaluate_davis(davis, results, ["still"], rules, keyframes=[0])
    assert scores.objects[0].t is not None
    assert scores.without_keyframes[0].t is None


def test_any_number_is_foreground_in_2016(davis, results):
    labels = square(0)
    labels[10:12, 4:8] = 7
    labels[12:14, 4:8] = VOID
    write_labels(results / "still" / "00001.png", labels)
    assert evaluate_davis(davis, results, ["still"]).objects[0].j[0] == 1.0


def test_workers_do_not_change_the_numbers(davis, results):
    done = []
    one = evaluate_davis(davis, results, ["still", "walk"], workers=1, on_clip=done.append)
    four = evaluate_davis(davis, results, ["still", "walk"], workers=4)
    assert done == ["still", "walk"]
    for first, second in zip(one.objects, four.objects, strict=True):
        assert first.j.tolist() == second.j.tolist()
        assert first.f.tolist() == second.f.tolist()


def test_each_object_of_2017_on_its_own(davis, results, caplog):
    """Void is background, an object the result lacks is empty, one that comes later is not scored."""
    truth = square(0) + square(6, value=3)
    truth[0:2] = VOID
    later = truth.copy()
    later[25:30, 0:5] = 4
    make_2017(davis, "walk", [truth, truth, later, later, later, later])
    for name in FRAMES[1:-1]:
        write_labels(results / "walk" / f"{name}.png", square(0))
    scores = evaluate_davis(davis, results, ["walk"])
    assert scores.year == 2017
    assert [one.name for one in scores.objects] == ["walk_1", "walk_3"]
    first, lacking = scores.objects
    assert first.j.tolist() == first.f.tolist() == [1.0] * 4
    assert lacking.j.tolist() == lacking.f.tolist() == [0.0] * 4
    assert overall(scores.objects)[0].mean == pytest.approx(1 / 2)
    assert "the official script counts 1 to 3, and its mean includes J and F of 1" in caplog.text


def test_objects_that_come_later_count_from_the_frame_after_their_first(davis, results, caplog):
    """Object 1 in every frame, 3 from frame 2 on, 2 only in the last scored frame."""
    truths = [square(0) for _ in FRAMES]
    for index in range(2, 6):
        truths[index][20:30, 30:38] = 3
    truths[4][0:6, 0:6] = 2
    make_2017(davis, "walk", truths)
    for name, truth in zip(FRAMES, truths, strict=True):
        write_labels(results / "walk" / f"{name}.png", np.where(name == FRAMES[4], 0, truth).astype(np.uint8))
    rules = ScoringRules(object_rule="from-first-appearance")
    scores = evaluate_davis(davis, results, ["walk"], rules, keyframes=[3])
    assert [(one.object_id, one.frames) for one in scores.objects] == [
        (1, tuple(FRAMES[1:5])),
        (3, tuple(FRAMES[3:5])),
    ]
    assert scores.objects[1].j.tolist() == [1, 0]
    assert overall(scores.objects)[0].mean == (3 / 4 + 1 / 2) / 2
    assert [one.frames for one in scores.without_keyframes] == [
        tuple(FRAMES[i] for i in (1, 2, 4)),
        (FRAMES[4],),
    ]
    assert "object walk_2 is not scored" in caplog.text
    part = evaluate_davis(davis, results, ["walk"], replace(rules, frames="2-3"))
    assert [(one.object_id, one.frames) for one in part.objects] == [
        (1, tuple(FRAMES[2:4])),
        (3, (FRAMES[3],)),
    ]


def test_a_later_object_whose_every_frame_was_a_keyframe_is_left_out_of_the_second_table(davis, results):
    truths = [square(0) for _ in FRAMES]
    for index in range(3, 6):
        truths[index][20:30, 30:38] = 2
    make_2017(davis, "walk", truths)
    rules = ScoringRules(object_rule="from-first-appearance")
    scores = evaluate_davis(davis, results, ["walk"], rules, keyframes=[4])
    assert [one.object_id for one in scores.objects] == [1, 2]
    assert [one.object_id for one in scores.without_keyframes] == [1]


def test_by_default_a_later_object_is_refused_in_results(davis, results):
    truths = [square(0, value=1 if index < 3 else 2) for index in range(6)]
    make_2017(davis, "walk", truths)
    for name, truth in zip(FRAMES, truths, strict=True):
        write_labels(results / "walk" / f"{name}.png", truth)
    way_out = "holds object 2, the clip has the objects 1; .* --objects from-first-appearance"
    with pytest.raises(InputError, match=way_out):
        evaluate_davis(davis, results, ["walk"])


def test_a_result_over_void_counts_as_wrong(davis, results):
    """The official semi-supervised score does not spare void pixels."""
    truth = square(0)
    truth[10:18, 12:20] = VOID
    make_2017(davis, "walk", [truth] * 6)
    wide = square(0)
    wide[10:18, 12:20] = 1
    for name in FRAMES[1:-1]:
        write_labels(results / "walk" / f"{name}.png", wide)
    assert evaluate_davis(davis, results, ["walk"]).objects[0].j.tolist() == [0.5] * 4


def test_void_in_a_result_is_background_with_a_warning(davis, results, caplog):
    labels = square(0)
    labels[0:4] = VOID
    write_labels(results / "still" / "00002.png", labels)
    scores = evaluate_davis(davis, results, ["still"], rules=ScoringRules(2017))
    assert scores.objects[0].j.tolist() == [1.0] * 4
    assert "clip still: void (255) in the results" in caplog.text


def test_year_2016_on_masks_of_2017_takes_all_objects_as_one(davis, results):
    truth = square(0)
    truth[10:14] *= 2
    truth[0] = VOID
    make_2017(davis, "walk", [truth] * 6)
    assert evaluate_davis(davis, results, ["walk"], ScoringRules(2016)).objects[0].j.tolist() == [1.0] * 4


def to_run(results, clip, keyframes):
    """Turn a clip's results into the folder one of our runs leaves."""
    (results / clip).rename(results / "masks")
    (results / clip).mkdir()
    (results / "masks").rename(results / clip / "masks")
    (results / clip / "run.json").write_text(json.dumps({"keyframes": keyframes, "more": 1}))


def test_frames_without_keyframe_of_our_runs(davis, results):
    to_run(results, "walk", ["00000", "00001", "00003"])
    to_run(results, "still", FRAMES)
    scores = evaluate_davis(davis, results, ["still", "walk"])
    assert [one.clip for one in scores.objects] == ["still", "walk"]
    (walk,) = scores.without_keyframes
    assert walk.frames == ("00002", "00004")
    assert walk.j == pytest.approx([4 / 12, 0])
    assert walk.j_statistics == statistics(walk.j)
    assert scores.left_out == {"still": "every scored frame was a keyframe"}
    assert scores.keyframes == {"still": tuple(FRAMES), "walk": ("00000", "00001", "00003")}


def test_a_clip_with_unknown_keyframes_says_so(davis, results):
    to_run(results, "walk", ["00000"])
    scores = evaluate_davis(davis, results, ["still", "walk"])
    assert scores.left_out == {"still": "its keyframes are not known"}


@pytest.mark.parametrize("keyframes", [["00001", "00003"], [1, 3], ["1", "3"]])
def test_given_keyframes_go_before_those_of_the_run(davis, results, keyframes):
    to_run(results, "walk", ["00000"])
    scores = evaluate_davis(davis, results, ["walk"], keyframes=keyframes)
    assert scores.without_keyframes[0].frames == ("00002", "00004")


@pytest.mark.parametrize("keyframe", [6, -1, "6", "00006", "first", ""])
def test_unknown_keyframe_is_refused(davis, results, keyframe):
    with pytest.raises(InputError, match=r"no frame of clip walk, which has the 6 frames 00000 to 00005"):
        evaluate_davis(davis, results, ["walk"], keyframes=[keyframe])


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"keyframes": "00000"}', '{"keyframes": [0]}'])
def test_broken_run_json_is_refused(davis, results, text):
    to_run(results, "walk", [])
    (results / "walk" / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"expected .*walk/run.json to hold"):
        evaluate_davis(davis, results, ["walk"])


def test_a_missing_result_is_named_before_anything_is_scored(davis, results):
    (results / "walk" / "00003.png").unlink()
    done = []
    with pytest.raises(InputError, match=r"clip walk, frame 00003: .*\(1 of 4 frames"):
        evaluate_davis(davis, results, ["still", "walk"], on_clip=done.append)
    assert not done


@pytest.mark.parametrize(
    ("gone", "advice"),
    [
        ((3, 4), "(there are masks of 00001 to 00002: --frames 1-2)"),
        ((1,), "(there are masks of 00002 to 00004: --frames 2-4)"),
        ((2,), "score the frames that are there (--frames)"),
        ((1, 2, 3), "score the frames that are there (--frames)"),
    ],
)
def test_the_range_of_frames_that_have_masks_is_told(davis, results, gone, advice):
    for index in gone:
        (results / "walk" / f"{FRAMES[index]}.png").unlink()
    with pytest.raises(InputError, match="make the missing masks") as error:
        evaluate_davis(davis, results, ["walk"], ScoringRules(frames="0-5"))
    assert str(error.value).endswith(advice)
    if "to" in advice:
        part = advice.split()[-1].rstrip(")")
        assert evaluate_davis(davis, results, ["walk"], ScoringRules(frames=part)).objects


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: write_labels(path, square(0)[:-1]), "is 40×31 pixels, expected 40×32"),
        (lambda path: path.write_bytes(b"no picture"), "cannot read the mask"),
        (lambda path: write_labels(path, square(0, value=2)), "holds object 2, the clip has the objects 1"),
    ],
    ids=["size", "broken", "surplus-object"],
)
def test_a_wrong_result_names_clip_and_frame(davis, results, write, words):
    write(results / "walk" / "00002.png")
    with pytest.raises(InputError, match=f"clip walk, frame 00002: .*{words}"):
        evaluate_davis(davis, results, ["still", "walk"], rules=ScoringRules(2017))


def test_clips_and_folders_that_are_not_there(davis, results, tmp_path):
    with pytest.raises(InputError, match=r"there is no folder of results .*nowhere"):
        evaluate_davis(davis, tmp_path / "nowhere", ["walk"])
    with pytest.raises(InputError, match="there is no clip 'run'"):
        evaluate_davis(davis, results, ["walk", "run"])
    with pytest.raises(InputError, match="at least one clip"):
        evaluate_davis(davis, results, [])
    (results / "walk").rename(results / "wander")
    with pytest.raises(
        InputError, match=r"no results of clip walk in .*, or score others with --clips still"
    ):
        evaluate_davis(davis, results, ["walk"])
    (results / "workspace.yaml").touch()
    with pytest.raises(InputError, match="results is the workspace of one clip; give the folder that it is"):
        evaluate_davis(davis, results, ["walk"])


def test_clips_that_cannot_be_scored(davis, results):
    make_2017(davis, "walk", [np.zeros((32, 40), dtype=np.uint8)] * 6)
    with pytest.raises(InputError, match=r"the first mask .*00000.png holds no object"):
        evaluate_davis(davis, results, ["walk"], rules=ScoringRules(2017))
    with pytest.raises(InputError, match=r"no object appears in .* before the last scored frame"):
        evaluate_davis(davis, results, ["walk"], ScoringRules(2017, object_rule="from-first-appearance"))
    for name in FRAMES[2:]:
        (davis.annotations / "walk" / f"{name}.png").unlink()
    with pytest.raises(InputError, match=r"clip walk has 2 annotated frames .*at least 3"):
        evaluate_davis(davis, results, ["walk"], rules=ScoringRules(2017))


def test_names_without_zeros_are_in_the_order_of_their_numbers(davis, results):
    truth, result = davis.annotations / "counted", results / "counted"
    for index in range(12):
        write_labels(truth / f"{index + 1}.png", square(0))
        write_labels(result / f"{index + 1}.png", square(0))
    (scored,) = evaluate_davis(davis, results, ["counted"], rules=ScoringRules(2017)).objects
    assert scored.frames == tuple(str(number) for number in range(2, 12))


def test_results_may_have_other_lossless_suffixes_and_decomposed_names(davis, results):
    for index, name in enumerate(("a\u0308 1", "a\u0308 2", "a\u0308 3", "a\u0308 4")):
        write_labels(davis.annotations / "mac" / f"{name}.png", square(0))
        (results / "mac").mkdir(exist_ok=True)
        composed = unicodedata.normalize("NFC", name)
        Image.fromarray(square(0)).save(results / "mac" / f"{composed}{('.PNG', '.tif')[index % 2]}")
    scores = evaluate_davis(davis, results, ["mac"], ScoringRules(2017), keyframes=["a\u0308 2"])
    assert scores.objects[0].j.tolist() == [1.0] * 2
    assert scores.without_keyframes[0].frames == ("\xe4 3",)


def test_youtube_vos_is_scored_on_the_frames_that_have_a_mask(tmp_path, results):
    """Every fifth frame has a mask, there is no folder 480p, and a keyframe may have none."""
    train, clip = tmp_path / "youtube" / "train", "0043f083b5"
    for index in range(21):
        (train / "JPEGImages" / clip).mkdir(parents=True, exist_ok=True)
        (train / "JPEGImages" / clip / f"{index:05d}.jpg").touch()
        write_labels(
            results / clip / f"{index:05d}.png", square(0) + (square(6, value=2) if index > 5 else 0)
        )
        if index % 5 == 0:
            truth = square(0) + (square(6, value=2) if index >= 5 else 0)
            write_labels(train / "Annotations" / clip / f"{index:05d}.png", truth)
    (train / "meta.json").write_text('{"videos": {}}')
    data = Davis(train)
    assert data.clips("val") == [clip]
    scores = evaluate_davis(data, results, [clip], keyframes=["00003", 10])
    assert scores.object_rule == "from-first-appearance"
    # frames are those of the clip, of which some have a true mask
    part = evaluate_davis(data, results, [clip], ScoringRules(frames="3-12"))
    assert [one.frames for one in part.objects] == [("00005", "00010"), ("00010",)]
    assert [one.frames for one in scores.objects] == [("00005", "00010", "00015"), ("00010", "00015")]
    assert [one.frames for one in scores.without_keyframes] == [("00005", "00015"), ("00015",)]
    assert all((one.j == 1).all() for one in scores.objects)
    with pytest.raises(InputError, match=r"holds the parts of a data set; give .*train$"):
        Davis(train.parent).available_clips()


@pytest.mark.parametrize(
    ("digits", "meta", "rule"),
    [(5, None, "first-frame"), (8, "valid_meta.json", "from-first-appearance")],
    ids=["MOSE", "LVOS"],
)
def test_layouts_without_resolution_with_a_mask_of_each_frame(tmp_path, results, digits, meta, rule):
    part, clip = tmp_path / "valid", "0a1b2c3d"
    for index in range(5):
        later = square(6, value=2) if index >= 2 and meta else 0
        for folder in (part / "Annotations", results):
            write_labels(folder / clip / f"{index:0{digits}d}.png", square(0) + later)
    if meta:
        (part / meta).write_text("{}")
    scores = evaluate_davis(Davis(part), results, Davis(part).clips())
    assert scores.object_rule == rule
    assert [len(one.frames) for one in scores.objects] == ([3, 1] if meta else [3])
    assert all((one.j == 1).all() for one in scores.objects)
