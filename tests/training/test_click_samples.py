from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_datasets import SIZE_HW, make_voc

from dextr_vos.annotation.dextr_input import ClickCrop, gaussian_heatmap
from dextr_vos.datasets.augment import Augmentation
from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.datasets.pascal import VocObjects
from dextr_vos.evaluation.next_click import outline
from dextr_vos.geometry import crop, extreme_points
from dextr_vos.networks.losses import class_balanced_bce, plain_bce, soft_iou_loss
from dextr_vos.training.click_samples import ClickRecipe, ClickSamples
from dextr_vos.training.loader import SampleOrder

# points one pixel wide, so that they can be found again
LOOK = ClickCrop(size_px=128, relax_px=10, fwhm_px=1)
RELEASE = ClickRecipe(LOOK, crop_from_mask=True, jitter_px=5)
TURNED = Augmentation(rotation_deg=20, beyond="black")
FLIPPED = Augmentation(rotation_deg=0, scale=(1, 1))


class OneObject:
    """An ellipse with void around it."""

    def __init__(self, centre_xy=(60, 40), radii=(30, 20), size_hw=(90, 120)):
        rows, columns = np.indices(size_hw)
        away = ((columns - centre_xy[0]) / radii[0]) ** 2 + ((rows - centre_xy[1]) / radii[1]) ** 2
        image = np.random.default_rng(0).integers(2, 255, (*size_hw, 3), dtype=np.uint8)
        self.example = Example(
            ObjectRef("image", 0, "o", int((away <= 1).sum())), image, away <= 1, (away > 1) & (away < 1.3)
        )
        self.refs = [self.example.ref]

    def read(self, index):
        return self.example


def samples_of(objects, recipe, step_samples=4, total=400, seed=0, extra_xy=None):
    order = SampleOrder([len(objects.refs)], [1.0], seed)
    return ClickSamples(objects, order, recipe, step_samples, total, seed, extra_xy)


@pytest.fixture
def voc(tmp_path):
    return VocObjects(make_voc(tmp_path), "train", index_folder=tmp_path)


def points_of(sample):
    """The clicks, x and y, read from the heat map."""
    rows, columns = np.nonzero(sample["inputs"][3].numpy() > 250)
    return list(zip(columns.tolist(), rows.tolist(), strict=True))


