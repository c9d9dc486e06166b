from dataclasses import replace

import pytest
import torch
from conftest import tiny_mask
from tiny_run import CPU, TINY_LITE, TINY_PAPER

from dextr_vos.clip import open_clip
from dextr_vos.propagation import finetune
from dextr_vos.propagation.finetune import (
    Estimate,
    seconds_a_frame,
    seconds_a_step,
    seconds_of,
    within_budget,
)
from dextr_vos.propagation.keyframes import AnnotatedClip, keyframes_from_labels, spans_between, wanted_parts
from dextr_vos.propagation.models import LITE, PAPER
from dextr_vos.propagation.training_data import read_samples

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

RECIPE = replace(LITE.recipe, longest_side=480)
BOTH = pytest.mark.parametrize("model", [TINY_LITE, TINY_PAPER], ids=lambda model: model.name)
ESTIMATE = Estimate(steps=100, step_s=0.5, frames=100, frame_s=0.1)  # 50 s, and 11 s with slack


@pytest.fixture
def annotated(tiny_clip):
    clip = open_clip(tiny_clip)
    return AnnotatedClip(clip, keyframes_from_labels({index: tiny_mask(index) for index in (1, 4)}, clip))


def test_an_estimate_is_steps_and_frames_times_their_seconds_and_some_slack():
    assert ESTIMATE.training_s == 50
    assert ESTIMATE.segmenting_s == pytest.approx(1.1 * 10)


def frame_s_at(side):
    """Less than it falls with the pixels."""
    return {384: 0.08, 320: 0.06, 256: 0.03}[side]


@pytest.mark.parametrize(
    ("budget_s", "longest_side", "seconds"),
    [
        (1000.0, 480, 989.0),
        (30.0, 480, 19.0),
        (18.4, 480, 7.4),  # segmenting may take three fifths
        (18.0, 384, 18 - 8.8),
        (11.0, 320, 11 - 6.6),
        (8.0, 256, 8 - 3.3),
        (6.4, 256, 6.4 - 3.3),
    ],
)
def test_a_budget_goes_to_segmenting_first_and_the_rest_to_training(budget_s, longest_side, seconds):
    recipe, estimate, training_s = within_budget(RECIPE, ESTIMATE, budget_s, frame_s_at)
    assert training_s == pytest.approx(seconds)
    assert recipe == replace(RECIPE, longest_side=longest_side)
    assert estimate.steps == min(100, int(seconds / 0.5))
    assert estimate.frame_s == (0.1 if longest_side == 480 else frame_s_at(longest_side))


def test_a_short_training_leaves_more_to_segmenting():
    short = replace(ESTIMATE, steps=4)  # 2 s
    assert within_budget(RECIPE, short, 14.0, frame_s_at)[0].longest_side == 480
    assert within_budget(RECIPE, ESTIMATE, 15.0, frame_s_at)[0].longest_side == 384


def test_steps_beyond_those_of_one_keyframe_make_no_room_for_themselves():
    few = replace(RECIPE, steps_a_keyframe=4)
    assert within_budget(few, ESTIMATE, 14.0, frame_s_at)[0].longest_side == 480
    _, estimate, training_s = within_budget(few, ESTIMATE, 15.1, frame_s_at)
    assert (estimate.steps, training_s) == (8, pytest.approx(4.1))  # as many as still fit


def test_a_side_that_takes_no_less_time_is_passed_over():
    asked = []

    def same_crops(side):
        asked.append(side)
        return {384: 0.1, 320: 0.11, 256: 0.05}[side]

    recipe, estimate, _ = within_budget(RECIPE, ESTIMATE, 9.0, same_crops)
    assert (recipe.longest_side, estimate.frame_s, asked) == (256, 0.05, [384, 320, 256])
    recipe, estimate, _ = within_budget(RECIPE, ESTIMATE, 9.0, lambda side: 0.1)
    assert (recipe.longest_side, estimate.frame_s) == (480, 0.1)  # nothing is won by poorer masks


@pytest.mark.parametrize("budget_s", [6.0, 3.0, 0.1])
def test_a_budget_too_small_for_training_leaves_it_out(budget_s):
    recipe, estimate, training_s = within_budget(RECIPE, ESTIMATE, budget_s, frame_s_at)
    assert (recipe.max_steps, recipe.longest_side) == (0, 256)
    assert (estimate.steps, estimate.training_s, training_s) == (0, 0, 0)


