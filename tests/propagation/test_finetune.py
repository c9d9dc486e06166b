import functools
import logging
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE, TINY_PAPER, TINY_POOL, stop_after

from dextr_vos.datasets.augment import Augmentation
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.propagation import finetune as finetuning
from dextr_vos.propagation.finetune import (
    TrainingCheckpoint,
    TrainingState,
    finetune,
    interpolate_weights,
)
from dextr_vos.propagation.settings import Callbacks, Recipe
from dextr_vos.propagation.training_data import Sample

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

SAMPLES = [Sample(tiny_frame(index), tiny_mask(index)) for index in (0, 3)]
RECIPE = TINY_LITE.recipe


def train(recipe: Recipe = RECIPE, samples=SAMPLES, model=TINY_LITE, seed=0, batches=None, **options):
    """Fine-tune a new network; callbacks are among the options."""
    callbacks = Callbacks(**{key: options.pop(key) for key in ("on_step", "stop_asked") if key in options})
    network = model.start(1, seed, None)
    batches = batches or model.batch_source(recipe, samples, [1], seed)
    state = finetune(network, model, recipe, batches, CPU, callbacks=callbacks, **options)
    return network.state_dict(), state


@functools.cache
def undisturbed(recipe: Recipe = RECIPE):
    """What `train` gives that nothing stops; the same every time."""
    return train(recipe)


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_loss_falls_and_every_step_is_reported():
    reported = []
    recipe = replace(RECIPE, max_steps=40, cooldown=5)
    _, state = train(recipe, on_step=lambda *step: reported.append(step))
    assert [step for step, _, _ in reported] == list(range(1, 41))
    assert {total for _, total, _ in reported} == {40}
    assert [loss for _, _, loss in reported] == state.losses
    assert np.mean(state.losses[-5:]) < 0.8 * np.mean(state.losses[:5])
    assert state.seconds > 0


def test_same_seed_same_network_and_another_seed_another():
    first, state = undisturbed()
    random.random(), np.random.random(3), torch.rand(3)  # noqa: NPY002  the global generators do not matter
    again, state_again = train()
    assert same(first, again)
    assert state.losses == state_again.losses
    other, _ = train(seed=1)
    assert not same(first, other)


@pytest.mark.parametrize(
    ("tolerance", "max_steps", "cooldown", "steps", "stop"),
    [
        (2.0, 50, 4, 10, "converged"),  # after two windows of 3, then the cool-down
        (2.0, 50, 0, 6, "converged"),
        (-9.0, 12, 4, 12, "step limit"),
        (-9.0, 12, 0, 12, "step limit"),
        (-9.0, 3, 40, 3, "step limit"),  # the limit holds even where the cool-down is longer
        (-9.0, 1, 40, 1, "step limit"),
        (2.0, 10, 4, 10, "converged"),  # both at once
        (2.0, 9, 4, 9, "step limit"),
    ],
)
def test_it_ends_when_the_loss_has_converged_or_at_the_limit_and_says_which(
    tolerance, max_steps, cooldown, steps, stop
):
    # tolerance 2: "still falling" asks for a loss below minus itself, so it has converged at once
    recipe = replace(RECIPE, window=3, tolerance=tolerance, max_steps=max_steps, cooldown=cooldown)
    totals = []
    _, state = train(recipe, on_step=lambda _, total, __: totals.append(total))
    assert (state.step, state.stop) == (steps, stop)
    assert len(state.losses) == steps
    assert totals[-1] == steps


def test_a_time_limit_ends_a_cool_down_too(monkeypatch):
    """One as long as the training begins with its first step."""
    clock = iter(range(10_000))
    monkeypatch.setattr(finetuning.time, "monotonic", lambda: float(next(clock)))
    recipe = replace(RECIPE, max_steps=40, cooldown=40)
    _, state = train(recipe, time_limit_s=12.0)
    assert state.stop == "time limit"
    assert 1 < state.step < 15


def test_rate_falls_over_the_last_steps(monkeypatch):
    rates = []
    monkeypatch.setattr(type(TINY_LITE), "optimizer", lambda _, network: Watched(network.parameters(), rates))
    train(replace(RECIPE, max_steps=6, cooldown=3))
    assert rates == pytest.approx([1e-3] * 3 + [0.75e-3, 0.5e-3, 0.25e-3])


