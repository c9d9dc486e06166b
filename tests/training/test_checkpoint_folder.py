import json
import os
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_training import ended, start_process, wait_until

from dextr_vos.errors import InputError
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.checkpoints import read_state_dict
from dextr_vos.training import checkpoint_folder as folder_module
from dextr_vos.training.checkpoint_folder import Checkpoint, TrainingFolder

SETTINGS = "rate: 0.1\nloop:\n  steps: 5\ndata:\n- kind: voc\n  repeat: 1\n- kind: sbd\n"
STATE = {"weight": torch.ones(2)}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No waiting for a folder that another process has."""
    monkeypatch.setattr(folder_module, "_LOCK_SECONDS", 0)


def claimed(path, settings=SETTINGS):
    folder = TrainingFolder(path, settings, {"network": "tiny"})
    folder.acquire()
    return folder


def checkpoint(step):
    return Checkpoint(step, 1.5, 0.25, {"iou": 0.25}, STATE, {"state": {}, "param_groups": []}, STATE, [0.5])


def visible(path):
    return sorted(file.name for file in path.iterdir() if not file.name.startswith("."))


def test_nothing_is_touched_before_it_is_claimed(tmp_path):
    TrainingFolder(tmp_path / "new", SETTINGS, {}).release()
    assert not (tmp_path / "new").exists()


def test_the_same_settings_go_on(tmp_path):
    claimed(tmp_path / "a/new").release()
    folder = claimed(tmp_path / "a/new")
    assert (folder.path / "settings.yaml").read_text() == SETTINGS
    folder.release()
    folder.release()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (SETTINGS.replace("0.1", "0.2"), "rate: 0.1 there, 0.2 here"),
        (SETTINGS.replace("steps: 5", "steps: 6"), "loop.steps: 5 there, 6 here"),
        (SETTINGS.replace("repeat: 1", "repeat: 2"), "data.0.repeat: 1 there, 2 here"),
        (SETTINGS + "seed: 1\n", "seed: nothing there, 1 here"),
        ("seed: 1\n", "more"),
        (SETTINGS + "# by hand\n", "in order or notation alone"),
    ],
)
def test_other_settings_are_refused(settings, told, tmp_path):
    claimed(tmp_path / "out").release()
    with pytest.raises(InputError, match="holds a training with other settings") as fault:
        claimed(tmp_path / "out", settings)
    assert told in str(fault.value)
    claimed(tmp_path / "out").release()  # the lock is free again


def test_settings_that_no_one_can_read_are_refused(tmp_path):
    claimed(tmp_path / "out").release()
    (tmp_path / "out/settings.yaml").write_text("{")
    with pytest.raises(InputError, match=r"its settings\.yaml cannot be read"):
        claimed(tmp_path / "out")


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match="is not empty and holds no training"):
        claimed(tmp_path)
    assert os.listdir(tmp_path) == ["holiday.jpg"]  # noqa: PTH208  hidden files count here


def test_an_empty_folder_is_taken(tmp_path):
    claimed(tmp_path).release()
    assert visible(tmp_path) == ["settings.yaml"]


def test_what_a_killed_process_left_unfinished_is_removed(tmp_path):
    for name in (".dextr-vos-0123abcd.yaml", ".dextr-vos-_123abcd.pt"):
        (tmp_path / name).touch()
    claimed(tmp_path).release()
    assert {path.name for path in tmp_path.iterdir()} <= {"settings.yaml", ".lock"}


def hold(path: Path) -> None:
    folder = claimed(path)
    time.sleep(600)
    folder.release()


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    process = start_process(hold, tmp_path / "out")
    wait_until(lambda: (tmp_path / "out/settings.yaml").exists(), process)
    with pytest.raises(InputError, match=r"is in use by process \d+ on "):
        claimed(tmp_path / "out")
    process.kill()
    ended(process)
    claimed(tmp_path / "out").release()


def test_checkpoint_comes_back(tmp_path):
    folder = claimed(tmp_path)
    assert folder.read_checkpoint() is None
    folder.save_checkpoint(checkpoint(4))
    saved = folder.read_checkpoint()
    assert (saved.step, saved.seconds, saved.best, saved.scores) == (4, 1.5, 0.25, {"iou": 0.25})
    assert (saved.losses, saved.processes) == ([0.5], 1)
    assert torch.equal(saved.network["weight"], STATE["weight"])
    folder.release()


def test_a_write_that_fails_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    folder = claimed(tmp_path)
    folder.save_checkpoint(checkpoint(4))

    def full(values, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left") as fault:
        folder.save_checkpoint(checkpoint(5))
    assert fault.value.filename == str(tmp_path / "checkpoint.pt")
    assert folder.read_checkpoint().step == 4
    assert visible(tmp_path) == ["checkpoint.pt", "settings.yaml"]
    folder.release()


@pytest.mark.parametrize("content", [b"", b"PK half", b"line one\nline two"])
def test_a_broken_checkpoint_is_told_in_a_line(content, tmp_path):
    folder = claimed(tmp_path)
    folder.checkpoint.write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.pt is broken .*remove it to start again") as fault:
        folder.read_checkpoint()
    assert "\n" not in str(fault.value)
    folder.release()


def test_weights_carry_step_scores_and_metadata(tmp_path):
    folder = claimed(tmp_path)
    folder.save_weights("best", STATE, 7, {"iou": 0.5})
    known = read_metadata(tmp_path / "best.safetensors")
    assert known == {"network": "tiny", "step": "7", "scores": '{"iou": 0.5}'}
    assert torch.equal(read_state_dict(tmp_path / "best.safetensors")["weight"], STATE["weight"])
    folder.release()


def test_the_log_forgets_what_is_done_again(tmp_path):
    folder = claimed(tmp_path)
    folder.forget_after(0)
    for step in (1, 2, 3, 4):
        folder.log(step=step, loss=1 / step)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    folder.forget_after(2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}]
    folder.forget_after(0)
    assert (tmp_path / "log.jsonl").read_text() == ""
    folder.release()


def test_curves_in_tensorboard_forget_it_too(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for first, value in ((0, 1.0), (2, 2.0)):
        folder = claimed(tmp_path)
        folder.forget_after(first)
        for step in range(first + 1, first + 4):
            folder.log(step=step, loss=value, rate=0.1)
        folder.release()
        time.sleep(1.1)  # files of events differ by their second
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (1, 1.0),
        (2, 1.0),
        (3, 2.0),
        (4, 2.0),
        (5, 2.0),
    ]
    assert set(events.Tags()["scalars"]) == {"loss", "rate"}


def test_tensorboard_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    folder = claimed(tmp_path)
    folder.log(step=1, loss=0.5)
    folder.log(step=2, loss=0.25)
    folder.release()
    assert visible(tmp_path) == ["log.jsonl", "settings.yaml"]
