"""Training as users start it: the command, alone and by torchrun, stopped and killed."""

import os
import signal
import subprocess
import sys
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import tiny_commands
import torch
from narrow_networks import NARROW_DEXTR
from tiny_commands import make_lite_small, with_small_lite
from tiny_datasets import make_davis
from tiny_training import (
    CPU,
    ended,
    hashes,
    hold_log,
    log_lines,
    losses,
    run_command,
    start_command,
    start_process,
    start_world,
    wait_until,
)

from dextr_vos.config import load_settings
from dextr_vos.networks.checkpoints import read_state_dict
from dextr_vos.networks.dextr import Dextr, upsample_logits
from dextr_vos.networks.lite_clicks import LiteClicks
from dextr_vos.networks.losses import plain_bce, soft_iou_loss
from dextr_vos.training.checkpoint_folder import TrainingFolder
from dextr_vos.training.dextr import DextrTask
from dextr_vos.training.dextr_settings import DextrSettings, open_data
from dextr_vos.training.loop import train

pytestmark = pytest.mark.slow

# AdamW makes whole steps of gradients that are rounding alone; how far these lead two trainings apart goes
# with the rate, and `test_in_double_precision…` shows that nothing else does
CONFIG = """
out: {out}
model: lite
rate: 0.00002
rounds: 1
data_root: {root}
data: [{{kind: davis, split: val}}]
validation: [{{kind: davis, split: val, every: 3}}]
crop: {{size_px: 64, relax_px: 4, fwhm_px: 8}}
crop_px: [[0.0, 64], [0.5, 96]]
jitter: 0.05
extra_clicks: 0.3
loop: {{steps: 10, batch: 4, warmup: 2, average: 0.9, clip_norm: 5, log_every: 1, validate_every: 4,
  save_every: 3, workers: 1}}
"""
# as many threads in each process as torchrun gives them
ENV = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
# the command with the small network
COMMAND = [tiny_commands.__file__]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return make_davis(tmp_path_factory.mktemp("data") / "DAVIS")


def arguments(root: Path, out: Path, *settings: str) -> list[str]:
    out.parent.mkdir(exist_ok=True)
    config = out.parent / "config.yaml"
    config.write_text(CONFIG.format(out=out, root=root))
    return ["train-dextr", "--config", str(config), *settings]


def told_by(out: Path) -> Path:
    """The file of what the last command printed."""
    return out.parent / "told.txt"


def start(args: list[str], out: Path, prepare=make_lite_small) -> BaseProcess:
    told_by(out).unlink(missing_ok=True)
    return start_command(args, told_by(out), prepare, env={"CUDA_VISIBLE_DEVICES": ""})


def make_lite_small_and_hold(out: Path, lines: int) -> None:
    make_lite_small()
    hold_log(out, lines)


def start_and_wait(args: list[str], out: Path, lines: int) -> BaseProcess:
    """A training that runs until its log has some lines, and waits then."""
    process = start(args, out, partial(make_lite_small_and_hold, out, lines))
    wait_until(lambda: len(log_lines(out)) >= lines, process)
    return process


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    """A training of one process with a batch of eight."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert ended(start(arguments(root, out, "loop.batch=8"), out)) == [0], told_by(out).read_text()
    assert "Warning" not in told_by(out).read_text()
    return hashes(out), log_lines(out), losses(out)


class DoubleTask(DextrTask):
    """A thin DEXTR in float64, which leaves no rounding to be seen."""

    def loss(self, network, batch, done):
        target, void = batch["target"].float(), batch["void"]
        logits = upsample_logits(network(batch["inputs"].double()), (target.shape[-2], target.shape[-1]))
        return plain_bce(logits, target, void, "size") + soft_iou_loss(logits, target, void)

    def validate(self, network):
        return {}


def train_in_double_precision(config: Path, out: Path, batch: int) -> None:
    changed = ["model=paper", "rounds=2", f"loop.batch={batch}", "loop.workers=0"]
    settings = load_settings(DextrSettings, config, changed)
    for change in NARROW_DEXTR:  # rounding is all that matters here
        setattr(*change)
    torch.manual_seed(0)
    network = Dextr(blocks=(1, 1, 1, 1)).double()
    task = DoubleTask(settings, network, open_data(settings, Path()))
    train(task, settings.loop, TrainingFolder(out, "", {}), 0, CPU)


def test_in_double_precision_both_curves_are_the_same(root, tmp_path):
    arguments(root, tmp_path / "out")
    config = tmp_path / "config.yaml"
    alone = start_process(train_in_double_precision, config, tmp_path / "one", 8)
    together = start_world(2, train_in_double_precision, config, tmp_path / "two", 4)
    assert ended(alone, *together) == [0, 0, 0]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-6)
    one, two = (read_state_dict(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, rtol=1e-6, atol=1e-8)


def test_killed_and_terminated_it_resumes_and_ends_the_same(root, tmp_path, undisturbed):
    out = tmp_path / "out"
    args = arguments(root, out, "loop.batch=8")
    process = start_and_wait(args, out, 2)
    process.kill()
    assert ended(process) == [-signal.SIGKILL]
    process = start_and_wait(args, out, 7)
    process.terminate()
    assert ended(process) == [130]
    told = told_by(out).read_text()
    assert "the same command resumes from there" in told
    assert "Traceback" not in told
    assert ended(start(args, out)) == [0]
    assert "resumed from step" in told_by(out).read_text()
    assert (hashes(out), log_lines(out)) == undisturbed[:2]


def test_two_processes_of_torchrun_have_the_curve_of_one_with_a_batch_of_twice_the_size(
    root, tmp_path, undisturbed
):
    out = tmp_path / "out"
    args = [*TORCHRUN, *COMMAND, *arguments(root, out)]
    env = ENV | {"HOLD_LOG": str(out)}
    with told_by(out).open("w") as file:
        process = subprocess.Popen(args, env=env, stdout=subprocess.DEVNULL, stderr=file)
    wait_until(lambda: len(log_lines(out)) >= 2, process)
    process.send_signal(signal.SIGINT)
    process.wait()
    told = told_by(out).read_text()
    assert "the same command resumes from there" in told
    assert (out / "checkpoint.pt").exists()
    step = max(line["step"] for line in log_lines(out))
    assert f"stopped after step {step} of 10" in told
    world = start_world(2, run_command, arguments(root, out), told_by(out), make_lite_small)
    assert ended(*world) == [0, 0], told_by(out).read_text()
    assert told_by(out).read_text().count("trained 10 steps") == 1
    one, two = undisturbed[2], losses(out)
    assert two[0] == pytest.approx(one[0], rel=1e-5)
    assert two[:2] == pytest.approx(one[:2], rel=1e-4)
    assert two == pytest.approx(one, rel=1e-3)
    # and they have learned: every weight has taken steps of the rate's size
    torch.manual_seed(0)
    with with_small_lite():
        begun, ended_with = LiteClicks().state_dict(), read_state_dict(out / "last.safetensors")
    moved = (ended_with["decoder.weights.0.weight"] - begun["decoder.weights.0.weight"]).abs()
    assert moved.median() > 2e-5
