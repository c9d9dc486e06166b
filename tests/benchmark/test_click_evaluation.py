import itertools

import numpy as np
import pytest

from dextr_vos.annotation.human_clicks import HumanClicks
from dextr_vos.annotation.prompts import Click, Prompt
from dextr_vos.annotation.segmenter import GrabCutSegmenter, Segmenter
from dextr_vos.benchmark.click_evaluation import (
    click_curve,
    evaluate_clicks,
    filter_objects,
    number_of_clicks,
    simulated_points,
    spread_evenly,
    with_human_clicks,
)
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.errors import InputError
from dextr_vos.evaluation.next_click import outline
from dextr_vos.geometry import box_around, extreme_points, paste


def disk(y, x, radius, size_hw=(60, 80)):
    rows, columns = np.ogrid[: size_hw[0], : size_hw[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


class Disks:
    """Bright disks on dark ground, all of them different; counts what is read."""

    def __init__(self, count=4):
        self.masks = [disk(28 + index, 30 + 2 * index, 12 + index) for index in range(count)]
        self.refs = [
            ObjectRef(f"clip/{index // 2}", index % 2, ("cat", "dog")[index % 2], int(mask.sum()))
            for index, mask in enumerate(self.masks)
        ]
        self.reads = []

    def read(self, index):
        self.reads.append(index)
        mask = self.masks[index]
        noise = np.random.default_rng(index).integers(0, 40, (*mask.shape, 3), dtype=np.uint8)
        return Example(self.refs[index], noise + mask[..., None] * np.uint8(200), mask, np.zeros_like(mask))


class Oracle(Segmenter):
    """Knows the true masks, and gives so much more of them with each click; keeps what it was asked."""

    name = "oracle"
    threshold = 0.8

    def __init__(self, objects, shares=(1.0,)):
        self.objects, self.shares, self.asked = objects, shares, []

    def probabilities(self, image_rgb, objects_xy):
        (points,) = objects_xy
        self.asked.append(points)
        truth = self.objects.masks[self.objects.reads[-1]]
        share = self.shares[min(len(points) - 4, len(self.shares) - 1)]
        rows, columns = np.nonzero(truth)
        prob = np.zeros(truth.shape, dtype=np.float32)
        some = slice(0, round(share * len(rows)))
        prob[rows[some], columns[some]] = 0.81
        prob[~truth] = 0.8  # at the threshold is not above it
        return [prob]


class Box(Segmenter):
    """The box of the points; what more clicks never help."""

    name = "box"
    threshold = 0.5

    def probabilities(self, image_rgb, objects_xy):
        x0, y0, x1, y1 = box_around(objects_xy[0])
        patch = np.ones((y1 - y0 + 1, x1 - x0 + 1), dtype=np.float32)
        return [paste(patch, (x0, y0, x1, y1), image_rgb.shape[:2])]


def results(*given, **more):
    return [one.result for one in evaluate_clicks(*given, **more)]


def test_perfect_masks_need_four_clicks():
    objects = Disks()
    for result, ref in zip(results(objects, Oracle(objects), targets=(0.85, 0.9)), objects.refs, strict=True):
        assert (result.image, result.object_id, result.category) == (ref.image, ref.object_id, ref.category)
        assert (result.iou, result.error, result.error_in_box) == (1.0, 0.0, 0.0)
        assert result.area == ref.area
        assert result.noc == {0.85: 4, 0.9: 4}
        assert result.human_iou is None


def test_clicks_are_counted_until_the_last_target():
    objects = Disks(1)
    oracle = Oracle(objects, shares=(0.5, 0.7, 0.86, 0.88, 0.95))
    (result,) = results(objects, oracle, targets=(0.85, 0.9))
    assert result.noc == {0.85: 6, 0.9: 8}
    assert result.iou == pytest.approx(0.5, abs=0.01)  # of the first four
    assert [len(points) for points in oracle.asked] == [4, 5, 6, 7, 8]


def test_extra_clicks_lie_on_the_true_outline_each_once():
    objects = Disks(1)
    oracle = Oracle(objects, shares=(0.3,))
    (result,) = results(objects, oracle, targets=(0.9,), max_clicks=12)
    assert result.noc == {0.9: None}
    points = oracle.asked[-1]
    assert len(points) == 12
    assert len(set(map(tuple, points.tolist()))) == 12
    assert outline(objects.masks[0])[points[:, 1], points[:, 0]].all()


def test_first_four_clicks_may_reach_the_limit():
    objects = Disks(1)
    oracle = Oracle(objects, shares=(0.3,))
    (result,) = results(objects, oracle, targets=(0.85,), max_clicks=4)
    assert result.noc == {0.85: None}
    assert len(oracle.asked) == 1


def test_a_target_once_reached_stays_reached():
    objects = Disks(1)
    (result,) = results(objects, Oracle(objects, (0.86, 0.5)), targets=(0.85, 0.9), max_clicks=7)
    assert result.noc == {0.85: 4, 0.9: None}


def test_no_extra_click_costs_a_forward_that_was_not_asked_for():
    objects = Disks(3)
    oracle = Oracle(objects, shares=(0.3,))
    assert all(result.noc == {} for result in results(objects, oracle))
    assert len(oracle.asked) == 3


def test_an_object_whose_outline_is_used_up_never_reaches_it():
    mask = disk(30, 30, 1)
    example = Example(ObjectRef("p", 1, "dot", 5), np.zeros((60, 80, 3), np.uint8), mask, np.zeros_like(mask))
    points = extreme_points(mask)
    box = Box()
    (prob,) = box.probabilities(example.image_rgb, [points])
    curve = click_curve(box, example, Prompt(points), prob, (0.9,))
    assert 1 <= len(curve) < 16
    assert number_of_clicks(curve, 4, (0.9,)) == {0.9: None}


class Painter(Segmenter):
    """Paints a disk around every positive click, and takes away one around every negative click."""

    name, threshold, corrects = "painter", 0.5, True

    def __init__(self, radius=6):
        self.radius, self.asked = radius, []

    def probabilities(self, image_rgb, objects_xy):
        return self.prompted(image_rgb, [Prompt(points) for points in objects_xy])

    def prompted(self, image_rgb, prompts):
        (prompt,) = prompts
        self.asked.append(prompt)
        mask = np.zeros(image_rgb.shape[:2], dtype=bool) if prompt.mask is None else prompt.mask > 0.5
        if prompt.mask is None and prompt.points_xy is not None:
            mask[:, :] = True
        for click in prompt.clicks[-1:]:
            around = disk(click.y, click.x, self.radius, mask.shape)
            mask = mask | around if click.positive else mask & ~around
        return [mask.astype(np.float32)]


def test_corrections_go_to_the_largest_error_and_see_the_mask_so_far():
    objects, painter = Disks(1), Painter()
    (result,) = results(objects, painter, targets=(0.85, 0.9), max_clicks=9)
    first, second, *_ = painter.asked
    assert first.is_extremes
    assert second.mask is not None
    assert second.points_xy is first.points_xy
    assert [click.positive for click in second.clicks] == [False]
    assert not objects.masks[0][second.clicks[0].y, second.clicks[0].x]
    assert [len(prompt.clicks) for prompt in painter.asked] == list(range(6))
    assert len(result.curve) == 6
    assert result.first_clicks == 4
    assert list(result.curve) == sorted(result.curve)


def test_ritm_begins_with_a_click_in_the_middle():
    objects, painter = Disks(1), Painter(radius=12)
    (result,) = results(objects, painter, targets=(0.85, 0.9), protocol="ritm")
    assert painter.asked[0] == Prompt(clicks=(Click(30, 28, True),))
    assert result.first_clicks == 1
    assert result.noc[0.85] == 1
    assert result.iou == result.curve[0]


def test_a_line_of_one_pixel_can_be_clicked_on():
    objects = Disks(1)
    objects.masks[0][:] = False
    objects.masks[0][20, 10:30] = True
    (result,) = results(objects, Painter(), targets=(0.9,), protocol="ritm", max_clicks=2)
    assert result.first_clicks == 1


def test_objects_are_read_one_at_a_time():
    objects = Disks(4)
    first = next(evaluate_clicks(objects, Oracle(objects)))
    assert objects.reads == [0]
    assert first.example.ref == objects.refs[0]
    assert (first.mask == objects.masks[0]).all()


def test_seed_and_jitter_decide_the_clicks():
    example = Disks(1).read(0)
    assert (simulated_points(example, 0, 1) == simulated_points(example, 0, 2)).all()
    first = simulated_points(example, 5, 1)
    assert (first == simulated_points(example, 5, 1)).all()
    assert (first != simulated_points(example, 5, 2)).any()
    assert example.mask[first[:, 1], first[:, 0]].all()


def test_an_objects_clicks_do_not_depend_on_the_others():
    """The same object among others, and with others left out."""
    whole, objects = {}, Disks(4)
    for one in evaluate_clicks(objects, Oracle(objects), jitter_px=6, seed=3):
        whole[one.result.image, one.result.object_id] = one.points_xy
    dogs = filter_objects(objects, ["dog"])
    for one in evaluate_clicks(dogs, Oracle(objects), jitter_px=6, seed=3):
        assert (one.points_xy == whole[one.result.image, one.result.object_id]).all()
    assert len({points.tobytes() for points in whole.values()}) == 4


def test_grabcut_finds_the_disks_and_says_the_same_again():
    objects = Disks(2)
    given = {
        "segmenter": GrabCutSegmenter(),
        "jitter_px": 2,
        "seed": 1,
        "targets": (0.85,),
        "max_clicks": 6,
    }
    first = results(objects, **given)
    assert all(result.iou > 0.9 for result in first)
    assert first == results(objects, **given)


def test_people_are_judged_beside_the_simulation(tmp_path):
    objects = Disks(3)
    key = (objects.refs[1].image, objects.refs[1].object_id)
    loose = np.array([[40, 2], [5, 28], [70, 28], [40, 55]])  # in any order
    human = HumanClicks(tmp_path / "h.json", {key: loose})
    chosen = with_human_clicks(objects, human)
    assert [(ref.image, ref.object_id) for ref in chosen.refs] == [key]
    (result,) = results(chosen, Box(), human=human)
    assert result.human_iou < 0.5 < result.iou


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([[8, 20], [25, 22], [16, 14]], r"h\.json, image 'clip/0', object 1: 3 points"),
        (
            [[8, 20], [25, 22], [16, 14], [99, 33]],
            r"image 'clip/0', object 1, point 4: .* outside the 80×60",
        ),
        ([[8, 20], [8, 22], [8, 14], [9, 33]], "span a box of 2×20 px"),
    ],
)
def test_human_clicks_must_fit_their_picture(tmp_path, points, words):
    objects = Disks(1)
    human = HumanClicks(tmp_path / "h.json", {("clip/0", 0): np.array(points)})
    with pytest.raises(InputError, match=words):
        results(objects, Box(), human=human)