class Watched(torch.optim.SGD):
    """An optimizer that records the rate of each of its steps."""

    def __init__(self, parameters, rates):
        super().__init__(parameters, lr=1e-3)
        self.rates = rates

    def step(self, closure=None):
        self.rates.append(self.param_groups[0]["lr"])
        return super().step(closure)


def unchanged(**changes) -> Recipe:
    """The paper's recipe without augmentation."""
    augmentation = Augmentation(flip=False, rotation_deg=0, scale=(1, 1), shift=0, brightness=0)
    return replace(TINY_PAPER.recipe, augmentation=augmentation, accumulate_grad=1, max_steps=1, **changes)


@pytest.mark.parametrize("accumulate_grad", [2, 5])
def test_gradients_of_several_passes_are_averaged_into_one_step(monkeypatch, accumulate_grad):
    # at the paper's rate of 1e-8 a step is as small as the rounding of the weights
    sgd = torch.optim.SGD
    monkeypatch.setattr(type(TINY_PAPER), "optimizer", lambda _, network: sgd(network.parameters(), lr=1e-3))
    one, state = train(unchanged(), SAMPLES[:1], model=TINY_PAPER)
    several, state_several = train(
        replace(unchanged(), accumulate_grad=accumulate_grad), SAMPLES[:1], model=TINY_PAPER
    )
    assert state_several.losses == pytest.approx(state.losses)
    start = TINY_PAPER.start(1, 0, None).state_dict()
    step, difference = (
        torch.cat([(end[key] - begin[key]).flatten() for key in start]).norm()
        for end, begin in ((one, start), (several, one))
    )
    assert step > 1e-3
    assert difference < 0.01 * step


@pytest.mark.parametrize("model", [TINY_LITE, TINY_PAPER], ids=lambda model: model.name)
def test_every_pass_has_another_batch(model, monkeypatch):
    """Two steps of one pass learn from what one step of two passes learns from."""
    recipe = replace(model.recipe, accumulate_grad=1, max_steps=2, cooldown=0)
    monkeypatch.setattr(
        type(model), "optimizer", lambda _, network: torch.optim.SGD(network.parameters(), 0.0)
    )
    _, apart = train(recipe, model=model)
    _, together = train(replace(recipe, accumulate_grad=2, max_steps=1), model=model)
    assert apart.losses[0] != apart.losses[1]
    assert together.losses == pytest.approx([np.mean(apart.losses)])


def test_nothing_is_learned_from_void():
    def with_rest(value):
        sample = SAMPLES[0]
        labels = sample.labels.copy()
        labels[40:] = value
        return [Sample(sample.image_rgb, labels)]

    void, _ = train(unchanged(), with_rest(255), model=TINY_PAPER)
    background, _ = train(unchanged(), with_rest(0), model=TINY_PAPER)
    assert not same(void, background)
    # a frame of nothing but void leaves the network where it began, but for the decay of its weights
    nothing = [Sample(SAMPLES[0].image_rgb, np.full((48, 64), 255, np.uint8))]
    after, state = train(replace(unchanged(), max_steps=2), nothing, model=TINY_PAPER)
    start = TINY_PAPER.start(1, 0, None).state_dict()
    assert state.losses == [0.0, 0.0]
    assert all(torch.allclose(after[key], start[key], rtol=1e-5, atol=1e-9) for key in start)


def test_it_converges_when_there_is_nothing_to_learn():
    full = [Sample(SAMPLES[0].image_rgb, np.ones((48, 64), np.uint8))]
    recipe = replace(unchanged(window=3), tolerance=0.05, max_steps=50)
    _, state = train(recipe, full, model=TINY_PAPER)
    assert (state.stop, state.step) == ("converged", 6)


