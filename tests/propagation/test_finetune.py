import logging
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_frame, tiny_mask
from tiny_run import CPU, TINY_LITE, TINY_OSVOS, TINY_POOL, stop_after

from dextr_vos.datasets.augment import Augmentation
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.propagation import finetune as finetuning
from dextr_vos.propagation.batch_source import batch_source
from dextr_vos.propagation.finetune import Checkpoint, TrainingState, finetune
from dextr_vos.propagation.models import build_network
from dextr_vos.propagation.settings import Recipe
from dextr_vos.propagation.training_data import Sample

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")

SAMPLES = [Sample(tiny_frame(index), tiny_mask(index)) for index in (0, 3)]
RECIPE = TINY_LITE.recipe


def teach(recipe: Recipe = RECIPE, samples=SAMPLES, numbers=(1,), model=TINY_LITE, seed=0, **options):
    network = build_network(model, len(numbers), seed)
    lessons = batch_source(model, recipe, samples, numbers, seed)
    state = finetune(network, model, recipe, lessons, device=CPU, **options)
    return network.state_dict(), state


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_loss_falls_and_every_step_is_told():
    told = []
    recipe = replace(RECIPE, batch=2, max_steps=60, cooldown=5)
    _, state = teach(recipe, on_step=lambda *step: told.append(step))
    assert [step for step, _, _ in told] == list(range(1, 61))
    assert {total for _, total, _ in told} == {60}
    assert [loss for _, _, loss in told] == state.losses
    assert np.mean(state.losses[-5:]) < 0.8 * np.mean(state.losses[:5])
    assert state.seconds > 0


def test_same_seed_same_network_and_another_seed_another():
    first, state = teach()
    random.random(), np.random.random(3), torch.rand(3)  # noqa: NPY002  nobody else's chance matters
    again, state_again = teach()
    assert same(first, again)
    assert state.losses == state_again.losses
    other, _ = teach(seed=1)
    assert not same(first, other)


@pytest.mark.parametrize(
    ("tolerance", "max_steps", "cooldown", "steps", "stop"),
    [
        (2.0, 50, 4, 10, "settled"),  # after two windows of 3, then the cool-down
        (2.0, 50, 0, 6, "settled"),
        (-9.0, 12, 4, 12, "step limit"),
        (-9.0, 12, 0, 12, "step limit"),
        (-9.0, 3, 40, 3, "step limit"),  # the limit holds even where the cool-down is longer
        (-9.0, 1, 40, 1, "step limit"),
        (2.0, 10, 4, 10, "settled"),  # both at once
        (2.0, 9, 4, 9, "step limit"),
    ],
)
def test_it_ends_when_the_loss_has_settled_or_at_the_limit_and_says_which(
    tolerance, max_steps, cooldown, steps, stop
):
    # tolerance 2: "still falling" asks for a loss below minus itself, so it has settled at once
    recipe = replace(RECIPE, window=3, tolerance=tolerance, max_steps=max_steps, cooldown=cooldown)
    totals = []
    _, state = teach(recipe, on_step=lambda _, total, __: totals.append(total))
    assert (state.step, state.stop) == (steps, stop)
    assert len(state.losses) == steps
    assert totals[-1] == steps


def test_a_time_limit_ends_a_cool_down_too(monkeypatch):
    """One as long as the training begins with its first step."""
    clock = iter(range(10_000))
    monkeypatch.setattr(finetuning.time, "monotonic", lambda: float(next(clock)))
    recipe = replace(RECIPE, max_steps=40, cooldown=40, seconds=12.0)
    _, state = teach(recipe)
    assert state.stop == "time limit"
    assert 1 < state.step < 15


def test_rate_falls_over_the_last_steps(monkeypatch):
    rates = []
    model = replace(TINY_LITE, optimizer=lambda network: Watched(network.parameters(), rates))
    teach(replace(RECIPE, max_steps=6, cooldown=3), model=model)
    assert rates == pytest.approx([1e-3] * 3 + [0.75e-3, 0.5e-3, 0.25e-3])


class Watched(torch.optim.SGD):
    """An optimiser that notes the rate of each of its steps."""

    def __init__(self, parameters, rates):
        super().__init__(parameters, lr=1e-3)
        self.rates = rates

    def step(self, closure=None):
        self.rates.append(self.param_groups[0]["lr"])
        return super().step(closure)


def still(**changes) -> Recipe:
    """OSVOS' recipe without chance: the frames as they are."""
    augmentation = Augmentation(flip=False, rotation_deg=0, scale=(1, 1), shift=0, brightness=0)
    return replace(TINY_OSVOS.recipe, augmentation=augmentation, passes=1, max_steps=1, **changes)


@pytest.mark.parametrize("passes", [2, 5])
def test_passes_are_averaged_into_one_step(passes):
    one, state = teach(still(), SAMPLES[:1], model=TINY_OSVOS)
    several, state_several = teach(replace(still(), passes=passes), SAMPLES[:1], model=TINY_OSVOS)
    assert state_several.losses == pytest.approx(state.losses)
    start = build_network(TINY_OSVOS, 1, 0).state_dict()
    moved = [key for key in one if not torch.equal(one[key], start[key])]
    assert moved
    for key in moved:
        step = (one[key] - start[key]).abs().max()
        assert (several[key] - one[key]).abs().max() < 0.02 * step + 1e-9, key