RECIPES = {
    "release": replace(RELEASE, augmentation=TURNED),
    "whole": replace(RELEASE, crop=replace(LOOK, whole=True), augmentation=TURNED),
    "no clicks": replace(RELEASE, crop=replace(LOOK, points="none"), augmentation=TURNED),
    "distance": replace(RELEASE, crop=replace(LOOK, heat="distance")),
    "lite": ClickRecipe(replace(LOOK, cubic=False), jitter=0.06, extra_clicks=0.3, copy_paste=CopyPaste()),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_sample_is_a_function_of_seed_and_position(voc, name):
    one, again, other = (samples_of(voc, RECIPES[name], seed=seed) for seed in (0, 0, 1))
    backwards = [again[position] for position in reversed(range(8))][::-1]
    for position in range(8):
        sample, same = one[position], backwards[position]
        assert sample["inputs"].shape == (4, 128, 128)
        assert sample["target"].shape == sample["void"].shape == (1, 128, 128)
        assert [sample[key].dtype for key in ("inputs", "target", "void")] == [
            torch.uint8,
            torch.bool,
            torch.bool,
        ]
        assert sample["target"].any()
        assert all(torch.equal(sample[key], same[key]) for key in sample)
    assert any(not torch.equal(one[n]["inputs"], other[n]["inputs"]) for n in range(8))


def test_an_unchanged_sample_is_the_crop_around_the_mask():
    objects = OneObject()
    look = ClickCrop(size_px=101, relax_px=20, fwhm_px=1, cubic=False)  # the box is 61×41 pixels
    sample = samples_of(objects, ClickRecipe(look, crop_from_mask=True))[0]
    example, box = objects.example, (10, 0, 110, 80)
    tall = (slice(None), slice(None))
    assert look.box(extreme_points(example.mask), (90, 120)) == box
    for key, part in (("target", example.mask), ("void", example.void)):
        found = sample[key][0].numpy()
        enlarged = found[np.round((np.arange(81) + 0.5) * 101 / 81 - 0.5).astype(int)]
        assert (enlarged != crop(part, box)[tall]).mean() < 0.02
    assert [sample["inputs"][:3, 0, x].tolist() for x in (0, 50)] == [
        example.image_rgb[0, 10 + x].tolist() for x in (0, 50)
    ]


@pytest.mark.parametrize("recipe", [RELEASE, replace(RELEASE, augmentation=TURNED)], ids=["still", "turned"])
def test_void_pixels_of_voc_reach_the_loss_and_count_neither_way(voc, recipe):
    for position in range(4):
        sample = {key: tensor[None] for key, tensor in samples_of(voc, recipe)[position].items()}
        target, void = sample["target"].float(), sample["void"]
        assert 0.01 < void.float().mean() < 0.4
        # the boundary runs along the object: its void neighbours are there on every side
        beside = torch.nn.functional.max_pool2d(target, 9, stride=1, padding=4).bool() & ~sample["target"]
        assert (void & beside).sum() > 0.3 * beside.sum()
        logits = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(position))
        nonsense = torch.where(void, 50 - 100 * target, logits)
        for loss in (class_balanced_bce, plain_bce, soft_iou_loss):
            assert loss(nonsense, target, void) == loss(logits, target, void)
            assert loss(nonsense, target) > loss(logits, target)


def test_sides_of_the_crop_follow_the_run_and_change_between_steps_alone():
    recipe = ClickRecipe(LOOK, crop_px=((0.0, 32), (0.5, 48), (0.9, 64)))
    samples = samples_of(OneObject(), recipe, step_samples=4, total=40)
    sides = [samples[position]["inputs"].shape[-1] for position in range(40)]
    assert sides == [32] * 20 + [48] * 16 + [64] * 4


def test_clicks_lie_on_the_object_within_the_jitter_of_its_extremes_in_the_crop():
    samples = samples_of(OneObject(), RELEASE)
    seen = set()
    for position in range(30):
        sample = samples[position]
        target = sample["target"][0].numpy()
        rows, columns = np.nonzero(target)
        ends = columns.min(), columns.max(), rows.min(), rows.max()
        points = points_of(sample)
        assert 1 <= len(points) <= 4
        for x, y in points:
            assert target[y, x]
            assert min(x - ends[0], ends[1] - x, y - ends[2], ends[3] - y) <= 5
        seen.update(points)
    assert len(seen) > 60


@pytest.mark.parametrize(("jitter", "most_px"), [(0.0, 1), (0.2, 12)])
def test_jitter_as_a_share_grows_with_the_object(jitter, most_px):
    objects = OneObject()  # 61×41 pixels: 51 on the mean
    samples = samples_of(objects, ClickRecipe(replace(LOOK, whole=True, size_px=240), jitter=jitter))
    offs = []
    for position in range(40):
        for x, y in points_of(samples[position]):
            px, py = x / 2, y * 90 / 240
            offs.append(min(abs(px - 30), abs(px - 90), abs(py - 20), abs(py - 60)))
    assert max(offs) <= most_px
    assert jitter == 0 or max(offs) > 5
    assert jitter == 0 or np.median(offs) < 4  # small errors are more common