class Clock:
    """Stands in for `time`: a second goes by with every question whether to stop."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(finetuning, "time", self)

    def monotonic(self):
        return self.now

    def tick(self):
        self.now += 1
        return False


@pytest.mark.parametrize(
    ("seconds", "cooldown", "steps", "stop"),
    [
        (10, 4, 10, "time limit"),  # the cool-down ends with the time
        (10, 0, 10, "time limit"),
        (7, 4, 8, "time limit"),  # a short time is half cool-down
        (12, 4, 12, "time limit"),
        (30, 4, 14, "step limit"),
        (None, 4, 14, "step limit"),
    ],
)
def test_it_ends_in_time_and_cools_down_before(monkeypatch, seconds, cooldown, steps, stop):
    clock = Clock(monkeypatch)
    recipe = replace(RECIPE, max_steps=14, cooldown=cooldown)
    _, state = train(recipe, stop_asked=clock.tick, time_limit_s=seconds)
    assert (state.step, state.stop) == (steps, stop)
    assert state.seconds == steps
    assert state.step - state.cooling_from == min(cooldown, steps // 2)


def test_a_converged_loss_ends_it_before_the_time_limit(monkeypatch):
    clock = Clock(monkeypatch)
    recipe = replace(RECIPE, tolerance=2.0, max_steps=100, cooldown=2)
    _, state = train(recipe, stop_asked=clock.tick, time_limit_s=50.0)
    assert (state.step, state.stop) == (8, "converged")


def test_time_between_a_stop_and_resuming_does_not_count(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)
    recipe = replace(RECIPE, max_steps=100, cooldown=4)
    checkpoint = TrainingCheckpoint(tmp_path / "training.pt", "mark")
    stop = stop_after(9)
    with pytest.raises(Interrupted):
        train(recipe, checkpoint=checkpoint, stop_asked=lambda: clock.tick() or stop(), time_limit_s=20.0)
    clock.now += 1e6
    _, state = train(recipe, checkpoint=checkpoint, stop_asked=clock.tick, time_limit_s=20.0)
    assert (state.step, state.stop) == (20, "time limit")
    assert state.seconds == pytest.approx(20, abs=1)


def test_no_steps_at_all_leave_the_network_as_it_is():
    untouched, state = train(RECIPE.limited_to(0))
    assert (state.step, state.losses) == (0, [])
    assert state.stop
    assert same(untouched, TINY_LITE.start(1, 0, None).state_dict())


@pytest.mark.parametrize("stop_at", [0, 1, 5, 7])
def test_interrupted_training_ends_at_the_same_network(tmp_path, stop_at):
    recipe = replace(RECIPE, tolerance=2.0, max_steps=50, cooldown=2)  # converges at 6, cools down to 8
    whole, whole_state = undisturbed(recipe)
    checkpoint = TrainingCheckpoint(tmp_path / "training.pt", "mark")
    with pytest.raises(Interrupted, match=f"after {stop_at} steps; the same command"):
        train(recipe, checkpoint=checkpoint, stop_asked=stop_after(stop_at))
    steps = []
    resumed, state = train(recipe, checkpoint=checkpoint, on_step=lambda step, *_: steps.append(step))
    assert steps == list(range(stop_at + 1, 9))
    assert same(whole, resumed)
    assert (state.losses, state.stop) == (whole_state.losses, "converged")
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]


def test_interrupted_paper_training_ends_at_the_same_network(tmp_path):
    whole, _ = train(TINY_PAPER.recipe, model=TINY_PAPER)
    checkpoint = TrainingCheckpoint(tmp_path / "training.pt", "mark")
    with pytest.raises(Interrupted):
        train(TINY_PAPER.recipe, model=TINY_PAPER, checkpoint=checkpoint, stop_asked=stop_after(1))
    resumed, _ = train(TINY_PAPER.recipe, model=TINY_PAPER, checkpoint=checkpoint)
    assert same(whole, resumed)


def test_checkpoints_come_by_the_clock(tmp_path, monkeypatch):
    checkpoint = TrainingCheckpoint(tmp_path / "training.pt", "mark")
    train(checkpoint=checkpoint)
    assert not checkpoint.path.exists()  # too quick to be worth one
    monkeypatch.setattr(finetuning, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    steps = []

    def die(step, *_):
        steps.append(step)
        if step == 5:
            raise MemoryError

    with pytest.raises(MemoryError):
        train(checkpoint=checkpoint, on_step=die)
    resumed, _ = train(checkpoint=checkpoint, on_step=lambda step, *_: steps.append(step))
    assert steps == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    assert same(resumed, undisturbed()[0])


def test_other_keyframes_or_settings_start_again(tmp_path, caplog):
    with pytest.raises(Interrupted):
        train(checkpoint=TrainingCheckpoint(tmp_path / "training.pt", "old"), stop_asked=stop_after(3))
    steps = []
    with caplog.at_level(logging.INFO):
        again, _ = train(
            checkpoint=TrainingCheckpoint(tmp_path / "training.pt", "new"),
            on_step=lambda step, *_: steps.append(step),
        )
    assert steps[0] == 1
    assert same(again, undisturbed()[0])
    assert "have changed since" in caplog.text


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "damage",
    [cut, lambda _: b"", lambda _: b"\x80", lambda _: b"not a checkpoint", lambda content: content[:-9]],
)
def test_training_starts_again_from_a_damaged_checkpoint(tmp_path, caplog, damage):
    checkpoint = TrainingCheckpoint(tmp_path / "training.pt", "mark")
    with pytest.raises(Interrupted):
        train(checkpoint=checkpoint, stop_asked=stop_after(3))
    checkpoint.path.write_bytes(damage(checkpoint.path.read_bytes()))
    again, state = train(checkpoint=checkpoint)
    assert "training.pt is damaged" in caplog.text
    assert "training starts again" in caplog.text
    assert state.step == 8
    assert same(again, undisturbed()[0])


@pytest.mark.parametrize("content", [[1, 2], {}, {"network": {}}, 7, torch.zeros(2)])
def test_training_starts_again_from_a_checkpoint_of_something_else(tmp_path, caplog, content):
    checkpoint = TrainingCheckpoint(tmp_path / "training.pt", "mark")
    torch.save(content, checkpoint.path)
    assert train(checkpoint=checkpoint)[1].step == 8
    assert "training starts again" in caplog.text


def test_a_checkpoint_runs_no_code(tmp_path, caplog):
    checkpoint = TrainingCheckpoint(tmp_path / "training.pt", "mark")
    torch.save({"fingerprint": "mark", "state": TrainingState()}, checkpoint.path)
    assert train(checkpoint=checkpoint)[1].step == 8
    assert "training starts again" in caplog.text


def test_a_loss_that_is_no_number_is_described_and_never_saved(tmp_path, monkeypatch):
    checkpoint = TrainingCheckpoint(tmp_path / "training.pt", "mark")
    batches = TINY_LITE.batch_source(RECIPE, SAMPLES, [1], 0)
    batch = batches.batch

    def broken(index):
        frames, *others = batch(index).inputs
        return replace(batch(index), inputs=(frames * torch.nan, *others))

    monkeypatch.setattr(batches, "batch", broken)
    with pytest.raises(InputError, match=r"the loss of step 1 is nan; give another --seed"):
        train(batches=batches, checkpoint=checkpoint)
    assert not checkpoint.path.exists()


def test_with_a_pool_the_encoder_stays_and_the_rest_learns():
    before = TINY_POOL.start(1, 0, None).state_dict()
    recipe = replace(TINY_POOL.recipe, batch=2, max_steps=40)
    after, state = train(recipe, model=TINY_POOL)
    changed = {key for key in before if not torch.equal(after[key], before[key])}
    assert not any(key.startswith("encoder.") for key in changed)
    assert any(key.startswith("decoder.") for key in changed)
    assert any(key.startswith("key.") for key in changed)
    assert np.mean(state.losses[-5:]) < 0.9 * np.mean(state.losses[:5])


def test_with_a_pool_a_stopped_training_ends_the_same(tmp_path):
    recipe = TINY_POOL.recipe
    whole, state = train(recipe, model=TINY_POOL)
    kept = TrainingCheckpoint(tmp_path / "training.pt", "mark")
    with pytest.raises(Interrupted):
        train(recipe, model=TINY_POOL, checkpoint=kept, stop_asked=stop_after(3))
    again, state_again = train(recipe, model=TINY_POOL, checkpoint=kept)
    assert state_again.losses == state.losses
    assert same(whole, again)


def test_weights_are_interpolated_and_counters_are_not():
    network = TINY_LITE.start(1, 0, None)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    after = TINY_LITE.start(1, 1, None).state_dict()
    for alpha, expected in ((1.0, after), (0.0, before), (0.25, None)):
        network.load_state_dict(after)
        interpolate_weights(network, before, alpha)
        for key, tensor in network.state_dict().items():
            mean = before[key] + alpha * (after[key] - before[key])
            assert torch.allclose(tensor.float(), (mean if expected is None else expected[key]).float()), key
    network.load_state_dict({key: tensor + (not tensor.is_floating_point()) for key, tensor in after.items()})
    interpolate_weights(network, before, 0.0)
    counters = [tensor for tensor in network.state_dict().values() if not tensor.is_floating_point()]
    assert counters
    assert all(counter == 1 for counter in counters)