@pytest.mark.parametrize("model", [TINY_LITE, TINY_OSVOS], ids=lambda model: model.name)
def test_every_pass_is_another_lesson(model):
    """Two steps of one pass see what one step of two passes sees."""
    recipe = replace(model.recipe, passes=1, max_steps=2, cooldown=0)
    frozen = replace(model, optimizer=lambda network: torch.optim.SGD(network.parameters(), lr=0.0))
    _, apart = teach(recipe, model=frozen)
    _, together = teach(replace(recipe, passes=2, max_steps=1), model=frozen)
    assert apart.losses[0] != apart.losses[1]
    assert together.losses == pytest.approx([np.mean(apart.losses)])


def test_void_teaches_nothing():
    def with_rubbish(value):
        sample = SAMPLES[0]
        labels = sample.labels.copy()
        labels[40:] = value
        return [Sample(sample.image_rgb, labels)]

    void, _ = teach(still(), with_rubbish(255), model=TINY_OSVOS)
    background, _ = teach(still(), with_rubbish(0), model=TINY_OSVOS)
    assert not same(void, background)
    # a frame of nothing but void leaves the network where it began, but for the decay of its weights
    nothing = [Sample(SAMPLES[0].image_rgb, np.full((48, 64), 255, np.uint8))]
    after, state = teach(replace(still(), max_steps=2), nothing, model=TINY_OSVOS)
    start = build_network(TINY_OSVOS, 1, 0).state_dict()
    assert state.losses == [0.0, 0.0]
    assert all(torch.allclose(after[key], start[key], rtol=1e-5, atol=1e-9) for key in start)


def test_settles_when_there_is_nothing_to_learn():
    full = [Sample(SAMPLES[0].image_rgb, np.ones((48, 64), np.uint8))]
    recipe = replace(still(window=3), tolerance=0.05, max_steps=50)
    _, state = teach(recipe, full, model=TINY_OSVOS)
    assert (state.stop, state.step) == ("settled", 6)


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
        (20, 4, 20, "time limit"),  # the cool-down ends with the time
        (20, 0, 20, "time limit"),
        (7, 4, 8, "time limit"),  # a short time is half cool-down
        (97, 4, 97, "time limit"),
        (200, 4, 100, "step limit"),
        (None, 4, 100, "step limit"),
    ],
)
def test_it_ends_in_time_and_cools_down_before(monkeypatch, seconds, cooldown, steps, stop):
    clock = Clock(monkeypatch)
    recipe = replace(RECIPE, max_steps=100, cooldown=cooldown, seconds=seconds)
    _, state = teach(recipe, stop_asked=clock.tick)
    assert (state.step, state.stop) == (steps, stop)
    assert state.seconds == steps
    assert state.step - state.cooling_from == min(cooldown, steps // 2)


def test_a_loss_that_has_settled_ends_it_before_the_time_is_up(monkeypatch):
    clock = Clock(monkeypatch)
    recipe = replace(RECIPE, tolerance=2.0, max_steps=100, cooldown=2, seconds=50.0)
    _, state = teach(recipe, stop_asked=clock.tick)
    assert (state.step, state.stop) == (8, "settled")


def test_time_between_a_stop_and_going_on_does_not_count(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)
    recipe = replace(RECIPE, max_steps=100, cooldown=4, seconds=20.0)
    checkpoint = Checkpoint(tmp_path / "training.pt", "mark")
    stop = stop_after(9)
    with pytest.raises(Interrupted):
        teach(recipe, checkpoint=checkpoint, stop_asked=lambda: clock.tick() or stop())
    clock.now += 1e6
    _, state = teach(recipe, checkpoint=checkpoint, stop_asked=clock.tick)
    assert (state.step, state.stop) == (20, "time limit")
    assert state.seconds == pytest.approx(20, abs=1)


def test_no_steps_at_all_leave_the_network_as_it_is():
    untouched, state = teach(RECIPE.limited_to(0))
    assert (state.step, state.losses) == (0, [])
    assert state.stop
    assert same(untouched, build_network(TINY_LITE, 1, 0).state_dict())


@pytest.mark.parametrize("stop_at", [0, 1, 5, 7])
def test_interrupted_training_ends_at_the_same_network(tmp_path, stop_at):
    recipe = replace(RECIPE, tolerance=2.0, max_steps=50, cooldown=2)  # settles at 6, cools down to 8
    whole, whole_state = teach(recipe)
    checkpoint = Checkpoint(tmp_path / "training.pt", "mark")
    with pytest.raises(Interrupted, match=f"after {stop_at} steps, everything is kept; the same command"):
        teach(recipe, checkpoint=checkpoint, stop_asked=stop_after(stop_at))
    steps = []
    resumed, state = teach(recipe, checkpoint=checkpoint, on_step=lambda step, *_: steps.append(step))
    assert steps == list(range(stop_at + 1, 9))
    assert same(whole, resumed)
    assert (state.losses, state.stop) == (whole_state.losses, "settled")
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]