def test_an_object_without_pixels_is_left_out_and_named(caplog):
    objects = Disks(3)
    objects.masks[1][:] = False
    assert [(one.image, one.object_id) for one in results(objects, Box())] == [("clip/0", 0), ("clip/1", 0)]
    assert "object 2 of clip/0 has no pixels and is left out" in caplog.text


def test_narrowed_by_category_and_area():
    objects = Disks(4)
    assert [ref.category for ref in filter_objects(objects, ["dog"]).refs] == ["dog", "dog"]
    largest = max(ref.area for ref in objects.refs)
    assert [ref.area for ref in filter_objects(objects, min_area=largest).refs] == [largest]
    assert len(filter_objects(objects).refs) == 4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"categories": ["horse"]}, "there is no category 'horse' in the data set; it has cat, dog"),
        ({"min_area": 10**6}, "no object .* 1000000 pixels asked for; the data set has 4 objects"),
    ],
)
def test_narrowed_to_nothing_is_refused(given, words):
    with pytest.raises(InputError, match=words):
        filter_objects(Disks(4), **given)


@pytest.mark.parametrize(
    ("most", "expected"), [(1, [0]), (2, [0, 6]), (3, [0, 3, 6]), (7, range(7)), (99, range(7))]
)
def test_spread_takes_from_everywhere(most, expected):
    objects = Disks(7)
    chosen = spread_evenly(objects, most)
    assert list(chosen.refs) == [objects.refs[index] for index in expected]
    for index, original in itertools.islice(enumerate(expected), 2):
        assert (chosen.read(index).mask == objects.masks[original]).all()
