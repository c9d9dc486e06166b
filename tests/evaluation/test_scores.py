import doctest

import numpy as np
import pytest
from PIL import Image

from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import InputError
from dextr_vos.evaluation import scores as module
from dextr_vos.evaluation.davis import evaluate_davis
from dextr_vos.evaluation.scores import evaluate
from dextr_vos.masks import VOID, write_labels


def squares(*lefts, object_id=1):
    """A frame for each value: an 8-pixel square that far from the left."""
    masks = np.zeros((len(lefts), 32, 40), np.uint8)
    for mask, left in zip(masks, lefts, strict=True):
        mask[10:18, left : left + 8] = object_id
    return masks


TRUTH = squares(4, 4, 4, 4, 4)
RESULTS = squares(30, 4, 6, 8, 30)  # 0, 1, 6 / 10 and 4 / 12 in common, wrong at both ends


def test_the_example_runs():
    assert doctest.testmod(module).failed == 0


def test_j_and_f_per_frame_object_and_clip():
    truth = TRUTH + squares(20, 20, 20, 20, 20, object_id=3)
    results = squares(4, 4, 6, 8, 4)
    scores = evaluate(results, truth)
    assert scores.frames == (1, 2, 3)
    assert list(scores.objects) == [1, 3]
    assert scores.objects[1].j == pytest.approx([1, 6 / 10, 4 / 12])
    assert scores.objects[3].j.tolist() == scores.objects[3].f.tolist() == [0, 0, 0]
    assert scores.j == pytest.approx((1 + 0.6 + 4 / 12) / 3 / 2)
    assert scores.jf == (scores.j + scores.f) / 2
    assert scores.j_statistics.recall == pytest.approx(2 / 3 / 2)
    assert "2 objects, 3 frames" in str(scores)


def test_the_ends_count_when_asked_for():
    assert evaluate(RESULTS, TRUTH, skip_ends=False).objects[1].j == pytest.approx([0, 1, 0.6, 4 / 12, 0])


def test_t_per_object_against_the_frame_before():
    results = RESULTS.copy()
    results[3] = 0
    results[3, 2:30, 20:24] = 1
    scores = evaluate(results, TRUTH, stability=True)
    assert scores.objects[1].t[:2].tolist() == [0, 0]
    assert scores.objects[1].t[2] > 1
    assert scores.t == scores.objects[1].t_mean == pytest.approx(scores.objects[1].t[2] / 3)
    assert np.isnan(evaluate(results, TRUTH, stability=True, skip_ends=False).objects[1].t[0])


def test_t_is_computed_only_when_asked_for():
    scores = evaluate(RESULTS, TRUTH)
    assert scores.objects[1].t is None
    assert np.isnan(scores.t)


def test_every_form_of_masks_gives_the_same_scores(tmp_path):
    names = [f"{index:05d}" for index in range(5)]
    for name, true, result in zip(names, TRUTH, RESULTS, strict=True):
        write_labels(tmp_path / "truth" / f"{name}.png", true)
        write_labels(tmp_path / "run" / "masks" / f"{name}.png", result)
    forms = [
        (list(RESULTS), list(TRUTH.astype(bool))),
        (dict(enumerate(RESULTS)), TRUTH.astype(np.int64)),
        ({np.int64(2): RESULTS[2], 3: RESULTS[3], 1: RESULTS[1]}, TRUTH),
        (dict(zip(names, RESULTS, strict=True)), tmp_path / "truth"),
        (tmp_path / "run", str(tmp_path / "truth")),
        (RESULTS, tmp_path / "truth"),
        (tmp_path / "run", TRUTH),
    ]
    for results, truth in forms:
        scores = evaluate(results, truth)
        assert scores.objects[1].j == pytest.approx([1, 0.6, 4 / 12])
        expected = (1, 2, 3) if isinstance(truth, np.ndarray | list) else ("00001", "00002", "00003")
        assert scores.frames == expected


def test_scores_are_those_of_the_command_on_davis(tmp_path):
    for index, (true, result) in enumerate(zip(TRUTH, RESULTS, strict=True)):
        path = tmp_path / "Annotations" / "480p" / "walk" / f"{index:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(true * 255).save(path)
        write_labels(tmp_path / "results" / "walk" / path.name, result)
    (whole,) = evaluate_davis(Davis(tmp_path), tmp_path / "results", ["walk"]).objects
    one = evaluate(tmp_path / "results" / "walk", tmp_path / "Annotations" / "480p" / "walk").objects[1]
    assert (one.frames, one.j.tolist(), one.f.tolist()) == (whole.frames, whole.j.tolist(), whole.f.tolist())


def test_chosen_objects_alone_are_scored():
    results = RESULTS.copy()
    results[:, 25:30, 0:5] = 2
    assert list(evaluate(results, TRUTH, object_ids=[1]).objects) == [1]
    assert evaluate(results, TRUTH, object_ids=[2]).j == 0


def later_object():
    """Object 1 in all of six frames; object 2 from frame 2 on; object 3 in the last frame."""
    truth = squares(4, 4, 4, 4, 4, 4)
    truth[2:] += squares(20, 20, 20, 20, object_id=2)
    truth[5, 25:30, :8] = 3
    return truth