def test_interrupted_osvos_ends_at_the_same_network(tmp_path):
    whole, _ = teach(TINY_OSVOS.recipe, model=TINY_OSVOS)
    checkpoint = Checkpoint(tmp_path / "training.pt", "mark")
    with pytest.raises(Interrupted):
        teach(TINY_OSVOS.recipe, model=TINY_OSVOS, checkpoint=checkpoint, stop_asked=stop_after(1))
    resumed, _ = teach(TINY_OSVOS.recipe, model=TINY_OSVOS, checkpoint=checkpoint)
    assert same(whole, resumed)


def test_checkpoints_come_by_the_clock(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "training.pt", "mark")
    teach(checkpoint=checkpoint)
    assert not checkpoint.path.exists()  # too quick to be worth one
    monkeypatch.setattr(finetuning, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    steps = []

    def die(step, *_):
        steps.append(step)
        if step == 5:
            raise MemoryError

    with pytest.raises(MemoryError):
        teach(checkpoint=checkpoint, on_step=die)
    resumed, _ = teach(checkpoint=checkpoint, on_step=lambda step, *_: steps.append(step))
    assert steps == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    assert same(resumed, teach()[0])


def test_other_keyframes_or_settings_train_anew(tmp_path, caplog):
    with pytest.raises(Interrupted):
        teach(checkpoint=Checkpoint(tmp_path / "training.pt", "old"), stop_asked=stop_after(3))
    steps = []
    with caplog.at_level(logging.INFO):
        anew, _ = teach(
            checkpoint=Checkpoint(tmp_path / "training.pt", "new"),
            on_step=lambda step, *_: steps.append(step),
        )
    assert steps[0] == 1
    assert same(anew, teach()[0])
    assert "have changed since" in caplog.text


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "damage",
    [cut, lambda _: b"", lambda _: b"\x80", lambda _: b"not a checkpoint", lambda content: content[:-9]],
)
def test_a_damaged_checkpoint_trains_anew(tmp_path, caplog, damage):
    checkpoint = Checkpoint(tmp_path / "training.pt", "mark")
    with pytest.raises(Interrupted):
        teach(checkpoint=checkpoint, stop_asked=stop_after(3))
    checkpoint.path.write_bytes(damage(checkpoint.path.read_bytes()))
    anew, state = teach(checkpoint=checkpoint)
    assert "training.pt is damaged" in caplog.text
    assert "training starts anew" in caplog.text
    assert state.step == 8
    assert same(anew, teach()[0])


@pytest.mark.parametrize("content", [[1, 2], {}, {"network": {}}, 7, torch.zeros(2)])
def test_a_checkpoint_of_something_else_trains_anew(tmp_path, caplog, content):
    checkpoint = Checkpoint(tmp_path / "training.pt", "mark")
    torch.save(content, checkpoint.path)
    assert teach(checkpoint=checkpoint)[1].step == 8
    assert "training starts anew" in caplog.text


def test_a_checkpoint_runs_no_code(tmp_path, caplog):
    checkpoint = Checkpoint(tmp_path / "training.pt", "mark")
    torch.save({"fingerprint": "mark", "state": TrainingState()}, checkpoint.path)
    assert teach(checkpoint=checkpoint)[1].step == 8
    assert "training starts anew" in caplog.text


def test_a_loss_that_is_no_number_is_told_and_never_kept(tmp_path):
    checkpoint = Checkpoint(tmp_path / "training.pt", "mark")
    model = replace(TINY_LITE, prepare=lambda frames: TINY_LITE.prepare(frames) * float("nan"))
    with pytest.raises(InputError, match=r"the loss of step 1 is nan; give another --seed"):
        teach(model=model, checkpoint=checkpoint)
    assert not checkpoint.path.exists()


def test_with_a_pool_the_encoder_stays_as_it_is_and_the_rest_learns():
    before = build_network(TINY_POOL, 1, 0).state_dict()
    recipe = replace(TINY_POOL.recipe, batch=2, max_steps=40)
    after, state = teach(recipe, model=TINY_POOL)
    # the running statistics of norms belong to the encoder as it sees, which is once
    learned = {key for key in before if "running_" not in key and "num_batches" not in key}
    changed = {key for key in learned if not torch.equal(after[key], before[key])}
    assert changed
    assert not any(key.startswith("encoder.") for key in changed)
    assert any(key.startswith("decoder.") for key in changed)
    assert any(key.startswith("key.") for key in changed)
    assert np.mean(state.losses[-5:]) < 0.9 * np.mean(state.losses[:5])


def test_with_a_pool_a_stopped_training_ends_the_same(tmp_path):
    recipe = TINY_POOL.recipe
    whole, state = teach(recipe, model=TINY_POOL)
    kept = Checkpoint(tmp_path / "training.pt", "mark")
    with pytest.raises(Interrupted):
        teach(recipe, model=TINY_POOL, checkpoint=kept, stop_asked=stop_after(3))
    again, state_again = teach(recipe, model=TINY_POOL, checkpoint=kept)
    assert state_again.losses == state.losses
    assert same(whole, again)
