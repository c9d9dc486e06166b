import json
import logging
import math
import os
import re

import pytest
import torch
from tiny_training import CPU, SHORT, TinyTask, hashes, log_lines, losses, train_tiny
from torch import nn

from dextr_vos.errors import InputError, Interrupted, WeightsError
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.checkpoints import read_state_dict
from dextr_vos.networks.optim import rate_factor
from dextr_vos.training.checkpoint_folder import TrainingFolder
from dextr_vos.training.loop import LoopSettings, WeightAverage, train
from dextr_vos.training.processes import Processes, world_size

pytestmark = pytest.mark.usefixtures("one_thread")


def test_learns_logs_validates_and_saves(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="dextr_vos")
    seen = []
    settings = SHORT | {"steps": 40, "batch": 8, "log_every": 10, "validate_every": 15, "average": 0.5}
    outcome = train_tiny(tmp_path, settings, {"rate": 0.05}, on_step=lambda *told: seen.append(told))
    assert [(done, total) for done, total, _ in seen] == [(step, 40) for step in range(1, 41)]
    lines = log_lines(tmp_path)
    assert [(line["step"], "iou" in line) for line in lines] == [
        (10, False),
        (15, True),
        (20, False),
        (30, False),
        (30, True),
        (40, False),
        (40, True),
    ]
    first, *_, last = losses(tmp_path)
    assert last < first
    assert first == pytest.approx(sum(loss for *_, loss in seen[:10]) / 10)
    assert (outcome.steps, outcome.loss, outcome.scores["iou"]) == (40, last, lines[-1]["iou"])
    assert outcome.seconds > 0
    assert lines[-1]["iou"] > 0.6
    assert re.fullmatch(r"step 40 of 40: iou 0\.\d{3}", caplog.messages[-1])


def test_speed_in_the_log_is_of_steps_alone(tmp_path):
    train_tiny(tmp_path, SHORT | {"accumulate_grad": 3}, {"pause": 0.01})
    text = (tmp_path / "log.jsonl").read_text()
    speeds = [float(found) for found in re.findall(r'"samples_per_second": ([\d.]+)', text)]
    waits = [float(found) for found in re.findall(r'"waiting_for_samples": ([\d.e-]+)', text)]
    assert len(speeds) == 12
    assert all(0 < speed < 2 * 3 / 0.03 for speed in speeds)
    assert all(0 <= wait < 1 for wait in waits)


def test_best_is_what_validated_best_and_last_is_the_end(tmp_path):
    # a rate that destroys what was learned
    settings = SHORT | {"steps": 30, "batch": 8, "decay": "constant", "validate_every": 1, "save_every": 7}
    train_tiny(tmp_path, settings, {"rate": 0.5})
    scores = {line["step"]: line["iou"] for line in log_lines(tmp_path) if "iou" in line}
    best = int(read_metadata(tmp_path / "best.safetensors")["step"])
    assert scores[best] == max(scores.values())
    assert best == min(step for step, score in scores.items() if score == scores[best])
    assert read_metadata(tmp_path / "last.safetensors")["step"] == "30"
    task = TinyTask()
    task.network.load_state_dict(read_state_dict(tmp_path / "best.safetensors"))
    assert task.validate(task.network)["iou"] == scores[best]


def test_without_anything_to_validate_on(tmp_path):
    outcome = train_tiny(tmp_path, SHORT, {"validated": False})
    assert outcome.scores == {}
    assert set(hashes(tmp_path)) == {"last.safetensors"}


def test_validation_leaves_the_training_as_it_is(tmp_path):
    train_tiny(tmp_path / "often", SHORT | {"validate_every": 1, "average": 0.9})
    train_tiny(tmp_path / "once", SHORT | {"validate_every": 12, "average": 0.9})
    assert losses(tmp_path / "often") == losses(tmp_path / "once")


def test_workers_and_moments_of_saving_change_nothing(tmp_path):
    ends = []
    for name, changes in {"a": {}, "b": {"workers": 1, "save_every": 1}}.items():
        train_tiny(tmp_path / name, SHORT | changes)
        ends.append((hashes(tmp_path / name), log_lines(tmp_path / name)))
    assert ends[0] == ends[1]


