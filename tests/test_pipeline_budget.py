"""What a run tells about its time, and a run within a given time. No test looks at a real clock."""

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import (
    NAMES,
    TINY_LITE,
    TINY_PAPER,
    bytes_of,
    finished_run,
    refuse,
    stop_after,
    train,
    write_keyframes,
)

from dextr_vos.errors import Interrupted
from dextr_vos.propagation import finetune as finetuning
from dextr_vos.propagation import session as propagating
from dextr_vos.propagation.finetune import Estimate

pytestmark = pytest.mark.usefixtures("one_thread", "narrow_lite", "narrow_osvos")


class Machine:
    """A made-up machine: so many seconds a step and a frame, and a clock that goes on with the steps."""

    def __init__(self, monkeypatch, step_s=1.0, frame_s=0.01):
        self.now, self.step_s = 0.0, step_s
        monkeypatch.setattr(finetuning, "time", self)
        monkeypatch.setattr(propagating, "seconds_a_step", lambda *_: step_s)
        monkeypatch.setattr(propagating, "seconds_a_frame", lambda *_: frame_s)

    def monotonic(self):
        return self.now

    def step(self):
        """Goes to a run as `stop_asked`."""
        self.now += self.step_s
        return False


def test_a_budget_ends_the_training_early_and_says_so(tiny_clip, keyframes, out, monkeypatch):
    machine = Machine(monkeypatch)
    record = train(tiny_clip, keyframes, out, budget_s=6.05, stop_asked=machine.step)
    assert record.training.stop == "time limit"
    assert record.training.steps == 6
    assert sorted(bytes_of(out / "masks")) == NAMES
    assert (out / "masks" / NAMES[3]).read_bytes() == (keyframes / NAMES[3]).read_bytes()


def test_a_large_budget_changes_nothing_but_the_record(tiny_clip, keyframes, out, tmp_path, monkeypatch):
    machine = Machine(monkeypatch)
    record = train(tiny_clip, keyframes, out, budget_s=1000, stop_asked=machine.step)
    assert (record.training.stop, record.training.steps) == ("step limit", 8)
    finished_run(tiny_clip, keyframes, tmp_path / "without")
    assert bytes_of(out / "masks") == bytes_of(tmp_path / "without" / "masks")


@pytest.mark.parametrize("model", [TINY_LITE, TINY_PAPER], ids=lambda model: model.name)
def test_a_budget_too_small_for_training_still_gives_masks(tiny_clip, keyframes, out, monkeypatch, model):
    Machine(monkeypatch, frame_s=100.0)
    record = train(tiny_clip, keyframes, out, model, budget_s=5, on_step=refuse)
    assert record.training.steps == 0
    masks = bytes_of(out / "masks")
    assert sorted(masks) == NAMES
    assert all(masks[name] == content for name, content in bytes_of(keyframes).items())


def test_no_time_for_training_is_a_time_limit_too(tiny_clip, keyframes, out, monkeypatch):
    Machine(monkeypatch, frame_s=100.0)
    assert train(tiny_clip, keyframes, out, budget_s=5).training.stop == "time limit"


def test_a_budget_run_continues_after_a_stop(tiny_clip, keyframes, out, monkeypatch):
    machine, stop = Machine(monkeypatch), stop_after(3)
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, budget_s=6.05, stop_asked=lambda: machine.step() or stop())
    machine.now += 1000  # the pause does not count
    record = train(tiny_clip, keyframes, out, budget_s=6.05, stop_asked=machine.step)
    assert (record.training.stop, record.training.steps) == ("time limit", 6)
    assert train(tiny_clip, keyframes, out, budget_s=6.05, on_step=refuse, on_frame=refuse) == record


def test_another_budget_trains_again(tiny_clip, keyframes, out, monkeypatch):
    machine = Machine(monkeypatch)
    train(tiny_clip, keyframes, out, budget_s=6.05, stop_asked=machine.step)
    record = train(tiny_clip, keyframes, out, stop_asked=machine.step)
    assert (record.training.steps, record.continued_from) == (8, None)


def only(estimates):
    (estimate,) = estimates
    assert isinstance(estimate, Estimate)
    return estimate


def test_what_is_to_be_done_is_reported_before_the_training(tiny_clip, keyframes, out, monkeypatch):
    Machine(monkeypatch, step_s=2.0, frame_s=0.5)
    estimates = []
    train(
        tiny_clip,
        keyframes,
        out,
        on_estimate=estimates.append,
        on_step=lambda *_: only(estimates),
    )
    estimate = only(estimates)
    assert (estimate.steps, estimate.step_s, estimate.frame_s) == (8, 2.0, 0.5)
    assert estimate.frames == 2 * 2 + 2  # two passes between the keyframes, one behind the last
    train(tiny_clip, keyframes, out, on_estimate=refuse)


def test_a_correction_is_reported_to_take_fewer_steps(tiny_clip, keyframes, out, monkeypatch):
    Machine(monkeypatch)
    train(tiny_clip, keyframes, out)
    write_keyframes(keyframes, 5)
    estimates = []
    train(tiny_clip, keyframes, out, on_estimate=estimates.append)
    assert only(estimates).steps == TINY_LITE.recipe.correction_steps


@pytest.mark.parametrize("budget_s", [5.0, 20.0])
def test_what_is_reported_fits_into_the_budget(tiny_clip, keyframes, out, monkeypatch, budget_s):
    """Whoever asked for a minute must not read that it will take five."""
    machine = Machine(monkeypatch, step_s=10.0, frame_s=0.1)
    estimates = []
    train(
        tiny_clip,
        keyframes,
        out,
        budget_s=budget_s,
        on_estimate=estimates.append,
        stop_asked=machine.step,
    )
    estimate = only(estimates)
    assert estimate.training_s + estimate.segmenting_s <= budget_s * 1.01


def test_being_notified_changes_nothing(tiny_clip, keyframes, tmp_path):
    """The command always tells; a run by way of Python must give the same masks."""
    for name, options in (("notified", {"on_estimate": lambda _: None}), ("silent", {})):
        train(tiny_clip, keyframes, tmp_path / name, **options)
    one, other = (load_file(tmp_path / name / "network.safetensors") for name in ("notified", "silent"))
    assert [key for key in one if not torch.equal(one[key], other[key])] == []
    assert bytes_of(tmp_path / "notified" / "masks") == bytes_of(tmp_path / "silent" / "masks")


@pytest.mark.parametrize("model", [TINY_LITE, TINY_PAPER], ids=lambda model: model.name)
@pytest.mark.parametrize("indices", [(0, 3), (3,), (5,), (1, 4), (0, 1, 2, 3, 4, 5)])
def test_progress_goes_up_by_one_to_what_was_announced(tiny_clip, tmp_path, out, model, indices):
    frames = []
    folder = write_keyframes(tmp_path / "k", *indices)
    train(tiny_clip, folder, out, model, max_steps=1, on_frame=lambda *frame: frames.append(frame))
    (total,) = {total for _, total in frames}
    assert [done for done, _ in frames] == list(range(1, total + 1))


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4, 5])
def test_progress_after_a_stop_ends_at_what_was_announced(tiny_clip, keyframes, out, stop_at):
    with pytest.raises(Interrupted):
        train(tiny_clip, keyframes, out, max_steps=1, stop_asked=stop_after(1 + stop_at))
    frames = []
    train(tiny_clip, keyframes, out, max_steps=1, on_frame=lambda *frame: frames.append(frame))
    total = frames[-1][1] if frames else 0  # the last stop came after the last frame
    assert bool(frames) == (stop_at < 5)
    assert frames == [(done, total) for done in range(1, total + 1)]
