"""Several real processes that train together, on the CPU."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from tiny_training import (
    CPU,
    SHORT,
    TinyTask,
    ended,
    hold_log,
    log_lines,
    losses,
    start_world,
    train_tiny,
    wait_until,
)

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.interrupt import interruptible
from dextr_vos.networks.checkpoints import read_state_dict
from dextr_vos.training.checkpoint_folder import TrainingFolder
from dextr_vos.training.loop import LoopSettings, train
from dextr_vos.training.processes import Processes

# dropout is drawn by each process
EVEN = {"dropout": 0.0}
SETTINGS = SHORT | {"accumulate_grad": 2, "average": 0.9, "clip_norm": 0.3}


def train_and_tell(out: Path, settings: dict, task: dict) -> None:
    """Train in one of several processes; what became of it is written to a file for each."""
    rank = os.environ.get("RANK", "0")
    written = []
    save = TrainingFolder.save_checkpoint
    TrainingFolder.save_checkpoint = lambda self, saved: (written.append(saved.step), save(self, saved))
    told = {}
    with interruptible() as stop_asked:
        try:
            outcome = train_tiny(out, settings, task, stop_asked=stop_asked)
            told = {"steps": outcome.steps, "loss": outcome.loss, "scores": outcome.scores}
        except (InputError, Interrupted) as stop:
            told = {"stop": str(stop)}
    (out.parent / f"{out.name} {rank}.json").write_text(json.dumps(told | {"written": written}))


def train_until_asked(out: Path, settings: dict) -> None:
    """Train, and wait after the second step until another process may have been asked to stop."""
    hold_log(out, 2, may_go_on(out).exists)
    train_and_tell(out, settings, {})


def may_go_on(out: Path) -> Path:
    return out.parent / f"{out.name} may go on"


def told_by(out: Path, count: int = 2) -> list[dict]:
    return [json.loads((out.parent / f"{out.name} {rank}.json").read_text()) for rank in range(count)]


def train_together(out: Path, settings: dict, task: dict) -> list[dict]:
    assert ended(*start_world(2, train_and_tell, out, settings, task)) == [0, 0]
    return told_by(out)


def test_two_processes_learn_as_one_with_a_batch_of_twice_the_size(tmp_path):
    one, two = train_together(tmp_path / "two", SETTINGS, EVEN)
    train_tiny(tmp_path / "one", SETTINGS | {"batch": 4}, EVEN)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    alone, together = (read_state_dict(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    assert list(alone) == list(together)
    for key, tensor in alone.items():
        torch.testing.assert_close(together[key], tensor, rtol=1e-3, atol=1e-4)
    # only the first one writes, and both know how it ended
    assert (one.pop("written"), two.pop("written")) == ([4, 8, 12], [])
    assert one == two
    assert len(log_lines(tmp_path / "two")) == 12 + 3


def test_batch_norms_may_stay_apart(tmp_path):
    train_together(tmp_path / "two", SETTINGS | {"sync_norm": False}, EVEN)
    train_tiny(tmp_path / "one", SETTINGS | {"batch": 4}, EVEN)
    apart, together = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert apart != pytest.approx(together, rel=1e-4)
    assert apart == pytest.approx(together, rel=0.2)


def test_one_that_is_asked_to_stop_stops_all_and_all_go_on(tmp_path):
    out = tmp_path / "stopped"
    world = start_world(2, train_until_asked, out, SETTINGS)
    wait_until(lambda: len(log_lines(out)) > 1, *world)
    os.kill(world[1].pid, signal.SIGINT)
    may_go_on(out).touch()
    assert ended(*world) == [0, 0]
    one, two = told_by(out)
    assert one["stop"] == two["stop"]
    step = TrainingFolder(out, "", {}).read_checkpoint().step
    assert one["stop"].startswith(f"stopped after step {step} of 12;")
    assert 1 < step < 12

    alone = pytest.raises(InputError, match="was begun with 2 processes, now there are 1; start as many")
    with alone:
        train_tiny(out, SETTINGS)

    again = train_together(out, SETTINGS, {})
    assert [part["steps"] for part in again] == [12, 12]
    undisturbed = train_together(tmp_path / "undisturbed", SETTINGS, {})
    assert again[0]["loss"] == undisturbed[0]["loss"]
    assert losses(out) == losses(tmp_path / "undisturbed")


def test_nan_in_one_stops_all(tmp_path):
    told = train_together(tmp_path / "nan", SHORT, {"nan_rank": 1, "loss_at": {6: float("nan")}})
    assert told[0]["stop"] == told[1]["stop"]
    assert "the loss is nan" in told[0]["stop"]
    assert "at step 6 of 12" in told[0]["stop"]
    assert TrainingFolder(tmp_path / "nan", "", {}).read_checkpoint().step == 4


def test_a_folder_that_is_refused_is_refused_by_all(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "holiday.jpg").touch()
    told = train_together(out, SHORT, {})
    assert ["holds no training" in part["stop"] for part in told] == [True, True]


def train_while_the_others_wait(out: Path) -> None:
    task = TinyTask()
    validate = task.validate

    def slowly(network):
        time.sleep(1)
        return validate(network)

    task.validate = slowly
    train(task, LoopSettings(**SHORT | {"steps": 5}), TrainingFolder(out, "", {}), 1, CPU)


def test_the_others_wait_while_the_first_validates(tmp_path):
    assert ended(*start_world(2, train_while_the_others_wait, tmp_path)) == [0, 0]


def count_processes(out: Path) -> None:
    processes = Processes()  # on whatever there is
    assert (processes.count, processes.device.type) == (2, "cpu") or torch.cuda.is_available()
    assert processes.mean(torch.tensor([float(processes.rank), 5.0])) == [0.5, 5.0]
    assert processes.from_main(lambda: processes.rank) == 0
    with pytest.raises(InputError, match="only the main process"):
        processes.from_main(fail)
    processes.end()
    (out / str(processes.rank)).touch()


def fail() -> None:
    raise InputError("only the main process")


def test_they_find_one_another_without_being_told_the_device(tmp_path):
    assert ended(*start_world(2, count_processes, tmp_path)) == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_one_process_under_torchrun_is_one(tmp_path):
    train_tiny(tmp_path / "without", SHORT)
    (alone,) = start_world(1, train_tiny, tmp_path / "with", SHORT)
    assert ended(alone) == [0]
    assert losses(tmp_path / "with") == losses(tmp_path / "without")