def test_the_seed_decides_what_is_dropped(tmp_path):
    curves = []
    for seed in (1, 1, 2):
        folder = TrainingFolder(tmp_path / str(len(curves)), "", {})
        train(TinyTask(), LoopSettings(**SHORT), folder, seed, CPU)
        curves.append(losses(folder.path))
    assert curves[0] == curves[1] != curves[2]


def test_rates_follow_the_curve(tmp_path):
    settings = LoopSettings(**SHORT, warmup=3, decay="poly")
    task = TinyTask()
    folder = TrainingFolder(tmp_path, "", {})
    train(task, settings, folder, 1, CPU)
    assert task.rates == [0.01 * rate_factor(step, "poly", 3, 12, 3) for step in range(12)]


def test_passes_are_as_a_larger_batch(tmp_path):
    # batch norm sees the parts
    curves = []
    for name, changes in {"whole": {"batch": 6}, "parts": {"batch": 2, "accumulate_grad": 3}}.items():
        task = TinyTask(dropout=0.0)
        task.network[1] = torch.nn.Identity()
        train(task, LoopSettings(**(SHORT | changes)), TrainingFolder(tmp_path / name, "", {}), 1, CPU)
        curves.append(losses(tmp_path / name))
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)


def test_the_gradient_of_all_passes_is_clipped(tmp_path):
    lengths = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            gradients = [parameter.grad for group in self.param_groups for parameter in group["params"]]
            lengths.append(float(torch.linalg.vector_norm(torch.cat([part.ravel() for part in gradients]))))
            return super().step(closure)

    for name, changes in {"free": {}, "clipped": {"clip_norm": 0.05}}.items():
        task = TinyTask()
        task.optimizer = Watched(task.network.parameters(), lr=0.01)
        settings = LoopSettings(**(SHORT | {"accumulate_grad": 2} | changes))
        train(task, settings, TrainingFolder(tmp_path / name, "", {}), 1, CPU)
    assert min(lengths[:12]) > 0.05
    assert lengths[12:] == pytest.approx([0.05] * 12, rel=1e-3)


def test_half_precision_keeps_weights_whole(tmp_path):
    for precision in ("fp32", "bf16"):
        train_tiny(tmp_path / precision, SHORT | {"precision": precision})
    exact, half = losses(tmp_path / "fp32"), losses(tmp_path / "bf16")
    assert exact != half
    assert exact == pytest.approx(half, rel=0.02)
    assert read_state_dict(tmp_path / "bf16/last.safetensors")["0.weight"].dtype == torch.float32


def test_the_process_is_left_as_it_was(tmp_path):
    before = dict(os.environ), torch.get_num_threads(), torch.get_default_dtype()
    task = TinyTask()
    train(task, LoopSettings(**SHORT, precision="bf16"), TrainingFolder(tmp_path, "", {}), 1, CPU)
    assert (dict(os.environ), torch.get_num_threads(), torch.get_default_dtype()) == before
    assert "forward" not in vars(task.network)
    assert task.network(torch.zeros(1, 3, 12, 12)).dtype == torch.float32


# numbers from 1; checkpoints are written after steps 4, 8 and 12
@pytest.mark.parametrize(
    ("loss_at", "step", "told"),
    [
        ({7: math.nan}, 7, "the loss is nan"),
        ({7: math.inf}, 7, "the loss is inf"),
        ({2: math.nan}, 2, "the loss is nan"),
        ({8: 1e38}, 8, "the length of the gradient"),
    ],
)
def test_nan_stops_with_the_step_and_the_last_good_checkpoint(loss_at, step, told, tmp_path):
    with pytest.raises(InputError, match=re.escape(told)) as fault:
        train_tiny(tmp_path, SHORT, {"loss_at": loss_at})
    good = step - 1 - (step - 1) % 4
    assert f"at step {step} of 12" in str(fault.value)
    where = f"the last good checkpoint is {tmp_path / 'checkpoint.pt'} of step {good}"
    assert (where if good else "there is no checkpoint yet") in str(fault.value)
    assert "\n" not in str(fault.value)
    saved = TrainingFolder(tmp_path, "", {}).read_checkpoint()
    assert (saved.step if saved else 0) == good
    if saved:
        assert all(tensor.isfinite().all() for tensor in saved.network.values())
        assert read_metadata(tmp_path / "last.safetensors")["step"] == str(good)