def test_a_smaller_budget_never_gives_larger_frames_or_longer_training():
    chosen = [within_budget(RECIPE, ESTIMATE, budget / 2, frame_s_at) for budget in range(2, 80)]
    sides = [recipe.longest_side for recipe, _, _ in chosen]
    assert sides == sorted(sides)
    assert set(sides) == {256, 320, 384, 480}
    for side in set(sides):
        times = [training_s for recipe, _, training_s in chosen if recipe.longest_side == side]
        assert times == sorted(times)


@pytest.mark.parametrize(("model", "side"), [(PAPER, None), (LITE, 320), (LITE, 200)])
def test_frames_are_never_enlarged_and_the_paper_model_keeps_their_size(model, side):
    recipe, _, _ = within_budget(replace(model.recipe, longest_side=side), ESTIMATE, 8.0, frame_s_at)
    assert recipe.longest_side == (256 if side == 320 else side)


@BOTH
def test_frames_to_segment_are_counted_once_a_pass(model, annotated, tmp_path):
    propagator = model.propagator(model.start(1, 0, None), model.recipe, annotated, CPU, tmp_path)

    def steps(wanted, direction="both"):
        parts = wanted_parts(spans_between([2, 6], 10, direction), wanted)
        return [propagator.steps(part) for part in parts]

    lite = model is TINY_LITE
    # 0 1 before, 3 4 5 between, 7 8 9 after
    assert steps(range(10)) == [2, 3 + 3 * lite, 3]
    assert steps(range(10), "forward") == [3, 3]
    assert steps(range(10), "backward") == [2, 3]
    # a pass begins at its keyframe: 3 4 forward, 5 4 backward; 7 8
    assert steps([4, 8]) == ([4, 2] if lite else [1, 1])


class Ticks:
    """A clock that is a second later every time it is read."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(finetune, "time", self)

    def perf_counter(self):
        self.now += 1
        return self.now


def measured_step(model, network, annotated, folder):
    samples = read_samples(annotated, model.sample_side(model.recipe))
    batches = model.batch_source(model.recipe, samples, [1], 0)
    batches.prepare(network, CPU)
    return seconds_a_step(network, model, model.recipe, batches, CPU)


def measured_frame(model, network, annotated, folder):
    propagator = model.propagator(network, model.recipe, annotated, CPU, folder)
    return seconds_a_frame(network, propagator, annotated)


@BOTH
def test_a_step_has_as_many_passes_as_the_recipe_says(model, monkeypatch, annotated, tmp_path):
    Ticks(monkeypatch)
    seconds = measured_step(model, model.start(1, 0, None), annotated, tmp_path)
    assert seconds == model.recipe.accumulate_grad


@BOTH
def test_a_frame_is_measured_by_itself(model, monkeypatch, annotated, tmp_path):
    Ticks(monkeypatch)
    assert measured_frame(model, model.start(1, 0, None), annotated, tmp_path) == 1


@BOTH
@pytest.mark.parametrize("measured", [measured_step, measured_frame])
@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_the_network_as_it_is(model, measured, training, annotated, tmp_path):
    network = model.start(1, 0, None).train(training)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    assert measured(model, network, annotated, tmp_path) > 0
    # running statistics of the norms, too: a run must not depend on whether somebody measured
    changed = [key for key, tensor in network.state_dict().items() if not torch.equal(tensor, before[key])]
    assert changed == []
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.training == training


def test_a_measured_frame_is_memorized_again_by_the_trained_network(annotated, tmp_path):
    """What the propagator has in memory is of the network before training."""
    network = TINY_LITE.start(1, 0, None)
    propagator = TINY_LITE.propagator(network, TINY_LITE.recipe, annotated, CPU, tmp_path)
    seconds_a_frame(network, propagator, annotated)
    network.load_state_dict(TINY_LITE.start(1, 1, None).state_dict())
    network.eval()
    fresh = TINY_LITE.propagator(network, TINY_LITE.recipe, annotated, CPU, tmp_path)
    for one, other in zip(vars(propagator.memory()).values(), vars(fresh.memory()).values(), strict=True):
        assert torch.equal(one, other)


def test_the_least_of_several_times_counts(monkeypatch):
    """The first run of a network also allocates memory and chooses algorithms."""

    class Clock:
        def __init__(self):
            self.now = 0.0

        def perf_counter(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(finetune, "time", clock)
    durations = iter([7.0, 2.0, 3.0])

    def work():
        clock.now += next(durations)

    assert seconds_of(work) == 2.0
    assert next(durations, None) is None