@pytest.mark.parametrize("flip", [False, True])
def test_a_mined_click_is_drawn_and_moves_with_the_image(flip):
    objects = OneObject(centre_xy=(50, 40))
    rows, columns = np.nonzero(outline(objects.example.mask))
    place = int(np.argmax(columns + rows))  # right below the middle, away from the four
    fifth = np.array([[columns[place], rows[place]]])
    recipe = ClickRecipe(replace(LOOK, whole=True, size_px=240), crop_from_mask=True, augmentation=FLIPPED)
    four, five = (samples_of(objects, recipe, extra_xy=extra) for extra in (None, {0: fifth}))
    left = [position for position in range(20) if four[position]["target"][0, :, :120].sum() > 4000]
    flipped = [position for position in range(20) if position not in left]
    for position in (flipped if flip else left)[:3]:
        (found,) = set(points_of(five[position])) - set(points_of(four[position]))
        x = 119 - fifth[0, 0] if flip else fifth[0, 0]
        assert abs(found[0] / 2 - x) <= 1
        assert abs(found[1] * 90 / 240 - fifth[0, 1]) <= 1
        assert torch.equal(five[position]["target"], four[position]["target"])


def test_a_mined_click_is_jittered_like_the_others():
    objects = OneObject()
    fifth = np.array([[60, 40]])  # the middle, for the sake of the test
    samples = samples_of(objects, RELEASE, extra_xy={0: fifth})
    found = {min(points_of(samples[n]), key=lambda p: abs(p[0] - 64) + abs(p[1] - 64)) for n in range(40)}
    assert len(found) > 15
    assert all(abs(x - 63) <= 5 and abs(y - 62) <= 5 for x, y in found)


@pytest.mark.parametrize("changes", [{"augmentation": TURNED}, {"copy_paste": CopyPaste()}, {}])
def test_random_further_clicks_lie_on_the_outline_and_come_as_often_as_asked_for(changes):
    recipe = ClickRecipe(replace(LOOK, cubic=False), extra_clicks=0.5, **changes)
    more = 0
    for position in range(40):
        sample = samples_of(OneObject(), recipe)[position]
        points = points_of(sample)
        more += len(points) > 4
        edge = outline(sample["target"][0].numpy())
        near = gaussian_heatmap(np.argwhere(edge)[:, ::-1], (128, 128), 4) > 60
        assert all(near[y, x] for x, y in points)
    assert 8 <= more <= 32


def test_without_clicks_the_last_channel_is_empty_and_the_crop_still_follows_the_mask(voc):
    blind = samples_of(voc, replace(RELEASE, crop=replace(LOOK, points="none")))
    seeing = samples_of(voc, RELEASE)
    for position in range(4):
        assert not blind[position]["inputs"][3].any()
        assert torch.equal(blind[position]["inputs"][:3], seeing[position]["inputs"][:3])
        assert torch.equal(blind[position]["target"], seeing[position]["target"])


def test_the_whole_image_may_be_the_crop(voc):
    whole = samples_of(voc, replace(RELEASE, crop=replace(LOOK, whole=True, size_px=96)))
    for position in range(4):
        target = whole[position]["target"][0].numpy()
        index = whole._order.at(position)
        mask = voc.read(index).mask
        rows = np.clip(np.round((np.arange(SIZE_HW[0]) + 0.5) * 96 / SIZE_HW[0] - 0.5), 0, 95).astype(int)
        assert (target[rows] == mask).mean() > 0.99


def test_an_object_that_would_leave_the_image_stays_as_it_is():
    objects = OneObject(centre_xy=(3, 3), radii=(3, 3))
    away = Augmentation(flip=False, rotation_deg=0, scale=(3, 3))
    sample = samples_of(objects, replace(RELEASE, augmentation=away), extra_xy={0: np.array([[3, 3]])})[0]
    still = samples_of(objects, RELEASE)[0]
    assert torch.equal(sample["target"], still["target"])


def test_an_object_lost_in_a_small_image_still_has_its_clicks():
    objects = OneObject(centre_xy=(60, 40), radii=(0.5, 0.5), size_hw=(90, 120))
    tiny = replace(RELEASE, crop=replace(LOOK, whole=True, size_px=32))
    sample = samples_of(objects, tiny)[0]
    assert not sample["target"].any()
    assert points_of(sample) == [(16, 14)]
