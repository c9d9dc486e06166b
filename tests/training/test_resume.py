"""Killed and stopped trainings end as one that nobody disturbed: weights and log, to the bit."""

import os
import random
import signal
from pathlib import Path

import pytest
import torch
from tiny_training import SHORT, ended, hashes, hold_log, log_lines, start_process, train_tiny, wait_until

from dextr_vos.errors import Interrupted
from dextr_vos.training import checkpoint_folder as folder_module
from dextr_vos.training.checkpoint_folder import TrainingFolder

SETTINGS = SHORT | {
    "steps": 30,
    "accumulate_grad": 2,
    "warmup": 3,
    "average": 0.9,
    "clip_norm": 0.5,
    "log_every": 3,
    "validate_every": 7,
    "save_every": 4,
}
SLOWLY = {"pause": 0.01}


def stop_after(calls: int):
    answers = iter([False] * calls)
    return lambda: next(answers, True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The end of a training, by what was changed in its settings."""
    known = {}

    def end(**changes):
        key = tuple(changes.items())
        if key not in known:
            out = tmp_path_factory.mktemp("undisturbed") / "out"
            assert ended(start_process(train_tiny, out, SETTINGS | changes)) == [0]
            known[key] = hashes(out), log_lines(out)
        return known[key]

    return end


def train_and_hold(out: Path, settings: dict, lines: int) -> None:
    hold_log(out, lines)
    train_tiny(out, settings, SLOWLY)


def kill_when(out: Path, settings: dict, lines: int) -> None:
    """Start or go on with a training, and kill it when its log has some more lines, at most one too many."""
    wanted = len(log_lines(out)) + lines
    process = start_process(train_and_hold, out, settings, wanted + 1)
    wait_until(lambda: len(log_lines(out)) >= wanted, process)
    process.kill()
    assert ended(process) == [-signal.SIGKILL]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_killed_at_random_moments(precision, workers, tmp_path, undisturbed):
    settings = SETTINGS | {"precision": precision, "workers": workers}
    out = tmp_path / "out"
    rng = random.Random(f"{precision} {workers}")
    for _ in range(2):
        kill_when(out, settings, rng.randint(1, 4))
    saved = TrainingFolder(out, "", {}).read_checkpoint()
    assert saved is None or saved.step < settings["steps"]
    assert ended(start_process(train_tiny, out, settings)) == [0]
    assert (hashes(out), log_lines(out)) == undisturbed(precision=precision)


def test_killed_before_the_first_checkpoint(tmp_path, undisturbed):
    out = tmp_path / "out"
    process = start_process(train_and_hold, out, SETTINGS, 1)
    wait_until(lambda: log_lines(out), process)
    process.kill()
    assert ended(process) == [-signal.SIGKILL]
    assert not (out / "checkpoint.pt").exists()
    assert ended(start_process(train_tiny, out, SETTINGS)) == [0]
    assert (hashes(out), log_lines(out)) == undisturbed()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_die_in_a_checkpoint(out: Path) -> None:
    whole, count = torch.save, 0

    def save(values, path):
        nonlocal count
        count += 1
        if count == 3:
            path.write_bytes(b"PK half a checkpoint")
            die()
        whole(values, path)

    torch.save = save
    train_tiny(out, SETTINGS)


def train_and_die_before_the_weights(out: Path) -> None:
    save = TrainingFolder.save_weights

    def save_weights(self, name, state, step, scores):
        if name == "last" and step == SETTINGS["steps"]:
            die()
        save(self, name, state, step, scores)

    TrainingFolder.save_weights = save_weights
    train_tiny(out, SETTINGS)


def train_and_die_before_the_settings(out: Path) -> None:
    folder_module.write_text = lambda *_: die()
    train_tiny(out, SETTINGS)


def train_and_die_in_a_line_of_the_log(out: Path) -> None:
    log = TrainingFolder.log

    def cut_short(self, **values):
        if values["step"] == 15:
            with (self.path / "log.jsonl").open("a") as file:
                file.write('{"step": 1')
            die()
        log(self, **values)

    TrainingFolder.log = cut_short
    train_tiny(out, SETTINGS)


@pytest.mark.parametrize(
    ("work", "step"),
    [
        (train_and_die_in_a_checkpoint, 8),
        (train_and_die_before_the_weights, 30),
        (train_and_die_before_the_settings, 0),
        (train_and_die_in_a_line_of_the_log, 12),
    ],
)
def test_killed_at_the_worst_moments(work, step, tmp_path, undisturbed):
    out = tmp_path / "out"
    assert ended(start_process(work, out)) == [-signal.SIGKILL]
    saved = TrainingFolder(out, "", {}).read_checkpoint()
    assert (saved.step if saved else 0) == step
    assert ended(start_process(train_tiny, out, SETTINGS)) == [0]
    assert (hashes(out), log_lines(out)) == undisturbed()
    assert not [path for path in out.glob(".*") if path.name != ".lock"]


@pytest.mark.parametrize("step", [1, 7, 29])
def test_stopped_and_resumed(step, tmp_path, undisturbed, one_thread):
    out = tmp_path / "out"
    with pytest.raises(Interrupted, match=f"stopped after step {step} of 30"):
        train_tiny(out, SETTINGS, stop_asked=stop_after(step - 1))
    assert TrainingFolder(out, "", {}).read_checkpoint().step == step
    outcome = train_tiny(out, SETTINGS)
    assert outcome.steps == 30
    assert (hashes(out), log_lines(out)) == undisturbed()


def test_a_stop_at_the_last_step_is_an_end(tmp_path, one_thread):
    assert train_tiny(tmp_path / "out", SHORT, stop_asked=stop_after(11)).steps == 12


def test_a_finished_training_stays_as_it_is(tmp_path, one_thread, caplog):
    out = tmp_path / "out"
    first = train_tiny(out, SHORT)
    before = hashes(out), log_lines(out)
    caplog.set_level("INFO", logger="dextr_vos")
    # neither a sample nor a validation is needed
    assert train_tiny(out, SHORT, {"broken": 0, "validated": False}) == first
    assert (hashes(out), log_lines(out)) == before
    assert "finished already: 12 steps" in caplog.messages
