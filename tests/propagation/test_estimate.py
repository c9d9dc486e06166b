from dataclasses import replace

import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE, TINY_OSVOS

from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.propagation import estimate as estimating
from dextr_vos.propagation.batch_source import batch_source
from dextr_vos.propagation.clip_segmenter import frames_to_segment, masked_keyframe
from dextr_vos.propagation.estimate import Estimate, seconds_a_frame, seconds_a_step, within_budget
from dextr_vos.propagation.models import LITE, OSVOS, build_network
from dextr_vos.propagation.spans import spans_between
from dextr_vos.propagation.training_data import Sample

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

BOTH = pytest.mark.parametrize("model", [TINY_LITE, TINY_OSVOS], ids=lambda model: model.name)
ESTIMATE = Estimate(steps=100, step_s=0.5, frames=100, frame_s=0.1)  # 50 s, and 11 s with slack
SAMPLES = [Sample(tiny_frame(index), tiny_mask(index)) for index in (0, 3)]


def test_an_estimate_is_steps_and_frames_times_their_seconds_and_some_slack():
    assert ESTIMATE.training_s == 50
    assert ESTIMATE.segmenting_s == pytest.approx(1.1 * 10)


@pytest.mark.parametrize(
    ("budget_s", "longest_side", "seconds"),
    [
        (1000.0, 480, 989.0),
        (30.0, 480, 19.0),
        (18.4, 480, 7.4),  # segmenting may take three fifths
        (18.0, 384, 18 - 11 * 0.64),
        (11.0, 320, 11 - 11 * (320 / 480) ** 2),
        (8.0, 256, 8 - 11 * (256 / 480) ** 2),
        (6.2, 256, 6.2 - 11 * (256 / 480) ** 2),
    ],
)
def test_a_budget_goes_to_segmenting_first_and_the_rest_to_training(budget_s, longest_side, seconds):
    recipe, _ = within_budget(LITE.recipe, ESTIMATE, budget_s)
    assert recipe.longest_side == longest_side
    assert recipe.seconds == pytest.approx(seconds)
    assert recipe == replace(LITE.recipe, longest_side=longest_side, seconds=recipe.seconds)


def test_of_two_networks_only_the_own_one_sees_smaller_frames():
    both = replace(ESTIMATE, steps=4, alone=50, alone_s=0.4)  # 2 s, and 22 s more
    recipe, estimate = within_budget(replace(OSVOS.recipe, longest_side=480), both, 28.0)
    assert recipe.longest_side == 384
    assert (estimate.frame_s, estimate.alone_s) == (0.1, pytest.approx(0.4 * 0.64))
    assert estimate.segmenting_s == pytest.approx(11 + 22 * 0.64)


def test_a_short_training_leaves_more_to_segmenting():
    short = replace(ESTIMATE, steps=4)  # 2 s
    assert within_budget(LITE.recipe, short, 14.0)[0].longest_side == 480
    assert within_budget(LITE.recipe, ESTIMATE, 14.0)[0].longest_side == 384


@pytest.mark.parametrize("budget_s", [6.0, 3.0, 0.1])
def test_a_budget_too_small_for_training_leaves_it_out(budget_s):
    recipe, _ = within_budget(LITE.recipe, ESTIMATE, budget_s)
    assert (recipe.max_steps, recipe.longest_side) == (0, 256)


def test_a_smaller_budget_never_gives_larger_frames_or_longer_training():
    recipes = [within_budget(LITE.recipe, ESTIMATE, budget / 2)[0] for budget in range(2, 80)]
    sides = [recipe.longest_side for recipe in recipes]
    assert sides == sorted(sides)
    assert set(sides) == {256, 320, 384, 480}
    for side in set(sides):
        times = [recipe.seconds or 0 for recipe in recipes if recipe.longest_side == side]
        assert times == sorted(times)


@pytest.mark.parametrize(("model", "side"), [(OSVOS, None), (LITE, 320), (LITE, 200)])
def test_frames_are_never_made_larger_and_osvos_takes_them_whole(model, side):
    recipe, _ = within_budget(replace(model.recipe, longest_side=side), ESTIMATE, 8.0)
    assert recipe.longest_side == (256 if side == 320 else side)


@pytest.mark.parametrize("passes", [1, 2])
def test_what_is_to_be_segmented_is_counted_once_a_pass(passes):
    spans = spans_between([2, 6], 10)  # 0 1 before, 3 4 5 between, 7 8 9 behind
    assert [frames_to_segment(span, passes) for span in spans] == [2, 3 * passes, 3]
    assert [frames_to_segment(span, passes, span.last) for span in spans] == [1, passes, 1]


class Ticks:
    """Stands in for `time`: every look at the clock finds it a second later."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(estimating, "time", self)

    def perf_counter(self):
        self.now += 1
        return self.now


def measured_step(model, network):
    lessons = batch_source(model, model.recipe, SAMPLES, [1], 0)
    return seconds_a_step(network, model, model.recipe, lessons, CPU)


def measured_frame(model, network):
    seen = masked_keyframe(tiny_frame(0), tiny_mask(0), [1], (48, 64))
    return seconds_a_frame(network, model, model.recipe, seen, CPU)


@BOTH
def test_a_step_has_as_many_passes_as_the_recipe_says(model, monkeypatch):
    Ticks(monkeypatch)
    assert measured_step(model, build_network(model, 1, 0)) == model.recipe.passes


@BOTH
def test_a_frame_is_measured_without_what_is_done_once_a_span(model, monkeypatch):
    Ticks(monkeypatch)
    assert measured_frame(model, build_network(model, 1, 0)) == 1


@BOTH
@pytest.mark.parametrize("measured", [measured_step, measured_frame])
def test_measuring_teaches_the_network_nothing(model, measured):
    network = build_network(model, 1, 0)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    assert measured(model, network) > 0
    # running statistics of the norms, too: a run must not depend on whether somebody measured
    changed = [key for key, tensor in network.state_dict().items() if not torch.equal(tensor, before[key])]
    assert changed == []
    assert all(parameter.grad is None for parameter in network.parameters())


def test_measuring_leaves_norms_frozen():
    network = build_network(TINY_LITE, 1, 0)
    assert isinstance(network, LiteTracker)
    network.freeze_norm()
    measured_step(TINY_LITE, network)
    network.train()
    assert not any(each.training for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d))