def test_an_object_that_comes_later_counts_from_the_frame_after_its_first(caplog):
    truth = later_object()
    results = truth.copy()
    results[2][truth[2] == 2] = 0  # its given frame is not scored
    results[4][truth[4] == 2] = 0
    scores = evaluate(results, truth, object_rule="from-first-appearance")
    assert scores.frames == scores.objects[1].frames == (1, 2, 3, 4)
    assert scores.objects[2].frames == (3, 4)
    assert scores.objects[2].j.tolist() == scores.objects[2].f.tolist() == [1, 0]
    assert list(scores.objects) == [1, 2]
    assert scores.j == (1 + 0.5) / 2
    assert "object 3 is not scored: no scored frame follows its first" in caplog.text


def test_by_the_official_rule_an_object_that_comes_later_is_refused_in_results():
    truth = later_object()
    with pytest.raises(InputError, match="holds object 2, the clip has the objects 1"):
        evaluate(truth, truth)
    assert list(evaluate(np.where(truth == 1, 1, 0), truth).objects) == [1]


def test_both_rules_agree_where_all_objects_are_in_the_first_frame():
    one, other = (
        evaluate(RESULTS, TRUTH, object_rule=rule) for rule in ("first-frame", "from-first-appearance")
    )
    assert one.frames == other.frames
    assert one.objects[1].j.tolist() == other.objects[1].j.tolist()


def test_with_the_ends_only_later_objects_miss_their_first_frame():
    truth = later_object()
    scores = evaluate(truth, truth, object_rule="from-first-appearance", skip_ends=False)
    assert scores.objects[1].frames == (0, 1, 2, 3, 4, 5)
    assert scores.objects[2].frames == (3, 4, 5)


def test_a_chosen_object_counts_after_its_first_frame_with_its_t():
    truth = later_object()
    rule = "from-first-appearance"
    (one,) = evaluate(truth, truth, object_ids=[2], object_rule=rule, stability=True).objects.values()
    assert one.frames == (3, 4)
    assert one.t.tolist() == [0, 0]


def test_nothing_to_score_from_first_appearance_is_one_sentence():
    empty = np.zeros((4, 32, 40), np.uint8)
    late = empty.copy()
    late[2, 10:18, 4:12] = 1
    for truth, words in (
        (empty, "the true masks hold no object"),
        (late, "no object of the truth appears before"),
    ):
        with pytest.raises(InputError, match=words):
            evaluate(empty, truth, object_rule="from-first-appearance")
    with pytest.raises(
        InputError, match="object_rule as one of first-frame, from-first-appearance, got 'all'"
    ):
        evaluate(TRUTH, TRUTH, object_rule="all")


def test_void_is_background_with_a_warning(caplog):
    results = TRUTH.copy()
    results[2, 0:4] = VOID
    assert evaluate(results, TRUTH).j == 1
    assert "void (255)" in caplog.text


@pytest.mark.parametrize(
    ("results", "truth", "words"),
    [
        (RESULTS[:3], TRUTH, r"no result of frame 3 \(1 of 3 scored frames"),
        (RESULTS[:, :-1], TRUTH, "frame 1 is 40×31 pixels, expected 40×32"),
        (RESULTS * 2, TRUTH, "frame 1 holds object 2, the clip has the objects 1;"),
        (RESULTS, TRUTH * 0, "the first true mask holds no object"),
        (RESULTS, TRUTH[:2], "at least 3 frames of truth, got 2"),
        (RESULTS, [], "truth of at least one frame"),
        (RESULTS / 2, TRUTH, "results of frame 1 as H×W integers from 0 to 255 or bool, got float64"),
        (RESULTS[..., None], TRUTH, r"of shape \(32, 40, 1\)"),
        (RESULTS.astype(int) - 1, TRUTH, "results of frame 1 with values from 0 to 255, got -1 to 0"),
        ({1.5: RESULTS[0]}, TRUTH, "by frame indices or by frame names"),
        (3, TRUTH, "a folder of masks, got int"),
        ("nowhere", TRUTH, "there is no folder nowhere"),
        ({"a": RESULTS[0]}, TRUTH, "results have 1 frame by name, the truth has 5 by index"),
        (RESULTS[:3], dict.fromkeys("abcde", TRUTH[0]), "the truth of these frames only"),
        ({-1: RESULTS[0]}, TRUTH, "results by frame indices from 0, got -1"),
        ([RESULTS[0], [[0, 1], [1]], *RESULTS[2:]], TRUTH, "got rows of several lengths"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(results, truth, words):
    with pytest.raises(InputError, match=words):
        evaluate(results, truth)


@pytest.mark.parametrize("object_ids", [[], [0], [255], ["a"], [1.5], [None]])
def test_object_ids_must_be_objects(object_ids):
    with pytest.raises(InputError, match="object_ids from 1 to 254"):
        evaluate(RESULTS, TRUTH, object_ids=object_ids)


def test_folders_without_masks_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no mask"):
        evaluate(tmp_path, TRUTH)