@pytest.mark.gpu
def test_on_a_gpu_in_half_precision_it_goes_on_where_it_was_stopped(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    answers = iter([False] * 5)
    settings = LoopSettings(**(SHORT | {"workers": 1}), precision="bf16")
    for name, stop_asked in {"whole": None, "parts": lambda: next(answers, True)}.items():
        folder = TrainingFolder(tmp_path / name, "", {})
        if stop_asked is not None:
            with pytest.raises(Interrupted):
                train(TinyTask(), settings, folder, 1, stop_asked=stop_asked)
        train(TinyTask(), settings, folder, 1)
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)


def test_weights_that_overflow_are_not_saved(tmp_path):
    # the rate of step 8 carries them away; loss and gradient of that step were still finite
    task = TinyTask()

    class Wild(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            if task.steps == 8:
                with torch.no_grad():
                    task.network[0].weight.fill_(math.inf)

    task.optimizer = Wild(task.network.parameters(), lr=0.01)
    with pytest.raises(InputError, match=r"infinite or nan at step 8 of 12; .* of step 4;"):
        train(task, LoopSettings(**SHORT), TrainingFolder(tmp_path, "", {}), 1, CPU)
    assert TrainingFolder(tmp_path, "", {}).read_checkpoint().step == 4


def test_a_broken_sample_ends_the_training_in_its_own_words(tmp_path):
    with pytest.raises(InputError, match=r"^image 9 is broken: cut short$"):
        train_tiny(tmp_path, SHORT | {"workers": 1}, {"broken": 9})
    train_tiny(tmp_path, SHORT | {"workers": 1})  # mended


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    train_tiny(tmp_path, SHORT)
    task = TinyTask()
    task.network.append(torch.nn.Conv2d(1, 1, 1))
    with pytest.raises(WeightsError, match=r"checkpoint\.pt does not fit the network Sequential"):
        train(task, LoopSettings(**SHORT), TrainingFolder(tmp_path, json.dumps(SHORT), {}), 1, CPU)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 0}, {"log_every": 0}, {"average": 1.0}, {"clip_norm": 0.0}, {"rate": 1}]
)
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LoopSettings(**(SHORT | wrong))


def test_number_of_processes_is_what_torchrun_says(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert world_size() == 1
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert world_size() == 4
    with pytest.raises(InputError, match="4 processes cannot share cuda:1"):
        Processes(torch.device("cuda:1"))


def constant_network(value):
    made = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for tensor in made.state_dict().values():
            tensor.fill_(value)
    return made


def test_an_average_starts_as_a_copy():
    followed = constant_network(1.0)
    average = WeightAverage(followed, 0.9)
    nn.init.zeros_(followed[0].weight)
    assert average.state["0.weight"].tolist() == [[1, 1]]


def test_an_average_without_decay_is_the_network():
    average = WeightAverage(constant_network(0), 0.0)
    now = constant_network(3)
    average.update(now, 500)
    assert all(torch.equal(average.state[key], tensor) for key, tensor in now.state_dict().items())


def test_an_average_follows_slowly_after_many_steps():
    average = WeightAverage(constant_network(0), 0.99)
    for _ in range(10):
        average.update(constant_network(1), 100_000)
    torch.testing.assert_close(average.state["0.weight"], torch.full((1, 2), 1 - 0.99**10))
    # running statistics belong to the weights, a count is no average
    torch.testing.assert_close(average.state["1.running_mean"], torch.full((1,), 1 - 0.99**10))
    assert average.state["1.num_batches_tracked"] == 1


def test_an_average_forgets_the_first_weights_soon():
    average = WeightAverage(constant_network(0), 0.999)
    for step in range(50):
        average.update(constant_network(1), step)
    assert average.state["0.weight"].min() > 0.999


def test_an_average_resumes_from_a_saved_state():
    one, other = WeightAverage(constant_network(0), 0.9), WeightAverage(constant_network(7), 0.9)
    one.update(constant_network(1), 30)
    other.load({key: tensor.clone() for key, tensor in one.state.items()})
    for average in (one, other):
        average.update(constant_network(2), 31)
    assert all(torch.equal(tensor, other.state[key]) for key, tensor in one.state.items())
