import numpy as np
import pytest
import torch

from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.datasets.copy_paste import CopyPaste
from dextr_vos.datasets.instances import Example, ObjectRef
from dextr_vos.networks.prompt_decoder import BOX_END, BOX_START, EXTREME, NEGATIVE, PADDING, POSITIVE
from dextr_vos.training.click_samples import ClickRecipe, Mixture
from dextr_vos.training.loader import SampleOrder
from dextr_vos.training.prompt_samples import POINTS, PromptSamples

CROP = ClickCrop(size_px=96, relax_px=4, relax_share=0.15, cubic=False, overlap_share=0.03)


class OneObject:
    """An ellipse with void around it."""

    def __init__(self):
        rows, columns = np.indices((90, 120))
        away = ((columns - 60) / 30) ** 2 + ((rows - 40) / 20) ** 2
        image = np.random.default_rng(0).integers(2, 255, (90, 120, 3), dtype=np.uint8)
        ref = ObjectRef("image", 0, "o", int((away <= 1).sum()))
        self.example = Example(ref, image, away <= 1, (away > 1) & (away < 1.3))
        self.refs = [ref]

    def read(self, index):
        return self.example


def samples_of(crop_px=(), **mixture):
    recipe = ClickRecipe(CROP, crop_px, jitter=0.06, extra_clicks=0.25, copy_paste=CopyPaste())
    given = {"mask": 0.0, "box": 0.0, "clicks": 0.0} | mixture
    return PromptSamples(OneObject(), SampleOrder([1], [1.0], 0), recipe, Mixture(**given), 4, 400, 0)


@pytest.mark.parametrize("kind", ["extremes", "mask", "box", "clicks"])
def test_a_sample_has_what_its_kind_knows(kind):
    samples = samples_of(**({} if kind == "extremes" else {kind: 1.0}))
    for sample in (samples[position] for position in range(12)):
        kinds = sample["kinds"].tolist()
        assert len(kinds) == POINTS
        known = [each for each in kinds if each != PADDING]
        assert sample["target"].any()
        assert bool(sample["has_mask"]) == (kind == "mask")
        assert sample["mask"].shape == (1, 24, 24)
        if kind == "extremes":
            assert known.count(EXTREME) >= 4
            assert known[-2:] == [BOX_START, BOX_END]
        elif kind == "box":
            assert known == [BOX_START, BOX_END]
        else:
            assert set(known) <= {POSITIVE, NEGATIVE}
            assert 1 <= len(known) <= 3
            assert kind == "mask" or set(known) == {POSITIVE}


def test_extreme_points_are_on_the_target_and_their_box_is_around_it():
    for sample in (samples_of()[position] for position in range(8)):
        target = sample["target"][0].numpy()
        points, kinds = sample["points"].numpy(), sample["kinds"].numpy()
        ys, xs = np.nonzero(target)
        span = np.array([(xs.min(), ys.min()), (xs.max() + 1, ys.max() + 1)]) / 96
        corners = points[(kinds == BOX_START) | (kinds == BOX_END)]
        assert np.abs(corners - span).max() < 0.08  # clicks are off by up to 6 %
        for x, y in points[kinds == EXTREME] * 96:
            near = target[max(int(y) - 3, 0) : int(y) + 4, max(int(x) - 3, 0) : int(x) + 4]
            assert near.any()


def test_a_sample_is_a_pure_function_of_its_position():
    mixture = {"mask": 0.3, "box": 0.2, "clicks": 0.2}
    one, other = samples_of(**mixture), samples_of(**mixture)
    for position in range(6):
        first, second = one[position], other[position]
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_size_follows_the_position():
    samples = samples_of(crop_px=[(0.0, 64), (0.5, 96)])
    assert samples[0]["image"].shape == (3, 64, 64)
    assert samples[396]["image"].shape == (3, 96, 96)
